"""The shipped checkpoint as a user of transformers meets it, and the package that was made from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray
from transformers import Phi4MultimodalForCausalLM

from models import package
from models.checkpoint import Checkpoint
from models.export.embedding import write_embedding
from models.export.text import write_text

FOLDER = package.embedded().parent / "checkpoint"
LENGTH = 24


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, dict[str, Any]]:
    load: Any = Phi4MultimodalForCausalLM.from_pretrained  # its type knows nothing of output_loading_info
    model, report = load(FOLDER, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    return model.eval(), report


@pytest.fixture(scope="module")
def ids(loaded: tuple[Any, dict[str, Any]]) -> NDArray[np.int64]:
    """Tokens of the text, none of the media's."""
    config = loaded[0].config
    first = min(config.bos_token_id, config.vision_config.image_token_id, config.audio_config.audio_token_id)
    return np.random.default_rng(0).integers(0, first, (1, LENGTH))


@pytest.fixture(scope="module")
def reference(loaded: tuple[Any, dict[str, Any]], ids: NDArray[np.int64]) -> NDArray[np.float32]:
    """transformers' logits [vocabulary] after the last token."""
    with torch.no_grad():
        logits = loaded[0](input_ids=torch.from_numpy(ids), use_cache=False).logits
    return np.asarray(logits[0, -1].numpy(), np.float32)


def graph_logits(folder: Path, ids: NDArray[np.int64]) -> NDArray[np.float32]:
    """The same from the embedding and the text graph of a folder."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    embedding, text = (
        ort.InferenceSession(folder / f"phi-4-mm-{name}.onnx", options) for name in ("embedding", "text")
    )
    width = embedding.get_outputs()[0].shape[2]
    none = np.zeros((0, width), np.float32)
    (embeds,) = embedding.run(None, {"input_ids": ids, "image_features": none, "audio_features": none})
    past = {i.name: i.shape for i in text.get_inputs() if i.name.startswith("past")}
    cache = {name: np.zeros((1, shape[1], 0, shape[3]), np.float32) for name, shape in past.items()}
    mask = np.ones(ids.shape, np.int64)
    (logits,) = text.run(["logits"], {"inputs_embeds": embeds, "attention_mask": mask, **cache})
    return np.asarray(logits[0, -1], np.float32)


def test_transformers_loads_every_tensor(loaded: tuple[Any, dict[str, Any]]) -> None:
    model, report = loaded
    assert set(report["missing_keys"]) <= {"lm_head.weight"}  # tied
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert {n for n in model.state_dict() if n != "lm_head.weight"} <= Checkpoint.open(FOLDER).names()


def test_the_graphs_give_transformers_logits(
    ids: NDArray[np.int64], reference: NDArray[np.float32], tmp_path: Path
) -> None:
    checkpoint = Checkpoint.open(FOLDER)
    write_text(checkpoint, tmp_path)
    write_embedding(checkpoint, tmp_path)
    np.testing.assert_allclose(graph_logits(tmp_path, ids), reference, atol=1e-3)


def test_the_shipped_package_is_this_checkpoint(
    ids: NDArray[np.int64], reference: NDArray[np.float32]
) -> None:
    """In 8 bits: near, and far nearer than to another row."""
    got = graph_logits(package.embedded(), ids)
    assert got.shape == reference.shape
    error = np.linalg.norm(got - reference) / np.linalg.norm(reference)
    other = np.linalg.norm(graph_logits(package.embedded(), ids[:, :-1]) - reference) / np.linalg.norm(
        reference
    )
    assert error < 0.1
    assert other > 3 * error
