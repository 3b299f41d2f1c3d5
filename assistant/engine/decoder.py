"""The embedding graph and the language model's, driven directly, with the KV cache kept between calls."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from assistant.engine.kv_cache import KVCache, KVCaches
from assistant.engine.protocol import EngineSettings
from assistant.engine.runtime import Feeds, Runner, open_graph
from models.errors import PackageError
from models.package import PackageInfo

LONG_INPUT: Final = "long_context"
FEWEST: Final = 8
"""Tokens from which on the quicker graph for prompts is worth it: it reads all of its weights once."""


class Decoder:
    """Turns ids into embeddings, and embeddings into logits and cached keys and values."""

    def __init__(self, package: PackageInfo, settings: EngineSettings, limit: int) -> None:
        """Load both graphs; ``limit`` is the number of tokens at most. Raises PackageError."""
        self._hidden = package.hidden_size
        self._embedding = self._open_embedding(package, settings)
        self._text = self._open_text(package, "text", settings)
        self._binding = self._text.io_binding()
        self._reader = self._open_reader(package, settings)
        self._reading = None if self._reader is None else self._reader.io_binding()
        optional = {value.name for value in self._text.get_overridable_initializers()}
        self._adapter_input = package.adapter_input if package.adapter_input in optional else None
        self.long_first = 0 if LONG_INPUT in optional else package.original_max_position_embeddings + 1
        """Tokens that the first step of a long prompt needs if the graph can't be asked for long factors."""
        self._nothing = np.zeros((0, self._hidden), np.float32)
        self._ones = np.ones((1, 1024), np.int64)
        self._new_caches: Callable[[], KVCaches] = lambda: KVCaches(
            lambda: KVCache(package.layers, package.kv_heads, package.head_size, limit)
        )
        self._caches = self._new_caches()
        self._bind_cache()

    @property
    def cache(self) -> KVCache:
        """The keys and values in use."""
        return self._caches.current

    def switch(self, state: Hashable, room: Callable[[int], bool]) -> None:
        """Use keys and values that were computed under ``state`` (see `KVCaches.switch`)."""
        if self._caches.switch(state, room):
            self._bind_cache()

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Inside, there are keys and values of another conversation, which is forgotten at the end."""
        kept = self._caches
        self._caches = self._new_caches()
        self._bind_cache()
        try:
            yield
        finally:
            self._caches = kept
            self._bind_cache()

    def rewind(self, length: int) -> None:
        """Forget all tokens from ``length`` on."""
        self._caches.truncate(length)

    def save_memory(self) -> None:
        """Forget the keys and values that are not in use."""
        self._caches.drop_waiting()

    def embed(self, ids: NDArray[np.int64], runner: Runner) -> NDArray[np.float32]:
        """The embeddings [n, hidden] of text tokens [n]."""
        feeds: Feeds = {
            "input_ids": ids[None, :],
            "image_features": self._nothing,
            "audio_features": self._nothing,
        }
        rows: NDArray[np.float32] = runner.encode(self._embedding, feeds)[0]
        return rows

    def step(
        self, embeddings: NDArray[np.float32], mode: int, long: bool, runner: Runner
    ) -> NDArray[np.float32]:
        """Take the next tokens [n, hidden]; the logits [vocabulary] that follow the last of them.

        ``mode`` is the adapter mode; ``long`` asks for the long RoPE factors. If the run is stopped, the
        cache is as before.
        """
        self._binding.bind_output("logits", "cpu")
        self._run(False, embeddings, mode, long, runner)
        logits: NDArray[np.float32] = self._binding.get_outputs()[0].numpy()[0, -1]
        return logits

    def reads(self, tokens: int) -> bool:
        """Tell whether `read` is the quicker way to take so many tokens that need no logits."""
        return self._reading is not None and tokens >= FEWEST

    def read(self, embeddings: NDArray[np.float32], mode: int, long: bool, runner: Runner) -> None:
        """Take the next tokens as `step` does, in 8 bits and without logits; only where `reads`."""
        self._run(True, embeddings, mode, long, runner)

    def _run(
        self, reading: bool, embeddings: NDArray[np.float32], mode: int, long: bool, runner: Runner
    ) -> None:
        session, binding = (self._reader, self._reading) if reading else (self._text, self._binding)
        assert session is not None
        assert binding is not None
        total = self.cache.length + len(embeddings)
        if total > self.cache.capacity:
            for each in self._bindings():
                each.clear_binding_inputs()  # both hold the old buffers
                each.clear_binding_outputs()
            try:
                self.cache.reserve(total)
            finally:
                self._bind_cache()
        if total > self._ones.shape[1]:
            self._ones = np.ones((1, 2 * total), np.int64)
        values = {"inputs_embeds": embeddings[None], "attention_mask": self._ones[:, :total]}
        if self._adapter_input:
            values[self._adapter_input] = np.array([mode], np.int64)
        if not self.long_first:
            values[LONG_INPUT] = np.array([int(long)], np.int64)
        for name, array in values.items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
        runner.run(session, binding)
        self.cache.length = total
        self.cache.touched = max(self.cache.touched, total)

    def _bindings(self) -> list[ort.IOBinding]:
        return [binding for binding in (self._binding, self._reading) if binding is not None]

    @staticmethod
    def _open_embedding(package: PackageInfo, settings: EngineSettings) -> ort.InferenceSession:
        rows = ("tensor(float)", [None, package.hidden_size])
        return open_graph(
            package.path / package.graphs["embedding"],
            settings,
            {"input_ids": ("tensor(int64)", [None, None]), "image_features": rows, "audio_features": rows},
            {"inputs_embeds": ("tensor(float)", [None, None, package.hidden_size])},
        )

    def _open_reader(self, package: PackageInfo, settings: EngineSettings) -> ort.InferenceSession | None:
        """The graph that only reads prompts. Raises PackageError if its inputs are not the text graph's."""
        if settings.prefill == "same" or "prefill" not in package.graphs:
            return None
        reader = self._open_text(package, "prefill", settings)
        if {v.name for v in reader.get_overridable_initializers()} != {
            v.name for v in self._text.get_overridable_initializers()
        }:
            raise PackageError(
                f"{package.graphs['prefill']} does not fit {package.graphs['text']}.",
                "Build the package again, or fetch it again.",
            )
        return reader

    @staticmethod
    def _open_text(package: PackageInfo, graph: str, settings: EngineSettings) -> ort.InferenceSession:
        names = [f"{i}.{of}" for i in range(package.layers) for of in ("key", "value")]
        cache = ("tensor(float)", [None, package.kv_heads, None, package.head_size])
        return open_graph(
            package.path / package.graphs[graph],
            settings,
            {
                "inputs_embeds": ("tensor(float)", [None, None, package.hidden_size]),
                "attention_mask": ("tensor(int64)", [None, None]),
                **{f"past_key_values.{name}": cache for name in names},
            },
            {
                **(
                    {"logits": ("tensor(float)", [None, None, package.vocab_size])} if graph == "text" else {}
                ),
                **{f"present.{name}": cache for name in names},
            },
            settings.arena,
        )

    def _bind_cache(self) -> None:
        for binding in self._bindings():
            binding.clear_binding_inputs()
            binding.clear_binding_outputs()
            if binding is self._binding:
                binding.bind_output("logits", "cpu")
            for i, value in enumerate(self.cache.values):
                name = f"{i // 2}.{'value' if i % 2 else 'key'}"
                binding.bind_ortvalue_input(f"past_key_values.{name}", value)
                binding.bind_ortvalue_output(f"present.{name}", value)
