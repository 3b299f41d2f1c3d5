"""The corpora: texts for the tokenizer, and spoken utterances as features in shards on disk, from a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models import prompts
from models.frontend import FrontEnd
from models.nano import phrases, pictures, shape, speech, synthesisers, texts
from models.nano import words as w
from models.nano.synthesisers import Voice

SHARD: Final = 500  # utterances
KINDS: Final = ("command", "general", "row", "talk", "question", "long", "outside", "phrase")
_WEIGHTS: Final = (22, 20, 24, 2, 6, 7, 10, 9)


PAUSE: Final = " , "
"""Between the sentences of a long recording, in what is given to the voice only."""


@dataclass(frozen=True)
class Utterance:
    """One spoken text: log-mel frames [frames, 80], its words, what kind it is, and the right reply."""

    frames: NDArray[np.float16]
    text: str
    kind: str
    reply: str


def tokenizer_texts() -> list[str]:
    """What the tokenizer is trained on: every word with and without a space before it, and whole texts.

    Numbers of several digits are left out, so that each digit stays a token of its own.
    """
    rng = random.Random(7)
    out = [f"{word} {word}" for word in sorted({*w.ALL, *pictures.WORDS}) for _ in range(120)]
    out += [f"{word[0].upper()}{word[1:]}" for word in w.ALL for _ in range(4)]
    for _ in range(6000):
        made = texts.command(rng, "train")
        out += [made.text, f" {made.text}", texts.general(rng, "train")]
        if made.name in {"set_light", "play_music", "add_note", "get_weather"}:
            out.append(made.call)
    out += [word for word in (*phrases.CHINESE, "。", "？") for _ in range(200)]
    out += [text for phrase in phrases.ALL for text in (phrase.german, phrase.spanish) for _ in range(40)]
    out += ["hear: look:" for _ in range(200)]
    fixed = [prompts.tool_list(prompts.TOOLS), prompts.SYSTEM_PROMPT, texts.ABOUT, prompts.TRANSCRIBE]
    fixed += [prompts.translate("German"), prompts.SUMMARIZE, texts.NO_SUMMARY, texts.NO_TRANSLATION]
    fixed += [prompts.transcribe_and_translate(language) for language in phrases.LANGUAGES]
    fixed += [answer for _, answer in texts.TALK]
    fixed += [
        prompts.tool_call(t["name"], dict.fromkeys(t["parameters"]["properties"], "")) for t in prompts.TOOLS
    ]
    out += ["".join(c if not c.isdigit() else " " for c in text) for text in fixed for _ in range(300)]
    return out


def spoken(rng: random.Random, split: texts.Split, kind: str) -> tuple[str, str]:
    """A text to say and the reply that it asks for when no instruction comes with it."""
    if kind == "command":
        made = texts.command(rng, split)
        return made.text, made.call
    if kind == "general":
        return texts.general(rng, split), texts.ABOUT
    if kind == "row":
        return texts.row(rng, split), texts.ABOUT
    if kind == "phrase":  # to be translated, once the instruction for it comes along
        return phrases.phrase(rng, split).english, texts.ABOUT
    if kind == "outside":
        return rng.choice((texts.near_miss, texts.outside))(rng, split), texts.ABOUT
    if kind == "long":  # sentences, with pauses between them
        return PAUSE.join(texts.recording(rng, split, rng.randint(2, 8))), texts.ABOUT
    if kind == "talk":
        said, answer = rng.choice(texts.TALK)
        return rng.choice(said), answer
    return rng.choice(pictures.QUESTIONS), ""


def make_shard(
    front: FrontEnd,
    espeak: speech.Espeak,
    number: int,
    path: Path,
    *,
    split: texts.Split = "train",
    count: int = SHARD,
    others: Sequence[Voice] = (),
) -> None:
    """Writes shard `number` of the speech of `split`; the same arguments always give the same shard.

    `others` than espeak-ng speak in training too.
    """
    rng = random.Random(1_000_003 * (number + 1) if split == "train" else 77 + number)
    said = []
    for _ in range(count):
        kind = rng.choices(KINDS, _WEIGHTS)[0]
        text, reply = spoken(rng, split, kind)
        wave = speech.utter(espeak, text, rng, split, others=others)
        said.append((_frames(front, wave, espeak.rate), text.replace(PAUSE, " "), kind, reply))
    _write(path, said)


def make_questions(front: FrontEnd, espeak: speech.Espeak, path: Path) -> None:
    """Writes every question about pictures three times in voices kept for evaluation."""
    rng = random.Random(78)
    made = []
    for question in pictures.QUESTIONS:
        for _ in range(3):
            wave = speech.utter(espeak, question, rng, "eval")
            made.append((_frames(front, wave, espeak.rate), question, "question", ""))
    _write(path, made)


def _frames(front: FrontEnd, wave: NDArray[np.float32], rate: int) -> NDArray[np.float16]:
    frames: NDArray[np.float16] = front.clip(wave, rate).audio_embeds[0].astype(np.float16)
    return frames


def _write(path: Path, made: list[tuple[NDArray[np.float16], str, str, str]]) -> None:
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        np.savez(
            file,
            frames=np.concatenate([m[0] for m in made]),
            lengths=np.array([len(m[0]) for m in made]),
            said=np.array(json.dumps([m[1:] for m in made])),
        )
    partial.rename(path)


def read_shard(path: Path) -> list[Utterance]:
    """The utterances of one shard."""
    with np.load(path) as file:
        frames, lengths, said = file["frames"], file["lengths"], json.loads(str(file["said"]))
    parts = np.split(frames, np.cumsum(lengths)[:-1])
    return [Utterance(part, *what) for part, what in zip(parts, said, strict=True)]


def prepare(out: Path, shards: int) -> None:
    """Makes the front end's files and then shards of speech, skipping what exists."""
    package = out / "front"
    if not (package / "tokenizer.json").exists():
        shape.write_front_end(package, tokenizer_texts())
    front, espeak, others = FrontEnd(package), speech.Espeak(), synthesisers.others()
    folder = out / "speech"
    folder.mkdir(exist_ok=True)
    for number in range(shards):
        path = folder / f"{number:04}.npz"
        if not path.exists():
            make_shard(front, espeak, number, path, others=others)
