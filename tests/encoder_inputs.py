"""Inputs of the vision and speech graphs as genai shapes them, and the reference's masks put right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray
from transformers.models.phi4_multimodal.modeling_phi4_multimodal import Phi4MultimodalAudioModel

SIDE = 32  # patches along a crop
Grid = tuple[int, int]  # rows and columns of crops


def session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(path), options)


def pictures(grids: list[Grid], padding: list[Grid]) -> dict[str, NDArray[Any]]:
    """Random pictures of these grids; ``padding`` patches at the bottom and right of each are not shown."""
    rng = np.random.default_rng(len(grids) + sum(a * b for a, b in grids))
    crops = 1 + max(rows * columns for rows, columns in grids)
    mask = np.zeros((len(grids), crops, SIDE, SIDE), np.float32)
    for i, ((rows, columns), (bottom, right)) in enumerate(zip(grids, padding, strict=True)):
        area = np.zeros((rows * SIDE, columns * SIDE), np.float32)
        area[: rows * SIDE - bottom, : columns * SIDE - right] = 1
        crop_masks = area.reshape(rows, SIDE, columns, SIDE).swapaxes(1, 2)
        mask[i, 0] = 1
        mask[i, 1 : 1 + rows * columns] = crop_masks.reshape(-1, SIDE, SIDE)
    return {
        "pixel_values": rng.standard_normal((len(grids), crops, 3, 448, 448), np.float32),
        "image_attention_mask": mask,
        "image_sizes": np.array(grids, np.int64) * 448,
    }


def tokens(grid: Grid, padding: Grid) -> int:
    """What genai's processor counts: 256 + 1 + 16 + useful cells at half resolution + their rows."""
    high, wide = ((count * SIDE - cut + 1) // 2 for count, cut in zip(grid, padding, strict=True))
    return 256 + 1 + 16 + high * wide + high


def clips(*lengths: int, mode: int = 2) -> dict[str, NDArray[Any]]:
    """Random clips of these numbers of frames (100 a second), padded with zeros to the longest."""
    rng = np.random.default_rng(sum(lengths))
    frames = rng.standard_normal((len(lengths), max(lengths), 80), np.float32) * 2 + 1
    mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
    return {
        "audio_embeds": np.where(mask[:, :, None], frames, np.float32(0)),
        "audio_attention_mask": mask,
        "audio_sizes": np.array([-(-length // 8) for length in lengths], np.int64),
        "audio_projection_mode": np.array([mode], np.int64),
    }


@contextmanager
def true_masks() -> Iterator[None]:
    """Let the reference's masks keep padding out, as the original model's do."""
    compute: Any = Phi4MultimodalAudioModel.calculate_hs_mask
    embed: Any = Phi4MultimodalAudioModel.forward_embeddings

    def scores(mask: Any) -> Any:
        # a row of padding that sees nothing would be NaN; it is cut off in the end
        seen = mask | ~mask.any(-1, keepdim=True)
        return torch.zeros(seen.shape).masked_fill(~seen, float("-inf"))

    def calculate_hs_mask(self: Any, hidden: Any, device: Any, mask: Any) -> Any:
        return scores(compute(self, hidden, device, mask))

    def forward_embeddings(self: Any, hidden: Any, masks: Any) -> Any:
        hidden, hs_mask, masks = embed(self, hidden, masks)
        return hidden, scores(hs_mask), masks

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Phi4MultimodalAudioModel, "calculate_hs_mask", calculate_hs_mask)
        patch.setattr(Phi4MultimodalAudioModel, "forward_embeddings", forward_embeddings)
        yield
