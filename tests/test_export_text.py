"""The text and embedding graphs against transformers, in float32 within 1e-4 and in fewer bits nearby."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import tiny
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from transformers import Phi4MultimodalConfig
from transformers.models.phi4_multimodal.modeling_phi4_multimodal import Phi4MultimodalRotaryEmbedding

from models.checkpoint import Checkpoint
from models.export.embedding import write_embedding
from models.export.quantize import Precision
from models.export.text import TextPrecision, rotary_cache, write_text
from models.random_weights import REAL

ort.set_default_logger_severity(3)
Floats = NDArray[np.float32]


class Decoder:
    """Runs a text graph directly, with one shared KV buffer or with a past that grows."""

    def __init__(self, path: Path, capacity: int | None = None, head: int = 64) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(str(path), options)
        self.total = 0
        self.shared = capacity is not None
        names = [i.name for i in self.session.get_inputs() if i.name.startswith("past")]
        shape = (1, 2, capacity or 0, head)
        self.cache = {n: ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32)) for n in names}

    def run(self, embeddings: Floats, mode: int | None = None) -> Any:
        self.total += embeddings.shape[1]
        binding = self.session.io_binding()
        binding.bind_cpu_input("inputs_embeds", embeddings)
        binding.bind_cpu_input("attention_mask", np.ones((1, self.total), np.int64))
        if mode is not None:
            # not bind_cpu_input: an input with a default value is not among the session's inputs
            binding.bind_ortvalue_input("adapter_mode", ort.OrtValue.ortvalue_from_numpy(np.array([mode])))
        binding.bind_output("logits")
        for name, value in self.cache.items():
            binding.bind_ortvalue_input(name, value)
            present = name.replace("past_key_values", "present")
            if self.shared:
                binding.bind_ortvalue_output(present, value)
            else:
                binding.bind_output(present)
        self.session.run_with_iobinding(binding)
        outputs = dict(zip((o.name for o in self.session.get_outputs()), binding.get_outputs(), strict=True))
        if not self.shared:
            self.cache = {n: outputs[n.replace("past_key_values", "present")] for n in self.cache}
        return outputs["logits"].numpy()


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny.tiny_model()


@pytest.fixture(scope="module")
def adapters(model: Any) -> dict[str, dict[str, Any]]:
    return tiny.tiny_adapters(model)


@pytest.fixture(scope="module")
def checkpoint(model: Any, adapters: Any, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return Checkpoint.open(tiny.save_checkpoint(tmp_path_factory.mktemp("checkpoint"), model, adapters))


@pytest.fixture(scope="module")
def graph(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(checkpoint, tmp_path_factory.mktemp("fp32"))


@pytest.fixture(params=["vision", "speech"])
def merged(request: pytest.FixtureRequest, model: Any, adapters: Any) -> Iterator[str]:
    """The reference with one adapter in its weights for the time of a test."""
    rank, alpha = tiny.ADAPTERS[request.param]
    tiny.merge(model, adapters[request.param], alpha / rank)
    yield request.param
    tiny.merge(model, adapters[request.param], -alpha / rank)


def embeddings(length: int, seed: int = 5) -> Floats:
    return np.random.default_rng(seed).standard_normal((1, length, 384)).astype(np.float32)


@pytest.mark.parametrize("length", [1, 2, 17, 48, 49, 90, 200])
def test_logits_equal_the_reference(model: Any, graph: Path, length: int) -> None:
    x = embeddings(length)
    got = Decoder(graph).run(x)
    assert got.shape == (1, 1, tiny.VOCABULARY)
    np.testing.assert_allclose(got, tiny.logits(model, x), atol=1e-4)


def test_long_factors_change_the_result(graph: Path, model: Any) -> None:
    """Guards the test above: at this length short and long factors differ by far more than its tolerance."""
    x = embeddings(tiny.ORIGINAL_LENGTH + 1)
    short = tiny.tiny_model(original_max_position_embeddings=4095)
    short.model.rotary_emb.attention_scaling = model.model.rotary_emb.attention_scaling
    assert np.abs(tiny.logits(short, x) - Decoder(graph).run(x)).max() > 0.05


@pytest.mark.parametrize("length", [13, 60])
def test_each_adapter_takes_effect_as_in_the_reference(
    model: Any, merged: str, graph: Path, length: int
) -> None:
    x = embeddings(length)
    wanted = tiny.logits(model, x)
    plain = Decoder(graph).run(x, 0)
    assert np.abs(plain - wanted).max() > 0.05
    for mode in {"vision": (1, 3), "speech": (2,)}[merged]:
        np.testing.assert_allclose(Decoder(graph).run(x, mode), wanted, atol=1e-4)


def test_mode_is_none_by_default_and_for_unknown_numbers(graph: Path) -> None:
    x = embeddings(9)
    plain = Decoder(graph).run(x, 0)
    np.testing.assert_array_equal(Decoder(graph).run(x), plain)
    np.testing.assert_array_equal(Decoder(graph).run(x, 7), plain)


@pytest.mark.parametrize("capacity", [None, 64, 256])
@pytest.mark.parametrize("chunks", [(1,) * 12, (5, 7, 1, 1), (20, 20, 4)])
def test_chunks_equal_one_pass(
    model: Any, graph: Path, chunks: tuple[int, ...], capacity: int | None
) -> None:
    """KV buffer shared between past and present, or growing; any way to cut the prompt."""
    x = embeddings(sum(chunks))
    decoder = Decoder(graph, capacity)
    start = 0
    for size in chunks:
        got = decoder.run(np.ascontiguousarray(x[:, start : start + size]), 2)
        start += size
    np.testing.assert_allclose(got, Decoder(graph).run(x, 2), atol=1e-4)


def test_beyond_the_switch_in_chunks(model: Any, graph: Path) -> None:
    """Once past the switch, appending works: the whole prompt under the long factors, then token by token."""
    x = embeddings(70)
    decoder = Decoder(graph, 128)
    decoder.run(np.ascontiguousarray(x[:, :60]))
    for i in range(60, 70):
        got = decoder.run(np.ascontiguousarray(x[:, i : i + 1]))
    np.testing.assert_allclose(got, tiny.logits(model, x), atol=1e-4)


@pytest.mark.parametrize("name", ["fp16", "int8", "int4", "dynamic8"])
def test_fewer_bits_stay_near(checkpoint: Checkpoint, graph: Path, name: Any, tmp_path: Path) -> None:
    low = Precision(name, 32)
    eight = Precision("int8", 32) if name == "int4" else low
    path = write_text(checkpoint, tmp_path, TextPrecision(low, eight, eight, low))
    allowed = {"fp16": 0.01, "int8": 0.1, "int4": 0.5, "dynamic8": 0.2}[name]
    for mode in (0, 1, 2):
        x = embeddings(30)
        wanted, got = Decoder(graph).run(x, mode), Decoder(path).run(x, mode)
        error = np.sqrt(np.mean((got - wanted) ** 2) / np.mean(wanted**2))
        assert error < allowed, (mode, error)
    size = sum(f.stat().st_size for f in tmp_path.iterdir())
    assert size < 0.8 * sum(f.stat().st_size for f in graph.parent.iterdir())


def test_untied_head(adapters: Any, tmp_path: Path) -> None:
    model = tiny.tiny_model(seed=3, tie_word_embeddings=False)
    folder = tiny.save_checkpoint(tmp_path / "c", model, adapters)
    tensors = {n: t.detach().clone() for n, t in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors")
    path = write_text(Checkpoint.open(folder), tmp_path)
    x = embeddings(10)
    np.testing.assert_allclose(Decoder(path).run(x), tiny.logits(model, x), atol=1e-4)


def test_heads_too_small_for_the_fused_rotation(tmp_path: Path) -> None:
    """24 rotated dimensions: GroupQueryAttention takes multiples of 16 only."""
    factors = {"short_factor": [1.0] * 12, "long_factor": [1.0 + i for i in range(12)]}
    model = tiny.tiny_model(
        seed=4, hidden_size=192, rope_scaling={"type": "longrope", **factors}, num_hidden_layers=2
    )
    folder = tiny.save_checkpoint(tmp_path / "c", model, tiny.tiny_adapters(model))
    path = write_text(Checkpoint.open(folder), tmp_path)
    for length in (11, 60):
        x = np.ascontiguousarray(embeddings(length)[:, :, :192])
        decoder = Decoder(path, 64, head=32)
        decoder.run(np.ascontiguousarray(x[:, :-1]))
        got = decoder.run(np.ascontiguousarray(x[:, -1:]))
        np.testing.assert_allclose(got, tiny.logits(model, x), atol=1e-4)


def test_rotary_rows_of_the_real_shape_up_to_the_last_position() -> None:
    """The published factors and 131,072 positions, against transformers' own module."""
    factors = {"short_factor": [1.0] * 48, "long_factor": list(REAL.rope.long_factor)}
    settings: dict[str, Any] = {
        "num_attention_heads": 24,
        "partial_rotary_factor": 0.75,
        "rope_scaling": {"type": "longrope", **factors},
    }
    reference = Phi4MultimodalConfig(**settings)
    module = Phi4MultimodalRotaryEmbedding(reference)
    cos, sin = rotary_cache(REAL)
    for first, positions in ((0, [0, 1, 777, 4095]), (4096, [0, 1, 4096, 50_000, 131_071])):
        wanted = module(torch.zeros(1), torch.tensor([positions]))
        rows = [first + p for p in positions]
        for mine, theirs in zip((cos, sin), wanted, strict=True):
            np.testing.assert_allclose(mine[rows], theirs[0, :, :48].numpy(), atol=1e-4)


