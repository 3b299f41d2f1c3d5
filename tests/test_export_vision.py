"""The vision graph against transformers' picture embedding, in float32 within 1e-4."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import tiny
import torch
from encoder_inputs import SIDE, Grid, pictures, session, tokens
from numpy.typing import NDArray

from models.checkpoint import Checkpoint
from models.errors import CheckpointError
from models.export.quantize import Precision
from models.export.vision import position_buckets, write_vision
from models.random_weights import REAL, RandomCheckpoint

ort.set_default_logger_severity(3)
Floats = NDArray[np.float32]


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny.tiny_model()


@pytest.fixture(scope="module")
def checkpoint(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("vision") / "checkpoint"
    return Checkpoint.open(tiny.save_checkpoint(folder, model, tiny.tiny_adapters(model)))


@pytest.fixture(scope="module")
def graph(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> ort.InferenceSession:
    return session(write_vision(checkpoint, tmp_path_factory.mktemp("graph")))


def reference(model: Any, inputs: dict[str, NDArray[Any]], count: int) -> Floats:
    """transformers' features, scattered over a prompt that is nothing but picture tokens."""
    ids = torch.full((1, count), model.config.vision_config.image_token_id)
    with torch.no_grad():
        rows = model.model.embed_tokens_extend.image_embed(
            ids,
            torch.zeros(1, count, model.config.hidden_size),
            image_pixel_values=torch.from_numpy(inputs["pixel_values"]),
            image_sizes=torch.from_numpy(inputs["image_sizes"]),
            image_attention_mask=torch.from_numpy(inputs["image_attention_mask"]),
        )
    features: Floats = rows[0].numpy()
    return features


@pytest.mark.parametrize(
    ("grids", "padding"),
    [
        ([(1, 1)], [(0, 0)]),
        ([(2, 1)], [(0, 0)]),
        ([(1, 3)], [(0, 0)]),
        ([(2, 3)], [(0, 0)]),
        ([(2, 3)], [(9, 0)]),
        ([(1, 1)], [(31, 0)]),  # one line of patches
        ([(5, 1)], [(0, 27)]),  # a narrow column
        ([(1, 2), (2, 2)], [(0, 5), (12, 0)]),
        ([(2, 1), (1, 1)], [(3, 0), (0, 0)]),  # the second picture has a crop that isn't its own
    ],
)
def test_features_equal_the_reference(
    model: Any, graph: ort.InferenceSession, grids: list[Grid], padding: list[Grid]
) -> None:
    inputs = pictures(grids, padding)
    features = graph.run(None, inputs)[0]
    count = sum(tokens(g, p) for g, p in zip(grids, padding, strict=True))
    assert features.shape == (count, model.config.hidden_size)
    expected = reference(model, inputs, count)
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(features, expected, atol=1e-4)


def test_crops_beyond_a_picture_are_not_encoded(graph: ort.InferenceSession) -> None:
    inputs = pictures([(1, 2), (1, 1)], [(0, 0), (0, 0)])
    expected = graph.run(None, inputs)[0]
    inputs["pixel_values"][1, 2] = np.nan
    np.testing.assert_array_equal(graph.run(None, inputs)[0], expected)


def test_padding_does_not_reach_the_features_that_show_the_picture(graph: ort.InferenceSession) -> None:
    inputs = pictures([(1, 1)], [(8, 0)])
    expected = graph.run(None, inputs)[0]
    inputs["pixel_values"][0, 1, :, -8 * 14 :] += 3
    np.testing.assert_allclose(graph.run(None, inputs)[0], expected, atol=1e-5)


def test_a_picture_gives_the_same_rows_alone_and_beside_another(graph: ort.InferenceSession) -> None:
    both = pictures([(1, 2), (2, 1)], [(0, 3), (4, 0)])
    together = graph.run(None, both)[0]
    alone = [graph.run(None, {n: v[i : i + 1] for n, v in both.items()})[0] for i in range(2)]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-5)


def test_positions_are_the_reference_s_for_every_length() -> None:
    table = position_buckets(SIDE)
    boundaries = torch.arange(1 / SIDE, 1.0, 1 / SIDE)
    for n in range(1, SIDE + 1):
        places = torch.clamp(torch.arange(SIDE, dtype=torch.float32) * (1.0 / torch.tensor(n)), max=1 - 1e-6)
        assert table[n].tolist() == torch.bucketize(places, boundaries, right=True).tolist()


@pytest.mark.parametrize(
    ("name", "allowed"), [("fp16", 0.01), ("int8", 0.1), ("int4", 0.5), ("dynamic8", 0.1)]
)
def test_other_precisions_stay_near(
    checkpoint: Checkpoint, graph: ort.InferenceSession, tmp_path: Path, name: Any, allowed: float
) -> None:
    inputs = pictures([(1, 1)], [(6, 0)])
    expected = graph.run(None, inputs)[0]
    features = session(write_vision(checkpoint, tmp_path, Precision(name))).run(None, inputs)[0]
    error = np.linalg.norm(features - expected) / np.linalg.norm(expected)
    assert 0 < error < allowed


def test_an_odd_number_of_patches_is_refused(tmp_path: Path) -> None:
    odd = RandomCheckpoint(replace(REAL, vision=replace(REAL.vision, patch_size=64)))
    with pytest.raises(CheckpointError, match="patches of 64"):
        write_vision(odd, tmp_path)
    assert not list(tmp_path.iterdir())
