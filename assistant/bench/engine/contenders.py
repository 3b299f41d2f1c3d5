"""What each contender's process does: the same work, in each program's own way.

Language models have `warm`, `prefill`, `extend` and `decode`, all in seconds. They see the same tokens.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime_genai as og

from assistant.bench.engine.ceilings import Machine
from assistant.bench.engine.plan import KEPT, LONGEST, Kind
from assistant.engine.encoders import PORTS
from assistant.engine.protocol import Clip, EngineSettings, GenerateOptions, Reply, Token
from assistant.engine.runtime import Feeds, Port, Runner, open_graph
from assistant.engine.session import LocalSession
from models.errors import EngineError

_TOKENS: Final = tuple(int(i) for i in np.random.default_rng(7).integers(33, 127, LONGEST))


def opened(kind: Kind) -> Callable[..., Any]:
    """What loads a contender of a kind from its path, with so many threads, and settings of its own."""
    kinds: dict[Kind, Callable[..., Any]] = {
        "aside": Aside,
        "genai": Genai,
        "llama": LlamaCpp,
        "encoders": Encoders,
        "machine": Machine,
    }
    return kinds[kind]


class Aside:
    """The engine as the program uses it, in this process."""

    def __init__(self, path: str, threads: int, **settings: int | str) -> None:
        """``settings`` are those of `EngineSettings`."""
        self._session = LocalSession(Path(path), EngineSettings(**{"threads": threads, **settings}))  # type: ignore[arg-type] # checked by `tune`
        self._marks: dict[int, int] = {}
        ends = frozenset(range(self._session.package.vocab_size))  # the logits are wanted, no token is
        self._read_only = GenerateOptions(max_tokens=1, stop_ids=ends)

    def warm(self) -> float:
        """What is slow the first time."""
        return self.prefill(64) + self.decode(1, 4)

    def prefill(self, count: int) -> float:
        """Forget all, then take so many tokens."""
        self._session.rewind(0)
        self._marks = {}
        done = 0
        for end in sorted({min(count, KEPT), count}):
            self._session.append(Reply(_TOKENS[done:end]))
            self._marks[end] = self._session.mark()
            done = end
        return self._read()

    def extend(self, keep: int, count: int) -> float:
        """Keep so many tokens, then take ``count`` more."""
        self._session.rewind(self._marks[keep])
        self._session.append(Reply(_TOKENS[:count]))
        return self._read()

    def decode(self, keep: int, count: int) -> float:
        """Keep so many tokens, then write ``count``; the first token's logits are not counted."""
        if keep in self._marks:
            self._session.rewind(self._marks[keep])
        else:
            self.prefill(keep)
        return self._write(count)

    def turn(self, prompt: int, reply: int) -> float:
        """Take a prompt of so many tokens and write a reply of so many."""
        return self.prefill(prompt) + self.decode(prompt, reply)

    def adapted(self, count: int) -> float:
        """Write ``count`` tokens after a short sound, with the speech adapter on."""
        self._session.rewind(0)
        self._marks = {}
        self._session.append(Clip(np.zeros(1_600, np.float32), 16_000))
        return self._write(count)

    def _read(self) -> float:
        start = time.perf_counter()
        for _ in self._session.generate(self._read_only):
            pass
        return time.perf_counter() - start

    def _write(self, count: int) -> float:
        options = GenerateOptions(max_tokens=count + 1, stop_ids=frozenset(), repetition_guard=0)
        times = [time.perf_counter() for event in self._session.generate(options) if isinstance(event, Token)]
        if len(times) != count + 1:
            raise EngineError(f"The engine wrote {len(times)} tokens, not {count + 1}.", "Report it.")
        return times[-1] - times[0]


class Genai:
    """onnxruntime-genai's generator on the same package; it loads the encoders as well."""

    def __init__(self, path: str, threads: int) -> None:
        og.disable_telemetry_events()
        config = og.Config(path)
        options = {"intra_op_num_threads": threads}
        config.overlay(json.dumps({"model": {"decoder": {"session_options": options}}}))
        self._model = og.Model(config)
        parameters = og.GeneratorParams(self._model)
        parameters.set_search_options(max_length=LONGEST, min_length=LONGEST, do_sample=False)
        self._generator = og.Generator(self._model, parameters)

    def warm(self) -> float:
        """What is slow the first time."""
        return self.prefill(64) + self.decode(1, 4)

    def prefill(self, count: int) -> float:
        """Forget all, then take so many tokens."""
        return self.extend(0, count)

    def extend(self, keep: int, count: int) -> float:
        """Keep so many tokens, then take ``count`` more."""
        self._generator.rewind_to(keep)
        start = time.perf_counter()
        self._generator.append_tokens(np.array(_TOKENS[:count], np.int32))
        return time.perf_counter() - start

    def decode(self, keep: int, count: int) -> float:
        """Keep so many tokens, then write ``count``; the first token's logits are not counted."""
        self.extend(keep - 1, 1)
        self._generator.generate_next_token()
        start = time.perf_counter()
        for _ in range(count):
            self._generator.generate_next_token()
        return time.perf_counter() - start


