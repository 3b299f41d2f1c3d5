"""Pictures and clips to rows of the language model's embedding space, each content once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from assistant.engine.protocol import Clip, EngineSettings, Picture
from assistant.engine.runtime import Feeds, Port, Runner, open_graph
from assistant.engine.timeline import Media
from assistant.engine.windows import WINDOW
from models.errors import EngineError, MediaError
from models.frontend import FRAMES_PER_TOKEN, ClipInputs, FrontEnd, PictureInputs
from models.package import PackageInfo

Features = NDArray[np.float32]

_CONTEXT: Final = "audio_context"

# The projection of sound that goes with each adapter mode, as a mode that stands for it: with a picture in
# the conversation, clips go through the vision projection.
_PROJECTION: Final = {0: 2, 1: 3, 2: 2, 3: 3}
PORTS: Final[dict[str, tuple[dict[str, Port], str]]] = {
    "vision": (
        {
            "pixel_values": ("tensor(float)", [None, None, 3, 448, 448]),
            "image_attention_mask": ("tensor(float)", [None, None, 32, 32]),
            "image_sizes": ("tensor(int64)", [None, 2]),
        },
        "image_features",
    ),
    "speech": (
        {
            "audio_embeds": ("tensor(float)", [None, None, 80]),
            "audio_attention_mask": ("tensor(bool)", [None, None]),
            "audio_sizes": ("tensor(int64)", [None]),
            "audio_projection_mode": ("tensor(int64)", [1]),
        },
        "audio_features",
    ),
}
"""What each graph takes, and what its output is called."""


class FeatureCache:
    """Encoder results by content; the least recently used ones go when they exceed ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[str, Features] = OrderedDict()
        self.bytes = 0

    def get(self, key: str) -> Features | None:
        """The features, if they are kept."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: str, features: Features) -> None:
        """Keep features."""
        if key not in self._kept:
            self._kept[key] = features
            self.bytes += features.nbytes
        while self.bytes > self._limit:
            self.bytes -= self._kept.popitem(last=False)[1].nbytes


class Encoders:
    """The vision and the speech graph, each loaded when it is first needed (raises PackageError)."""

    def __init__(self, package: PackageInfo, front_end: FrontEnd, settings: EngineSettings) -> None:
        self._package = package
        self._front_end = front_end
        self._settings = settings
        self._graphs: dict[str, ort.InferenceSession] = {}
        self.cache = FeatureCache(settings.cache_bytes)
        self.runs = 0
        """How often an encoder ran, for tests and statistics."""
        self.crops = 0
        """How many crops the vision encoder has seen, the overviews included."""

    def prepare(self, segment: Picture | Clip) -> Media:
        """Preprocess a picture or clip, unless its features are known. Raises MediaError."""
        if isinstance(segment, Clip) and segment.at and not self._takes_windows():
            raise MediaError("This model hears a recording as a whole only.", "Build its package again.")
        key = _content(segment)
        for mode in sorted(set(_PROJECTION.values())):
            known = self.cache.get(self._key(segment, key, mode))
            if known is not None:
                return Media(segment, key, len(known))
        inputs = self._inputs(segment)
        return Media(segment, key, inputs.tokens, inputs)

    def steps(self, media: Media) -> int:
        """How many parts the encoder takes one after the other: the windows of a recording, else one."""
        if isinstance(media.segment, Picture) or media.tokens <= WINDOW or not self._takes_windows():
            return 1
        return -(-media.tokens // WINDOW)

    def encode(self, media: Media, mode: int, runner: Runner) -> Generator[None, None, Features]:
        """Features [tokens, hidden] under an adapter mode; yields between two of `steps`.

        What is done is kept, also when the rest is stopped. Raises Cancelled or EngineError.
        """
        key = self._key(media.segment, media.key, mode)
        found = self.cache.get(key)
        if found is None:
            inputs = media.inputs or self._inputs(media.segment)
            steps = self.steps(media)
            if isinstance(inputs, PictureInputs):
                found = self._kept(key, media.tokens, lambda: self._see(inputs, runner))
            elif steps == 1 and media.tokens != WINDOW and not _lead(media.segment):
                found = self._kept(key, media.tokens, lambda: self._hear(inputs, mode, runner))
            else:
                parts: list[Features] = []
                for number in range(steps):
                    if number:
                        yield
                    parts.append(self._window(inputs, number, mode, runner, _lead(media.segment)))
                found = np.concatenate(parts)
        media.inputs = None
        return found

    def _window(self, inputs: ClipInputs, number: int, mode: int, runner: Runner, lead: int = 0) -> Features:
        """The features of one window of a recording, kept by what is in it; ``lead`` frames are context."""
        first = lead + number * WINDOW * FRAMES_PER_TOKEN
        context = min(first, FRAMES_PER_TOKEN)  # the convolutions look back over the cut
        frames = inputs.audio_embeds[:, first - context : first + WINDOW * FRAMES_PER_TOKEN]
        tokens = min(WINDOW, inputs.tokens - number * WINDOW)
        part = ClipInputs(frames, np.ones(frames.shape[:2], np.bool_), np.array([tokens], np.int64), tokens)
        content = hashlib.sha256(np.ascontiguousarray(frames).data).hexdigest()
        key = f"window {context} {content} {_PROJECTION[mode]}"
        return self._kept(key, tokens, lambda: self._hear(part, mode, runner, context))

    def _kept(self, key: str, tokens: int, run: Callable[[], Features]) -> Features:
        """What is kept under ``key``, else what ``run`` gives."""
        found = self.cache.get(key)
        if found is None:
            found = run()
            if found.shape != (tokens, self._package.hidden_size):
                raise EngineError(
                    f"An encoder gave {found.shape[0]} rows for {tokens} tokens.",
                    "The model package doesn't fit together: build or fetch it again.",
                )
            self.runs += 1
            self.cache.put(key, found)
        return found

    def _takes_windows(self) -> bool:
        """Tell whether the speech graph can be given a part of a recording; older packages' can't."""
        inputs = self._graph("speech").get_overridable_initializers()
        return _CONTEXT in {value.name for value in inputs}

    def _see(self, inputs: PictureInputs, runner: Runner) -> Features:
        feeds: Feeds = {
            "pixel_values": inputs.pixel_values,
            "image_attention_mask": inputs.image_attention_mask,
            "image_sizes": inputs.image_sizes,
        }
        found = runner.encode(self._graph("vision"), feeds)
        self.crops += inputs.pixel_values.shape[1]
        return found

    def _hear(self, inputs: ClipInputs, mode: int, runner: Runner, context: int = 0) -> Features:
        feeds: dict[str, NDArray[Any]] = {
            "audio_embeds": inputs.audio_embeds,
            "audio_attention_mask": inputs.audio_attention_mask,
            "audio_sizes": inputs.audio_sizes,
            "audio_projection_mode": np.array([_PROJECTION[mode]], np.int64),
        }
        if context:
            feeds[_CONTEXT] = np.array([context], np.int64)
        return runner.encode(self._graph("speech"), feeds)

    def _inputs(self, segment: Picture | Clip) -> PictureInputs | ClipInputs:
        if isinstance(segment, Picture):
            return self._front_end.picture(segment.data, segment.crops)
        return self._front_end.clip(segment.samples, segment.rate, segment.at)

    def _key(self, segment: Picture | Clip, content: str, mode: int) -> str:
        return content if isinstance(segment, Picture) else f"{content} {_PROJECTION[mode]}"

    def _graph(self, name: str) -> ort.InferenceSession:
        if name not in self._graphs:
            path: Path = self._package.path / self._package.graphs[name]
            inputs, output = PORTS[name]
            outputs: dict[str, Port] = {output: ("tensor(float)", [None, self._package.hidden_size])}
            self._graphs[name] = open_graph(path, self._settings, inputs, outputs)
        return self._graphs[name]


def _content(segment: Picture | Clip) -> str:
    if isinstance(segment, Picture):
        return f"picture {segment.crops} {hashlib.sha256(segment.data).hexdigest()}"
    samples = np.ascontiguousarray(segment.samples, np.float32)
    return f"clip {segment.rate} {segment.at} {hashlib.sha256(samples.data).hexdigest()}"


def _lead(segment: Picture | Clip) -> int:
    """Frames at the beginning of a clip that are context only."""
    return FRAMES_PER_TOKEN if isinstance(segment, Clip) and segment.at else 0
