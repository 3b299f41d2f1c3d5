"""The process of one contender: one JSON object a line comes in, one goes out, until the input ends.

    {"action": "load"}                     {"value": 1.9}
    {"action": "prefill", "count": 128}    {"value": 0.8}

Values are seconds, but for the machine's (rates) and `memory` (bytes).
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from assistant.bench.engine.plan import Contender


def main() -> None:
    """Serve the contender that the only argument describes."""
    # native libraries print to standard output: the answers get it for themselves
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        given = json.loads(sys.argv[1])
        threads = given.pop("threads")
        contender = Contender(**given)
        subject: Any = None
        for line in sys.stdin:
            request = json.loads(line)
            action = request.pop("action")
            if action == "load":
                from assistant.bench.engine.contenders import opened  # its imports are no part of loading

                make = opened(contender.kind)
                start = time.perf_counter()
                subject = make(contender.path, threads, **contender.settings)
                value: float = time.perf_counter() - start
            elif action == "memory":
                value = peak_memory()
            else:
                value = getattr(subject, action)(**request)
            answers.write(json.dumps({"value": value}) + "\n")
            answers.flush()


def peak_memory() -> int:
    """The most bytes that this process has had in memory, with the parts of files that it has mapped."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    found = psutil.Process().memory_info()
    return int(getattr(found, "peak_wset", found.rss))


if __name__ == "__main__":
    main()
