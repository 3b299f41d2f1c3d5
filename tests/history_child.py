"""A process that appends turns until it is killed; each number on stdout is a turn that was acknowledged."""

from __future__ import annotations

import sys
from pathlib import Path

from assistant.history.records import NewMedia, NewTurn
from assistant.history.store import History


def question(number: int) -> str:
    return f"question {number} " + "x" * (number % 7 * 900)


def answer(number: int) -> str:
    return "".join(f"{number}.{word} " for word in range(20))


def tell(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main() -> None:
    folder, conversation = Path(sys.argv[1]), int(sys.argv[2])
    with History(folder) as history:
        number = 0
        while True:
            media = (NewMedia(f"picture {number}".encode() * 500, "image/png"),) if number % 3 == 0 else ()
            asked = history.append(conversation, NewTurn("user", question(number), media=media))
            tell("turn", asked.id, number)
            reply = history.stream(conversation, every=0.0)
            for word in answer(number).split():
                reply.add(word + " ")
                if reply.problem is None:
                    tell("part", reply.id, len(word) + 1)
            reply.finish()
            tell("turn", reply.id, number)
            if number % 10 == 9:
                history.delete(history.create("short-lived").id)
            number += 1


if __name__ == "__main__":
    main()
