"""Small packages with random weights for the engine's tests, without torch; pictures and sounds for them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assistant.engine import prompt
from assistant.engine.protocol import (
    Clip,
    EngineSettings,
    Event,
    Finished,
    GenerateOptions,
    Picture,
    Segment,
    Session,
    Statistics,
    Token,
)
from assistant.engine.session import LocalSession
from models.config import AudioConfig, Phi4MMConfig, RopeConfig, VisionConfig
from models.export import Card, PrecisionPlan, build
from models.random_weights import RandomCheckpoint

ONE_THREAD = EngineSettings(threads=1)
GREEDY = GenerateOptions(max_tokens=12, repetition_guard=0, stop_ids=frozenset())
_EXACT = PrecisionPlan()
_STOPS = (257, 256)
ADAPTERS = {"vision": 4, "speech": 6}


@dataclass
class Scaled(RandomCheckpoint):
    """Random weights; with matrices three times as large, the tokens depend on everything in the prompt."""

    scale: float = 3
    endless: bool = False

    def read(self, name: str) -> NDArray[np.float32]:
        values = super().read(name)
        if name.startswith("model.layers.") and values.ndim == 2:
            return values * np.float32(self.scale)
        if name == "lm_head.weight" and self.endless:  # other tokens are far likelier than those that end it
            values = 20 * values
            values[list(_STOPS)] = 0
        return values

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        return self.read(name)[start:stop]


def small_package(
    folder: Path,
    *,
    adapters: bool = True,
    own: str | None = None,
    original: int = 4096,
    context: int = 8192,
    layers: int = 2,
    width: int = 128,
    vocabulary: int = 320,
    scale: float = 3,
    endless: bool = False,
    plan: PrecisionPlan = _EXACT,
) -> Path:
    """Build a package with `width` / 32 heads on half as many key heads; ``own`` names a user's adapter.

    What an ``endless`` one says comes to no end.
    """
    rotary = 24
    heads = width // 32
    config = Phi4MMConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=2 * width,
        layers=layers,
        heads=heads,
        kv_heads=heads // 2,
        head_dim=32,
        rms_norm_eps=1e-5,
        tied_embeddings=False,
        max_position_embeddings=context,
        original_max_position_embeddings=original,
        bos_token_id=256,
        eos_token_ids=_STOPS,
        pad_token_id=256,
        rope=RopeConfig(
            10000.0, rotary, (1.0,) * (rotary // 2), tuple(1.0 + 0.7 * i for i in range(rotary // 2)), 1.1
        ),
        vision=VisionConfig(hidden_size=32, intermediate_size=48, layers=2, heads=2, image_token_id=258),
        audio=AudioConfig(
            hidden_size=32,
            intermediate_size=48,
            blocks=1,
            heads=2,
            ext_pw_out_channel=32,
            depthwise_separable_out_channel=32,
            conv_channels=8,
            bias_max_distance=20,
            audio_token_id=259,
        ),
    )
    ranks = (ADAPTERS if adapters else {}) | ({own: 5} if own else {})
    weights = Scaled(config, 1, ranks, scale=scale, endless=endless)
    return build(weights, folder, plan, card=Card("small"), dynamic_hd=4)


def picture(seed: int, width: int = 448, height: int = 448) -> Picture:
    """A PNG of coloured noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=0)
    return Picture(buffer.getvalue())


def noise(seed: int, seconds: float) -> NDArray[np.float32]:
    """White noise at 16 kHz."""
    return (0.1 * np.random.default_rng(seed).standard_normal(int(16_000 * seconds))).astype(np.float32)


def clip(seed: int, seconds: float = 1.0) -> Clip:
    """A clip of noise at 16 kHz."""
    return Clip(noise(seed, seconds), 16_000)


def question(*parts: prompt.Part) -> list[Segment]:
    """A user's turn and the beginning of the reply."""
    return [*prompt.user(*parts), *prompt.assistant()]


def read(events: Iterator[Event]) -> tuple[list[int], Finished]:
    """Token ids and the last event of a reply."""
    ids: list[int] = []
    last: Event | None = None
    for event in events:
        assert not isinstance(last, Finished)
        if isinstance(event, Token):
            ids.append(event.id)
        last = event
    assert isinstance(last, Finished)
    return ids, last


def reply(session: Session, options: GenerateOptions = GREEDY) -> tuple[list[int], Statistics]:
    """Token ids and statistics of a reply."""
    ids, finished = read(session.generate(options))
    return ids, finished.statistics


def from_scratch(package: Path, segments: Sequence[Segment], options: GenerateOptions = GREEDY) -> list[int]:
    """The reply of a fresh session that gets everything at once, in one prefill step."""
    settings = EngineSettings(threads=1, chunk=8192)
    with LocalSession(package, settings) as session:
        session.append(*segments)
        return reply(session, options)[0]
