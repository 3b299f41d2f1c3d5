"""Checkpoints: both layouts, every tensor accounted for, damaged files, adapters, configurations."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from models.checkpoint import Checkpoint
from models.config import Phi4MMConfig
from models.errors import CheckpointError
from models.random_weights import REAL, RandomCheckpoint, shortened
from models.tensor_names import expected, unused

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny.tiny_model()


@pytest.fixture(scope="module")
def adapters(model: Any) -> dict[str, Tensors]:
    return tiny.tiny_adapters(model)


@pytest.fixture
def native(model: Any, adapters: dict[str, Tensors], tmp_path: Path) -> Path:
    return tiny.save_checkpoint(tmp_path / "native", model, adapters)


def change(file: Path, edit: Callable[[Tensors], object]) -> None:
    tensors = load_file(file)
    edit(tensors)
    save_file(tensors, file)


def edit_json(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_expected_tensors_are_those_of_the_reference(model: Any) -> None:
    """The table of names and shapes against transformers' own state."""
    config = Phi4MMConfig.parse(json.loads(model.config.to_json_string(use_diff=False)))
    reference = {n: tuple(t.shape) for n, t in model.state_dict().items()}
    assert expected(config) == reference


def test_unused_tensors_change_nothing_in_the_reference(model: Any) -> None:
    """What is declared unused may be noise: the picture features stay the same."""
    config = Phi4MMConfig.parse(json.loads(model.config.to_json_string(use_diff=False)))
    embed = model.model.embed_tokens_extend.image_embed
    pixels = torch.randn(1, 3, 448, 448, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(1, 32, 32, dtype=torch.bool)
    names = unused(config) - {"lm_head.weight"}
    assert any(".layers.2." in n for n in names)
    kept = {n: t.clone() for n, t in model.state_dict().items() if n in names}
    with torch.no_grad():
        before = embed.get_img_features(pixels, mask)
        for tensor in (t for n, t in model.state_dict().items() if n in names):
            tensor.fill_(0.5)
        after = embed.get_img_features(pixels, mask)
        model.load_state_dict(kept, strict=False)
    torch.testing.assert_close(before, after, rtol=0, atol=0)


def test_all_layouts_read_the_same(
    model: Any, adapters: dict[str, Tensors], native: Path, tmp_path: Path
) -> None:
    folders = [
        tiny.save_checkpoint(tmp_path / "sharded", model, adapters, shards=4),
        tiny.save_original(tmp_path / "original", model, adapters),
    ]
    first = Checkpoint.open(native)
    assert {a.name: (a.rank, a.scale) for a in first.adapters.values()} == {
        "vision": (4, 2.0),
        "speech": (6, 2.0),
    }
    for folder in folders:
        other = Checkpoint.open(folder)
        assert other.names() == first.names()
        assert other.config.rope == first.config.rope
        assert other.config.audio == first.config.audio
        assert other.config.vision == first.config.vision
        assert dict(other.adapters) == dict(first.adapters)
        for name in first.names():
            np.testing.assert_array_equal(other.read(name), first.read(name))
        table = "model.embed_tokens.weight"
        np.testing.assert_array_equal(other.rows(table, 7, 9), first.read(table)[7:9])
        assert other.needed() == first.needed()


def test_adapters_are_read_whole(adapters: dict[str, Tensors], native: Path) -> None:
    checkpoint = Checkpoint.open(native)
    for name, matrices in adapters.items():
        for key, tensor in matrices.items():
            read = checkpoint.read(f"{name}_lora.{key.removesuffix('.weight')}")
            np.testing.assert_array_equal(read, tensor.numpy())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(native: Path, dtype: torch.dtype) -> None:
    file = native / "model.safetensors"
    save_file({n: t.to(dtype) for n, t in load_file(file).items()}, file)
    wanted = load_file(file)["model.layers.0.self_attn.o_proj.weight"].float().numpy()
    np.testing.assert_array_equal(
        Checkpoint.open(native).read("model.layers.0.self_attn.o_proj.weight"), wanted
    )


def test_unknown_missing_and_misshapen_tensors_are_named(native: Path) -> None:
    file = native / "model.safetensors"

    def edit(tensors: Tensors) -> None:
        tensors["model.layers.0.surprise.weight"] = torch.zeros(3)
        del tensors["model.layers.1.mlp.down_proj.weight"]
        tensors["model.norm.weight"] = torch.zeros(7)

    change(file, edit)
    with pytest.raises(CheckpointError) as caught:
        Checkpoint.open(native)
    for words in (
        "unknown: model.layers.0.surprise.weight",
        "missing: model.layers.1.mlp.down_proj.weight",
        "model.norm.weight is [7] instead of [384]",
    ):
        assert words in str(caught.value)


def test_unused_tensors_may_be_left_out(native: Path) -> None:
    prefix = "model.embed_tokens_extend.image_embed.img_processor."

    def edit(tensors: Tensors) -> None:
        for name in [n for n in tensors if n.startswith((f"{prefix}head.", f"{prefix}post_layernorm."))]:
            del tensors[name]

    change(native / "model.safetensors", edit)
    Checkpoint.open(native)


def test_adapter_with_a_missing_matrix(native: Path) -> None:
    change(
        native / "speech-lora" / "adapter_model.safetensors",
        lambda t: t.pop("base_model.model.model.layers.0.mlp.down_proj.lora_B.weight"),
    )
    with pytest.raises(
        CheckpointError, match=r"missing: speech_lora\.model\.layers\.0\.mlp\.down_proj\.lora_B"
    ):
        Checkpoint.open(native)


def test_adapter_file_with_full_weights(native: Path) -> None:
    """It must not take the place of the model's own tensors."""
    change(
        native / "speech-lora" / "adapter_model.safetensors",
        lambda t: t.update({"base_model.model.model.norm.weight": next(iter(t.values())).clone()}),
    )
    with pytest.raises(CheckpointError, match=r"model\.norm\.weight, which is no LoRA matrix"):
        Checkpoint.open(native)


def test_users_lora_on_some_projections(
    model: Any, adapters: dict[str, Tensors], native: Path, tmp_path: Path
) -> None:
    """``target_modules`` as a list of names, and rank-stabilised scaling."""
    chosen = {n: t for n, t in adapters["vision"].items() if ".o_proj." in n}
    tiny.save_lora(tmp_path / "mine", chosen, 4, 8.0)
    edit_json(tmp_path / "mine" / "adapter_config.json", target_modules=["o_proj"], use_rslora=True)
    adapter = Checkpoint.open(native, {"mine": tmp_path / "mine"}).adapters["mine"]
    assert adapter.modules == {f"model.layers.{i}.self_attn.o_proj" for i in range(tiny.LAYERS)}
    assert adapter.scale == 4.0
    with pytest.raises(CheckpointError, match="can't name an adapter"):
        Checkpoint.open(native, {"../up": tmp_path / "mine"})
    with pytest.raises(CheckpointError, match="17 adapters are too many"):
        Checkpoint.open(native, {f"mine{i}": tmp_path / "mine" for i in range(17)})
    for targets in (["embed_tokens"], [], "o_proj"):
        edit_json(tmp_path / "mine" / "adapter_config.json", target_modules=targets)
        with pytest.raises(CheckpointError, match=r"adapter_config\.json matches none of the language model"):
            Checkpoint.open(native, {"mine": tmp_path / "mine"})
    edit_json(tmp_path / "mine" / "adapter_config.json", target_modules=["qkv_proj"])
    with pytest.raises(CheckpointError, match=r"adapts model.*o_proj, which target_modules does not select"):
        Checkpoint.open(native, {"mine": tmp_path / "mine"})


def test_users_lora_on_an_encoder(native: Path, tmp_path: Path) -> None:
    """As ``all-linear`` makes it: PEFT would adapt the speech encoder, the package can't."""
    shutil.copytree(native / "vision-lora", tmp_path / "mine")
    edit_json(tmp_path / "mine" / "adapter_config.json", target_modules="all-linear")
    module = "model.embed_tokens_extend.audio_embed.encoder.encoders.0.self_attn.q_proj"
    change(
        tmp_path / "mine" / "adapter_model.safetensors",
        lambda t: t.update({f"base_model.model.{module}.lora_A.weight": torch.zeros(4, 64)}),
    )
    with pytest.raises(CheckpointError, match="q_proj, which is not one of the language model's projections"):
        Checkpoint.open(native, {"mine": tmp_path / "mine"})


def test_missing_adapters(native: Path, model: Any, adapters: dict[str, Tensors], tmp_path: Path) -> None:
    """In either layout; with one in the shards, the other's folder is still wanted."""
    shutil.rmtree(native / "speech-lora")
    with pytest.raises(CheckpointError, match="no folder speech-lora, nor such"):
        Checkpoint.open(native)
    (native / "speech-lora").write_text("no folder")
    shutil.rmtree(native / "vision-lora")
    with pytest.raises(CheckpointError, match="no folder vision-lora and no folder speech-lora"):
        Checkpoint.open(native)
    half = tiny.save_original(tmp_path / "half", model, {"vision": adapters["vision"]})
    with pytest.raises(CheckpointError, match="no folder speech-lora"):
        Checkpoint.open(half)


def test_cut_file(native: Path) -> None:
    file = native / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged"):
        Checkpoint.open(native)


def test_missing_files(native: Path, tmp_path: Path) -> None:
    (native / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors is missing"):
        Checkpoint.open(native)
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        Checkpoint.open(tmp_path)


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/x.safetensors", "a/b.safetensors"])
def test_index_can_not_lead_outside(native: Path, name: str) -> None:
    (native / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(CheckpointError, match="outside the folder"):
        Checkpoint.open(native)


def test_random_weights() -> None:
    config = shortened(REAL, 1)
    one, two = RandomCheckpoint(config, 5), RandomCheckpoint(config, 5)
    name = "model.layers.0.self_attn.o_proj.weight"
    np.testing.assert_array_equal(one.read(name), two.read(name))
    assert one.read(name).std() == pytest.approx(3072**-0.5, rel=0.01)
    np.testing.assert_array_equal(one.rows(name, 1500, 1503), one.read(name)[1500:1503])
    assert not np.array_equal(RandomCheckpoint(config, 6).read(name), one.read(name))
    assert one.read("model.norm.weight").mean() == pytest.approx(1, abs=0.01)
    assert one.read("speech_lora.model.layers.0.self_attn.qkv_proj.lora_A").shape == (320, 3072)
    with pytest.raises(CheckpointError, match="no tensor nonsense"):
        one.read("nonsense")
