"""Random weights of a given architecture, for speed work at real size without a checkpoint."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.adapters import Adapter
from models.config import AudioConfig, Phi4MMConfig, RopeConfig, VisionConfig
from models.errors import CheckpointError
from models.tensor_names import Shape, expected, text_projections, unused

_NOISE = 4_194_301  # a prime: rows of a matrix never repeat in step with the block they are cut from
# the published long factors; the short ones are all 1
# fmt: off
_LONG_FACTOR = (
    1.0, 1.118320672, 1.250641126, 1.398617824, 1.564103225, 1.74916897, 1.956131817, 2.187582649,
    2.446418898, 2.735880826, 3.059592084, 3.421605075, 3.826451687, 4.279200023, 4.785517845,
    5.351743533, 5.984965424, 6.693110555, 7.485043894, 8.370679318, 9.36110372, 10.4687158,
    11.70738129, 13.09260651, 14.64173252, 16.37415215, 18.31155283, 20.47818807, 22.90118105,
    25.61086418, 28.64115884, 32.03, 32.1, 32.13, 32.23, 32.6, 32.61, 32.64, 32.66, 32.7, 32.71, 32.93,
    32.97, 33.28, 33.49, 33.5, 44.16, 47.77,
)
# fmt: on

REAL = Phi4MMConfig(
    vocab_size=200064,
    hidden_size=3072,
    intermediate_size=8192,
    layers=32,
    heads=24,
    kv_heads=8,
    head_dim=128,
    rms_norm_eps=1e-5,
    tied_embeddings=True,
    max_position_embeddings=131072,
    original_max_position_embeddings=4096,
    bos_token_id=199999,
    eos_token_ids=(200020, 199999),
    pad_token_id=199999,
    rope=RopeConfig(10000.0, 96, (1.0,) * 48, _LONG_FACTOR, math.sqrt(1 + math.log(32) / math.log(4096))),
    vision=VisionConfig(),
    audio=AudioConfig(),
)


def shortened(config: Phi4MMConfig, layers: int) -> Phi4MMConfig:
    """The same widths with at most ``layers`` layers in each of the three stacks."""
    return replace(
        config,
        layers=min(layers, config.layers),
        vision=replace(config.vision, layers=min(layers, config.vision.layers)),
        audio=replace(config.audio, blocks=min(layers, config.audio.blocks)),
    )


def proportional(config: Phi4MMConfig, layers: int) -> Phi4MMConfig:
    """The same widths with ``layers`` layers and the same share of the vocabulary.

    What a token costs shrinks alike in every part, so that ratios of times are those of the whole model.
    """
    if layers >= config.layers:
        return config
    small = shortened(config, layers)
    return replace(
        small,
        vocab_size=max(512, config.vocab_size * layers // config.layers // 64 * 64),
        bos_token_id=256,
        eos_token_ids=(257, 256),
        pad_token_id=256,
        vision=replace(small.vision, image_token_id=258),
        audio=replace(small.audio, audio_token_id=259),
    )


@dataclass
class RandomCheckpoint:
    """Weights made on demand: the same names, config and seed give the same numbers.

    Values are normal noise cut from one block (cheap), scaled so that activations stay finite. The adapters
    have the published ranks, 256 for vision and 320 for speech, both with alpha twice the rank.
    """

    config: Phi4MMConfig
    seed: int = 0
    ranks: Mapping[str, int] = field(default_factory=lambda: {"vision": 256, "speech": 320})

    @cached_property
    def adapters(self) -> Mapping[str, Adapter]:
        """LoRA adapters on every projection of the language model."""
        modules = frozenset(text_projections(self.config))
        return {name: Adapter(name, rank, 2.0, modules) for name, rank in self.ranks.items()}

    def names(self) -> set[str]:
        """Canonical names of all tensors."""
        return set(self._shapes)

    def read(self, name: str) -> NDArray[np.float32]:
        """Return the tensor ``name``; raise CheckpointError if there is none of this name."""
        shape = self._shape(name)
        return self._values(name, 0, math.prod(shape)).reshape(shape)

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        """Return rows ``start`` to ``stop`` of a tensor, without making the others."""
        shape = self._shape(name)
        width = math.prod(shape[1:])
        return self._values(name, start * width, (stop - start) * width).reshape(stop - start, *shape[1:])

    def _shape(self, name: str) -> Shape:
        if name not in self._shapes:
            raise CheckpointError(f"There is no tensor {name}.")
        return self._shapes[name]

    def _values(self, name: str, first: int, count: int) -> NDArray[np.float32]:
        digest = hashlib.sha256(f"{self.seed} {name}".encode()).digest()
        start = (int.from_bytes(digest[:8], "little") + first) % _NOISE
        values = np.empty(count, np.float32)
        done = 0
        while done < count:
            part = self._noise[start : start + count - done]
            values[done : done + part.size] = part
            done, start = done + part.size, 0
        if name.endswith(("norm.weight", "norm1.weight", "norm2.weight", "norm_att.weight", "invstd")):
            values *= 0.02
            values += 1.0
        else:
            shape = self._shapes[name]
            values *= 1.0 / math.sqrt(shape[-1]) if len(shape) == 2 else 0.02
        return values

    def needed(self) -> set[str]:
        """The tensors that must be in the package: all of them."""
        return set(self._shapes)

    @cached_property
    def _noise(self) -> NDArray[np.float32]:
        return np.random.default_rng(self.seed).standard_normal(_NOISE, np.float32)

    @cached_property
    def _shapes(self) -> dict[str, Shape]:
        needless = unused(self.config)
        shapes = {n: s for n, s in expected(self.config).items() if n not in needless}
        for adapter in self.adapters.values():
            shapes |= adapter.tensors(text_projections(self.config))
        return shapes
