"""A question about the screen: how long until its first token, also where the picture was ready before.

Three ways in turns, each with a picture and a clip of its own, so that nothing is known from before: without
a picture, with one that was looked at when it was taken, and with one that comes with the question.
"""

from __future__ import annotations

import io
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from assistant import tuned
from assistant.bench.report import Measure, Report, machine
from assistant.engine import prompt
from assistant.engine.process import EngineProcess
from assistant.engine.protocol import Clip, Finished, GenerateOptions, Picture, Progress, Session, Statistics
from assistant.eyes import Eyes
from models import package
from models.errors import EngineError
from models.prompts import TOOLS

SIZE: Final = (1920, 1080)
SECONDS: Final = 5  # of the question
MOST: Final = 1.5
"""How many times as long as without a picture the first token may take if the picture is ready."""
WITHOUT, READY, LATE = "without a picture", "picture ready", "picture with the question"
_RATE: Final = 16_000
_AHEAD: Final = GenerateOptions(max_tokens=0, before_sound=True)
_FIRST: Final = GenerateOptions(max_tokens=1, stop_ids=frozenset())

Say = Callable[[str, float], None]


def measure(path: Path, rounds: int, detail: str, say: Say = lambda *_: None) -> Report:
    """Measure a package; one round more comes first, in which encoders are loaded. Raises AsideError."""
    conditions = machine()
    info = package.check(path)
    eyes = Eyes(info, detail)
    ways = (WITHOUT, READY, LATE)
    firsts: dict[str, list[float]] = defaultdict(list)
    looking: list[float] = []
    left: Statistics | None = None
    with EngineProcess(path, tuned.settings(info)) as session:
        for number in range(rounds + 1):
            for place in range(len(ways)):
                way = ways[(number + place) % len(ways)]
                seed = len(ways) * number + place
                say(f"round {number} of {rounds}, {way}", (seed + 1) / (len(ways) * (rounds + 1)))
                (seen,), _ = eyes.sized([Picture(_screen(seed))])
                first, ahead, spent = _turn(session, way, seen, _question(seed))
                if number:
                    firsts[way].append(first)
                    if way == READY:
                        looking.append(ahead)
                        left = spent
    (_,), (look,) = eyes.sized([Picture(_screen(0))])
    assert left is not None
    ratios = [ready / without for ready, without in zip(firsts[READY], firsts[WITHOUT], strict=True)]
    late = [slow / without for slow, without in zip(firsts[LATE], firsts[WITHOUT], strict=True)]
    return Report(
        (
            *(Measure(way, f"first token, {way}", tuple(firsts[way]), "s") for way in ways),
            Measure("ratio ready", f"{READY}, against none", tuple(ratios), "×", MOST),
            Measure("ratio late", f"{LATE}, against none", tuple(late), "×"),
            Measure("looking", "looking at it when it was taken", tuple(looking), "s"),
        ),
        conditions | {"package": info.name, "layers": info.layers},
        (
            f"A question of {SECONDS} s about {SIZE[0]} x {SIZE[1]} pixels: {look.crops} crops, "
            f"{look.tokens:,} tokens, {look.percent} % of its size.",
            f"With the picture ready, {left.prefilled:,} tokens and {left.crops} crops were left, "
            f"{left.recomputed} tokens were computed again.",
        ),
    )


def _turn(session: Session, way: str, seen: Picture, said: Clip) -> tuple[float, float, Statistics]:
    """Seconds to the first token, those before the question was complete, and what was left to do then."""
    session.rewind(0)
    session.append(*prompt.system(TOOLS), *prompt.begin_user(*([seen] if way == READY else [])))
    start = time.perf_counter()
    for _ in session.generate(_AHEAD):
        pass
    ahead = time.perf_counter() - start
    start = time.perf_counter()
    session.append(*prompt.end_user(*([seen] if way == LATE else []), said), *prompt.assistant())
    first: float | None = None
    for event in session.generate(_FIRST):
        if first is None and not isinstance(event, Progress):
            first = time.perf_counter() - start
        if isinstance(event, Finished) and first is not None:
            return first, ahead, event.statistics
    raise EngineError("The engine gave no end.", "Report it.")


def _screen(seed: int) -> bytes:
    """A window full of text, as a PNG."""
    image = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(image)
    for row in range(20, SIZE[1] - 20, 20):
        draw.text((20, row), f"{seed} {row} " + "The quick brown fox jumps over the lazy dog. " * 6, "black")
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _question(seed: int) -> Clip:
    noise = np.random.default_rng(seed).standard_normal(SECONDS * _RATE)
    return Clip((0.1 * noise).astype(np.float32), _RATE)