# --- the embedding graph


def run_embedding(
    path: Path, ids: list[int], image: int = 0, audio: int = 0
) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(1)
    features = [rng.standard_normal((rows, 384)).astype(np.float32) for rows in (image, audio)]
    session = ort.InferenceSession(str(path))
    inputs = {"input_ids": np.array([ids]), "image_features": features[0], "audio_features": features[1]}
    return session.run(None, inputs)[0], features[0], features[1]


@pytest.fixture(scope="module")
def embedding(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_embedding(checkpoint, tmp_path_factory.mktemp("embedding"))


def test_embedding_of_text_alone(model: Any, embedding: Path) -> None:
    ids = [0, 5, 319, 257]
    got, _, _ = run_embedding(embedding, ids)
    np.testing.assert_array_equal(got[0], model.model.embed_tokens.weight.detach().numpy()[ids])


def test_placeholder_without_features_is_a_token(model: Any, embedding: Path) -> None:
    """A model may write one while decoding; a wrong number of features stays an error."""
    got, _, _ = run_embedding(embedding, [258, 200011])
    table = model.model.embed_tokens.weight.detach().numpy()
    np.testing.assert_array_equal(got[0], table[[258, 319]])
    with pytest.raises(ort.capi.onnxruntime_pybind11_state.InvalidArgument):
        run_embedding(embedding, [258, 258, 3], 1)


@pytest.mark.parametrize(("image", "audio"), [(200010, 200011), (258, 259), (200010, 259)])
def test_embedding_places_features_in_order(model: Any, embedding: Path, image: int, audio: int) -> None:
    """Two pictures and two clips, by genai's ids or by the checkpoint's own."""
    ids = [7, image, image, 3, audio, audio, audio, 4, image, audio, 9]
    got, pictures, clips = run_embedding(embedding, ids, 3, 4)
    table = model.model.embed_tokens.weight.detach().numpy()
    np.testing.assert_array_equal(got[0, [1, 2, 8]], pictures)
    np.testing.assert_array_equal(got[0, [4, 5, 6, 9]], clips)
    np.testing.assert_array_equal(got[0, [0, 3, 7, 10]], table[[7, 3, 4, 9]])


@pytest.mark.parametrize(("name", "allowed"), [("fp16", 1e-3), ("int8", 0.02), ("int4", 0.2)])
def test_embedding_in_fewer_bits(
    model: Any, checkpoint: Checkpoint, tmp_path: Path, name: Any, allowed: float
) -> None:
    path = write_embedding(checkpoint, tmp_path, Precision(name, 32))
    ids = list(range(320))
    got, _, _ = run_embedding(path, ids, 1, 1)
    wanted = model.model.embed_tokens.weight.detach().numpy()
    special = [258, 259]  # replaced by features
    error = np.abs(got[0] - wanted)
    error[special] = 0
    assert 0 < error.max() < allowed * np.abs(wanted).max()