class LlamaCpp:
    """llama.cpp through llama-cpp-python's plain bindings: batches of 512, float16 keys and values."""

    def __init__(self, path: str, threads: int) -> None:
        self._c = c = importlib.import_module("llama_cpp.llama_cpp")
        c.llama_backend_init()
        model = c.llama_model_load_from_file(path.encode(), c.llama_model_default_params())
        if not model:
            raise EngineError(f"llama.cpp can't load {path}.", "Delete it, and it is written again.")
        settings = c.llama_context_default_params()
        settings.n_ctx, settings.n_batch = LONGEST, 2048
        settings.n_threads = settings.n_threads_batch = threads
        self._context = c.llama_init_from_model(model, settings)
        if not self._context:
            raise EngineError("llama.cpp can't make room for the conversation.", "Close other programs.")
        self._memory = c.llama_get_memory(self._context)
        self._vocabulary = int(c.llama_vocab_n_tokens(c.llama_model_get_vocab(model)))

    def warm(self) -> float:
        """What is slow the first time."""
        return self.prefill(64) + self.decode(1, 4)

    def prefill(self, count: int) -> float:
        """Forget all, then take so many tokens."""
        return self.extend(0, count)

    def extend(self, keep: int, count: int) -> float:
        """Keep so many tokens, then take ``count`` more."""
        self._c.llama_memory_seq_rm(self._memory, 0, keep, -1)
        start = time.perf_counter()
        self._take(_TOKENS[:count])
        return time.perf_counter() - start

    def decode(self, keep: int, count: int) -> float:
        """Keep so many tokens, then write ``count``; the first token's logits are not counted."""
        self.extend(keep - 1, 1)
        token = self._best()
        start = time.perf_counter()
        for _ in range(count):
            self._take((token,))
            token = self._best()
        return time.perf_counter() - start

    def _take(self, tokens: tuple[int, ...]) -> None:
        array = (ctypes.c_int32 * len(tokens))(*tokens)
        code = self._c.llama_decode(self._context, self._c.llama_batch_get_one(array, len(tokens)))
        if code:
            raise EngineError(f"llama.cpp failed (code {code}).", "Leave it out: install it again.")
        self._c.llama_synchronize(self._context)

    def _best(self) -> int:
        logits = self._c.llama_get_logits_ith(self._context, -1)
        return int(np.ctypeslib.as_array(logits, (self._vocabulary,)).argmax())


class Encoders:
    """The vision and the speech graph in a folder, on noise."""

    def __init__(self, path: str, threads: int) -> None:
        self._graphs: dict[str, Any] = {}
        settings = EngineSettings(threads=threads)
        for name in ("vision", "speech"):
            inputs, output = PORTS[name]
            outputs: dict[str, Port] = {output: ("tensor(float)", [None, None])}
            self._graphs[name] = open_graph(Path(path) / f"phi-4-mm-{name}.onnx", settings, inputs, outputs)
        self._noise = np.random.default_rng(7)

    def warm(self) -> float:
        """What is slow the first time."""
        return self.see(1) + self.hear(30)

    def see(self, size: int) -> float:
        """A picture of so many crops side by side, and its overview."""
        return self._run(
            "vision",
            {
                "pixel_values": self._noise.uniform(-1, 1, (1, 1 + size, 3, 448, 448)).astype(np.float32),
                "image_attention_mask": np.ones((1, 1 + size, 32, 32), np.float32),
                "image_sizes": np.array([[448, 448 * size]], np.int64),
            },
        )

    def hear(self, size: int) -> float:
        """So many seconds of sound."""
        return self._run(
            "speech",
            {
                "audio_embeds": self._noise.standard_normal((1, 100 * size, 80)).astype(np.float32),
                "audio_attention_mask": np.ones((1, 100 * size), np.bool_),
                "audio_sizes": np.array([-(-100 * size // 8)], np.int64),
                "audio_projection_mode": np.array([2], np.int64),
            },
        )

    def _run(self, name: str, feeds: Feeds) -> float:
        with Runner() as runner:
            start = time.perf_counter()
            runner.encode(self._graphs[name], feeds)
            return time.perf_counter() - start
