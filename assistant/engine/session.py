"""One conversation with the model, in this process.

Only what is new is computed. Keys and values are kept from turn to turn; they hold for one adapter and one
set of RoPE factors, so when either changes, the conversation is computed once more, from the encoder
results that are kept as well. The keys and values before the change wait, in case that it is taken back.
`Statistics` tells what was reused and what was not.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from assistant.engine import huge_pages, prompt
from assistant.engine.decoder import Decoder
from assistant.engine.encoders import Encoders, Features
from assistant.engine.memory import check_memory, check_room, has_room
from assistant.engine.protocol import (
    Clip,
    Control,
    EngineSettings,
    Event,
    Finished,
    GenerateOptions,
    Picture,
    Progress,
    Reason,
    Reply,
    Segment,
    Stage,
    Statistics,
    Text,
    Token,
)
from assistant.engine.runtime import Runner
from assistant.engine.sampling import RepetitionGuard, Sampler
from assistant.engine.timeline import Media, Piece, Timeline, Words
from models import package as packages
from models.errors import Cancelled, ContextError, PackageError
from models.frontend import FRAME_RATE, FRAMES_PER_TOKEN, FrontEnd

_GREEDY = GenerateOptions()
_DEFAULTS = EngineSettings()
_LONGEST_TOKEN = (
    16  # characters on average; a longer text isn't even tokenized, which takes seconds a megabyte
)
Logits = NDArray[np.float32]


@dataclass
class _Ledger:
    """The statistics of one reply while it is written."""

    seconds: dict[str, float]
    prefilled: int = 0
    reused: int = 0
    recomputed: int = 0
    generated: int = 0
    crops: int = 0

    def closed(self) -> Statistics:
        return Statistics(
            self.prefilled,
            self.reused,
            self.recomputed,
            self.generated,
            self.crops,
            dict(sorted(self.seconds.items())),
        )


@dataclass
class _Work:
    """What one reply works with."""

    runner: Runner
    ledger: _Ledger
    mode: int
    wanted: bool  # the logits after the prompt are
    features: dict[tuple[str, int], Features] = field(default_factory=dict)


class LocalSession:
    """Implements `assistant.engine.protocol.Session` with onnxruntime sessions of its own."""

    def __init__(self, package: Path, settings: EngineSettings = _DEFAULTS) -> None:
        """Check and load a package. Raises PackageError, or EngineError without enough memory."""
        self.package = packages.check(package)
        check_memory(self.package, settings)
        self._settings = settings
        self._own = _own_adapter(self.package, settings.adapter)
        self.limit = min(self.package.context_length, settings.context_limit or self.package.context_length)
        self._front_end = FrontEnd(package)
        self._encoders = Encoders(self.package, self._front_end, settings)
        self._decoder = Decoder(self.package, settings, self.limit)
        self._ends = threading.Event()
        self._gathering = threading.Thread(
            target=huge_pages.gather, args=(self._ends,), name="engine-huge-pages", daemon=True
        )
        self._gathering.start()
        self._names = self._control_names()
        self._timeline = Timeline()
        self._computed = 0  # tokens that were computed at some time, under whatever
        self._seconds: dict[str, float] = defaultdict(float)
        self._open: Generator[Event, None, None] | None = None  # the reply that was begun last

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, *segments: Segment) -> None:
        """Add to the conversation, all or nothing. Raises ContextError or MediaError."""
        self._end_reply()
        self._append(segments)

    def _append(self, segments: Sequence[Segment]) -> None:
        pieces = [self._piece(segment) for segment in segments]
        total = self._timeline.length + sum(piece.tokens for piece in pieces)
        if total > self.limit:
            raise ContextError(
                f"The conversation would have {total:,} tokens, but there is room for {self.limit:,}.",
                "Shorten the text, leave out a picture or a recording, or start a new conversation.",
            )
        if not self._room(total - self._decoder.cache.touched):
            self._decoder.save_memory()
            check_room(self.package.kv_bytes(total - self._decoder.cache.touched))
        self._timeline.extend(pieces)

    def generate(
        self, options: GenerateOptions = _GREEDY, cancel: threading.Event | None = None
    ) -> Generator[Event, None, None]:
        """Encode and prefill what is new, then write a reply (see `Session.generate`)."""
        self._end_reply()
        self._open = self._generate(options, cancel)
        yield from self._open

    def apart(
        self,
        segments: Sequence[Segment],
        options: GenerateOptions = _GREEDY,
        cancel: threading.Event | None = None,
    ) -> Generator[Event, None, None]:
        """A reply to a prompt of its own, such as the transcript of a clip; events as of `generate`.

        It sees nothing of the conversation, so its own content chooses the adapter; it leaves nothing there.
        """
        self._end_reply()
        self._open = self._apart(segments, options, cancel)
        yield from self._open

    def _apart(
        self, segments: Sequence[Segment], options: GenerateOptions, cancel: threading.Event | None
    ) -> Generator[Event, None, None]:
        kept = self._timeline, self._computed, self._seconds
        self._timeline, self._computed, self._seconds = Timeline(), 0, defaultdict(float)
        try:
            with self._decoder.apart():
                self._append(segments)
                yield from self._generate(options, cancel)
        finally:
            self._timeline, self._computed, self._seconds = kept

    def _end_reply(self) -> None:
        """Close the iterator of a reply that was left half-way: it must not write into what comes now."""
        if self._open is not None:
            self._open.close()

    def _generate(
        self, options: GenerateOptions, cancel: threading.Event | None
    ) -> Generator[Event, None, None]:
        if not self._timeline.length:
            raise ContextError("There is nothing to answer.", "Say or write something first.")
        ledger = _Ledger(self._seconds)
        self._seconds = defaultdict(float)
        reason: Reason = "cancelled"
        with Runner(cancel) as runner:
            mode = self._timeline.mode
            if options.before_sound and mode == 0:
                mode = 2  # with a picture, its adapter stays on
            work = _Work(runner, ledger, mode, options.max_tokens > 0)
            seen = self._encoders.crops
            try:
                logits = yield from self._prefill(work)
                reason = yield from self._write(options, work, logits)
            except Cancelled:
                pass
            ledger.crops = self._encoders.crops - seen
        yield Finished(reason, ledger.closed())

    def mark(self) -> int:
        """The present place in the conversation."""
        return len(self._timeline.pieces)

    def rewind(self, mark: int) -> None:
        """Forget everything after ``mark``. Costs nothing until the next reply."""
        self._end_reply()
        self._timeline.rewind(mark)
        self._decoder.rewind(self._timeline.length)
        self._computed = min(self._computed, self._timeline.length)

    def close(self) -> None:
        """Free the model; the session can't be used any more."""
        self._end_reply()
        self._ends.set()
        self._gathering.join()
        for part in ("_decoder", "_encoders", "_front_end"):
            self.__dict__.pop(part, None)

    # --- tokens

    def _piece(self, segment: Segment) -> Piece:
        match segment:
            case Control(token):
                return Words([self._front_end.control(token)])
            case Text(text):
                if len(text) > _LONGEST_TOKEN * self.limit:
                    raise ContextError(
                        f"The text has {len(text):,} characters, but only {self.limit:,} tokens fit.",
                        "Shorten it.",
                    )
                with self._timed("tokenize"):
                    return Words(self._front_end.encode(text))
            case Reply(ids):
                return Words(list(ids))
            case Picture() | Clip():
                if isinstance(segment, Clip) and _clip_tokens(segment) > self.limit:
                    raise ContextError(
                        f"The recording takes {_clip_tokens(segment):,} tokens, but only {self.limit:,} fit.",
                        "Choose a shorter one.",
                    )
                with self._timed("preprocess"):
                    return self._encoders.prepare(segment)

    def _room(self, tokens: int) -> bool:
        """Tell whether memory is left for the keys and values of so many tokens more."""
        return has_room(self.package.kv_bytes(max(0, tokens)))

    def _control_names(self) -> dict[int, str]:
        names = {}
        for name in prompt.NAMED:
            try:
                names[self._front_end.control(name)] = name
            except KeyError:
                continue  # a tokenizer without tools
        return names

    # --- prompt

    def _prefill(self, work: _Work) -> Generator[Event, None, Logits]:
        """Bring the cache up to the end of the conversation; returns the logits that follow it."""
        timeline, ledger = self._timeline, work.ledger
        total = timeline.length
        long = total > self.package.original_max_position_embeddings
        state = (_own_validity(work.mode) if self._own else _adapter(work.mode), long)
        self._decoder.switch(state, self._room)
        cache = self._decoder.cache
        cache.truncate(total - work.wanted)  # the last token always runs where its logits are wanted
        start = cache.length
        writing = ledger.generated > 0
        if not writing:
            ledger.reused = start
        yield from self._encode(start, total, work)
        chunk = self._settings.chunk
        logits: Logits = np.zeros(0, np.float32)
        while cache.length < total:
            size = max(chunk, self._decoder.long_first - cache.length) if long else chunk
            begin, end = cache.length, min(cache.length + size, total)
            quick = self._decoder.reads(min(end, total - work.wanted) - begin)
            end = min(end, total - work.wanted) if quick else end
            with self._timed("decode" if writing and total - start == 1 else "prefill", ledger):
                rows = self._embeddings(begin, end, work)
                if quick:
                    self._decoder.read(rows, self._own or work.mode, long, work.runner)
                else:
                    logits = self._decoder.step(rows, self._own or work.mode, long, work.runner)
            known = max(begin, min(self._computed, end))
            ledger.recomputed += known - begin
            ledger.prefilled += 0 if writing else end - known
            self._computed = max(self._computed, end)
            if total - start > 1:
                yield Progress("prefill", end - start, total - start)
        return logits

    def _encode(self, start: int, end: int, work: _Work) -> Iterator[Event]:
        """Get the features of all media in ``start:end`` that this reply has not used yet."""
        waiting: dict[tuple[str, int], Media] = {}
        for piece, _, _ in self._timeline.between(start, end):
            if isinstance(piece, Media) and (piece.key, work.mode) not in work.features:
                if (piece.key, work.mode) in waiting:
                    piece.inputs = None  # the same content is encoded once
                waiting.setdefault((piece.key, work.mode), piece)
        done, total = 0, sum(self._encoders.steps(media) for media in waiting.values())
        for key, media in waiting.items():
            stage: Stage = "vision" if isinstance(media.segment, Picture) else "speech"
            steps = self._encoders.encode(media, work.mode, work.runner)
            while key not in work.features:
                yield Progress(stage, done, total)
                with self._timed(stage, work.ledger):
                    try:
                        next(steps)
                    except StopIteration as over:
                        work.features[key] = over.value
                done += 1
        if waiting:
            yield Progress(stage, total, total)

    def _embeddings(self, start: int, end: int, work: _Work) -> NDArray[np.float32]:
        """The embeddings [end - start, hidden] of the tokens ``start:end``."""
        pieces = list(self._timeline.between(start, end))
        ids = [
            piece.ids[first:last] if isinstance(piece, Words) else [0] * (last - first)
            for piece, first, last in pieces
        ]
        result = self._decoder.embed(np.array([i for part in ids for i in part], np.int64), work.runner)
        at = 0
        for piece, first, last in pieces:
            if isinstance(piece, Media):
                result[at : at + last - first] = work.features[piece.key, work.mode][first:last]
            at += last - first
        return result

    # --- reply

    def _write(self, options: GenerateOptions, work: _Work, logits: Logits) -> Generator[Event, None, Reason]:
        """Generate tokens; returns the reason for the end."""
        stops = self._front_end.stop_ids if options.stop_ids is None else options.stop_ids
        sampler, guard = Sampler(options), RepetitionGuard(options.repetition_guard)
        stream, reply = self._front_end.stream(), Words([])
        while work.ledger.generated < options.max_tokens:
            if reply.ids:
                logits = yield from self._prefill(work)
            work.runner.check()
            token = sampler(logits)
            if token in stops:
                return "stop"
            if self._timeline.length >= self.limit:
                return "context"
            self._timeline.write(token, reply)
            work.ledger.generated += 1
            yield Token(token, stream.push(token), self._names.get(token, ""))
            if guard.push(token):
                return "repetition"
        return "length"

    @contextmanager
    def _timed(self, stage: str, ledger: _Ledger | None = None) -> Iterator[None]:
        """Add the seconds spent inside to a stage."""
        seconds = self._seconds if ledger is None else ledger.seconds
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds[stage] += time.perf_counter() - start


def _clip_tokens(clip: Clip) -> int:
    """About as many tokens as a clip will take, before anything is done with it."""
    return int(clip.samples.size / max(clip.rate, 1) * FRAME_RATE / FRAMES_PER_TOKEN)


def _adapter(mode: int) -> str:
    """What an adapter mode switches on: keys and values are valid for this, not for the number.

    A clip's projection follows it: modes 1 and 3 share the adapter, and 1 means that there is no clip.
    """
    return ("none", "vision", "speech", "vision")[mode]


def _own_validity(mode: int) -> str:
    """The same under a user's own adapter: only the projection of clips changes, with the first picture."""
    return "vision projection" if mode in (1, 3) else "speech projection"


def _own_adapter(package: packages.PackageInfo, name: str | None) -> int | None:
    """The adapter mode of a user's own adapter. Raises PackageError if the package has none of this name."""
    if name is None:
        return None
    if name not in package.own_adapters:
        known = ", ".join(sorted(package.own_adapters)) or "none"
        raise PackageError(
            f"The model {package.name} has no adapter called {name}.",
            f"Build the model with it, or choose one that it has: {known}.",
        )
    return package.own_adapters[name]
