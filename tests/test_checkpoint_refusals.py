"""What a checkpoint's and an adapter's JSON files may not say; none of these tests needs weights."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import pytest
import tiny
from peft.tuners.tuners_utils import _ExcludedModule, check_target_module_exists

from models.adapters import PeftConfig, check_name
from models.checkpoint import Checkpoint
from models.config import Phi4MMConfig
from models.errors import CheckpointError
from models.export.build import _tokenizer
from models.random_weights import _LONG_FACTOR, REAL
from models.tensor_names import text_projections

LORA = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": tiny.TARGETS}
CONFIG: dict[str, Any] = json.loads(tiny.tiny_config().to_json_string(use_diff=False))


def write(folder: Path, name: str, content: object) -> Path:
    (folder / name).write_text(json.dumps(content))
    return folder


def read_config(folder: Path) -> object:
    return Phi4MMConfig.read(folder)


def read_lora(folder: Path) -> object:
    return PeftConfig.read(folder)


def read_tokenizer(folder: Path) -> object:
    return _tokenizer(Checkpoint(folder, REAL, {}, {}))


READERS = {"config.json": read_config, "adapter_config.json": read_lora, "tokenizer.json": read_tokenizer}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[]", "is not a JSON object"),
        (b"3", "is not a JSON object"),
        (b"", "is damaged"),
        (b"{", "is damaged"),
        (b"\xff\xfe{}", "is damaged"),
        (b"[" * 100_000, "is nested too deeply"),
        (b'{"r": ' + b"9" * 5000 + b"}", "is damaged"),
        (b'{"r": 4, "r": 8}', "a key comes twice"),
    ],
)
def test_damaged_json(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{name}.*{words}") as told:
        READERS[name](tmp_path)
    assert told.value.remedy
    assert "\n" not in str(told.value)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", READERS)
def test_files_that_are_no_files(tmp_path: Path, name: str) -> None:
    """A pipe is not waited for, a device not read, a huge file not loaded."""
    file = tmp_path / name
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        READERS[name](tmp_path)
    os.mkfifo(file)
    with pytest.raises(CheckpointError, match=f"{name} is not a plain file"):
        READERS[name](tmp_path)
    file.unlink()
    file.symlink_to("/dev/zero")
    with pytest.raises(CheckpointError, match=f"{name} is not a plain file"):
        READERS[name](tmp_path)
    file.unlink()
    file.mkdir()
    with pytest.raises(CheckpointError, match=f"{name} (is not a plain file|can't be read)"):
        READERS[name](tmp_path)
    file.rmdir()
    with file.open("wb") as huge:
        huge.truncate(10**12)
    with pytest.raises(CheckpointError, match=f"{name} is far too large"):
        READERS[name](tmp_path)


# --- config.json


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"model_type": "phi3"}, "model_type in .* is 'phi3'"),
        ({"hidden_act": "gelu"}, "hidden_act in .* is 'gelu'"),
        ({"sliding_window": 100}, "sliding_window in .* is 100"),
        ({"num_key_value_heads": 4}, "num_key_value_heads in .* is 4"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "rope_parameters.rope_type in .* is 'yarn'"),
        ({"rope_parameters": []}, "has no original_max_position|rope"),
        ({"rope_parameters": [1]}, "rope_parameters in .* is .*, not an object"),
        ({"vocab_size": None}, "has no vocab_size"),
        ({"vocab_size": "320"}, "vocab_size in .* is '320', not a whole number"),
        ({"hidden_size": 0}, "hidden_size in .* is 0"),
        ({"num_hidden_layers": 10**6}, "num_hidden_layers in .* is 1000000"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps in .* is nan"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings in .* is 'no'"),
        ({"eos_token_id": ["<|end|>"]}, "eos_token_id in .*, not whole numbers"),
        ({"audio_config": {"activation": "gelu"}}, "audio_config.activation in .* is 'gelu'"),
        ({"audio_config": {"time_reduction": 6}}, "audio_config.time_reduction in .* is 6"),
        ({"audio_config": 7}, "audio_config in .* is 7, not an object"),
        ({"vision_config": {"hidden_act": "relu"}}, "vision_config.hidden_act in .* is 'relu'"),
        ({"vision_config": {"feature_layer": -99}}, "vision_config.feature_layer in .* is -99"),
    ],
)
def test_unsupported_configurations(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    write(tmp_path, "config.json", {**CONFIG, "rope_scaling": None, **values})
    if values == {"rope_parameters": []}:  # as good as absent: plain RoPE
        assert Phi4MMConfig.read(tmp_path).rope.attention_factor == 1.0
        return
    with pytest.raises(CheckpointError, match=words):
        Phi4MMConfig.read(tmp_path)


def leaves(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values in parsed JSON, inner ones and those of containers."""
    if path:
        yield path
    children = value.items() if isinstance(value, dict) else []
    for key, child in children:
        yield from leaves(child, (*path, key))


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


HOSTILE: tuple[Any, ...] = (
    None,
    "x",
    "",
    True,
    -1,
    0,
    1,
    2,
    0.5,
    1e300,
    float("inf"),
    float("nan"),
    10**30,
    10**400,
    [],
    {},
    [None],
)


@pytest.mark.parametrize("layout", ["native", "original", "lora"])
def test_any_value_anywhere_is_read_or_refused_in_words(layout: str) -> None:
    """Every value of the files replaced by every hostile one: no other exception, and the file is named."""
    base = {"native": CONFIG, "original": PUBLISHED, "lora": LORA | {"exclude_modules": ["x"]}}[layout]
    sentences = []
    for path in leaves(base):
        for value in (*HOSTILE, deep(900)):
            changed = json.loads(json.dumps(base))
            place = changed
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = value
            try:
                if layout == "lora":
                    PeftConfig.parse(changed, Path("the-file")).selects("model.layers.0.mlp.down_proj")
                else:
                    Phi4MMConfig.parse(changed, "the-file")
            except CheckpointError as error:
                sentences.append(error.what)
    assert len(sentences) > 30
    assert all("the-file" in sentence and len(sentence) < 300 for sentence in sentences)


def test_the_original_length_in_either_place() -> None:
    given = CONFIG["rope_parameters"]
    plain = {k: v for k, v in given.items() if k != "original_max_position_embeddings"}
    without = {k: v for k, v in CONFIG.items() if k != "original_max_position_embeddings"}

    def length(top: dict[str, Any], rope: dict[str, Any]) -> int:
        return Phi4MMConfig.parse(top | {"rope_parameters": rope}).original_max_position_embeddings

    inside = plain | {"original_max_position_embeddings": 48}
    assert length(without, inside) == length(CONFIG, plain) == length(CONFIG, inside) == 48
    assert Phi4MMConfig.parse(without | {"rope_parameters": inside}) == Phi4MMConfig.parse(CONFIG)
    with pytest.raises(CheckpointError, match="has no original_max_position_embeddings"):
        length(without, plain)
    with pytest.raises(
        CheckpointError, match=r"rope_parameters\.original_max_position_embeddings in .* is 64"
    ):
        length(CONFIG, plain | {"original_max_position_embeddings": 64})


PUBLISHED: dict[str, Any] = {
    "model_type": "phi4mm",
    "vocab_size": 200064,
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 32,
    "num_attention_heads": 24,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
    "original_max_position_embeddings": 4096,
    "sliding_window": 262144,
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "lm_head_bias": False,
    "tie_word_embeddings": True,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "partial_rotary_factor": 0.75,
    "rope_scaling": {"type": "longrope", "short_factor": [1.0] * 48, "long_factor": [1, *_LONG_FACTOR[1:]]},
    "bos_token_id": 199999,
    "eos_token_id": 199999,
    "pad_token_id": 199999,
    "audio_processor": {
        "name": "cascades",
        "config": {
            "activation": "swish",
            "attention_dim": 1024,
            "attention_heads": 16,
            "batch_norm": False,
            "bias_in_glu": True,
            "causal": True,
            "chunk_size": -1,
            "cnn_layer_norm": True,
            "conv_activation": "swish",
            "conv_glu_type": "swish",
            "depthwise_multiplier": 1,
            "depthwise_seperable_out_channel": 1024,
            "ext_pw_kernel_size": 1,
            "ext_pw_out_channel": 1024,
            "input_layer": "nemo_conv",
            "input_size": 80,
            "kernel_size": 3,
            "left_chunk": 18,
            "linear_units": 1536,
            "nemo_conv_settings": {"conv_channels": 1024},
            "num_blocks": 24,
            "relative_attention_bias_args": {"t5_bias_max_distance": 500, "type": "t5"},
            "time_reduction": 8,
        },
    },
    "embd_layer": {
        "embedding_cls": "image_audio",
        "audio_embd_layer": {
            "compression_rate": 8,
            "downsample_rate": 1,
            "projection_cls": "mlp",
            "use_conv_downsample": False,
            "use_qformer": False,
        },
        "image_embd_layer": {
            "crop_size": 448,
            "hd_transform_order": "sub_glb",
            "image_token_compression_cls": "avg_pool_2d",
            "projection_cls": "mlp",
            "use_hd_transform": True,
            "with_learnable_separator": True,
        },
    },
    "speech_lora": {"r": 320, "lora_alpha": 640, "dp": 0.01},
    "vision_lora": {"r": 256, "lora_alpha": 512, "dp": 0.0},
}


def test_the_published_configuration() -> None:
    """The values of Microsoft's own config.json give the real model's shape."""
    config = Phi4MMConfig.parse(PUBLISHED)
    assert config.adapters["speech"].rank == 320
    assert replace(config, adapters={}, eos_token_ids=REAL.eos_token_ids) == REAL
    assert set(config.eos_token_ids) == set(REAL.eos_token_ids)


# --- adapter_config.json


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("peft_type", "LOHA"),
        ("peft_type", None),
        ("r", 0),
        ("r", 4.5),
        ("r", "4"),
        ("r", float("inf")),
        ("r", True),
        ("lora_alpha", float("nan")),
        ("lora_alpha", float("inf")),
        ("lora_alpha", "16"),
        ("lora_alpha", 10**400),
        ("lora_alpha", 0),
        ("use_rslora", "yes"),
        ("target_modules", None),
        ("target_modules", 5),
        ("target_modules", [5]),
        ("target_modules", {"o_proj": 1}),
        ("target_modules", "(o_proj"),
        ("exclude_modules", "*"),
        ("bias", "all"),
        ("use_dora", True),
        ("use_qalora", True),
        ("lora_bias", True),
        ("fan_in_fan_out", True),
        ("modules_to_save", ["lm_head"]),
        ("rank_pattern", {"o_proj": 3}),
        ("alpha_pattern", {"o_proj": 3}),
        ("layers_to_transform", [1]),
        ("layer_replication", [[0, 1]]),
        ("trainable_token_indices", [3]),
        ("target_parameters", ["x"]),
        ("init_lora_weights", "pissa"),
        ("init_lora_weights", "pissa_niter_4"),
        ("init_lora_weights", "olora"),
        ("init_lora_weights", "corda"),
        ("init_lora_weights", "loftq"),
        ("init_lora_weights", "lora_ga"),
        ("arrow_config", {"top_k": 3}),
        ("alora_invocation_tokens", [1]),
        ("megatron_config", {"a": 1}),
        ("a_setting_of_next_year", True),
    ],
)
def test_adapters_that_are_no_plain_lora(tmp_path: Path, setting: str, value: Any) -> None:
    write(tmp_path, "adapter_config.json", LORA | {setting: value})
    with pytest.raises(CheckpointError, match=rf"adapter_config\.json|{setting}") as told:
        PeftConfig.read(tmp_path)
    assert setting in told.value.what
    assert "adapter_config.json" in told.value.what


@pytest.mark.parametrize("initialisation", [True, False, "gaussian", "orthogonal", "eva"])
def test_what_peft_itself_saves(tmp_path: Path, initialisation: Any) -> None:
    """With every default written out."""
    settings: dict[str, Any] = {"init_lora_weights": initialisation}
    if initialisation == "eva":
        settings["eva_config"] = peft.EvaConfig()
    config = peft.LoraConfig(
        r=8, lora_alpha=16, target_modules=["o_proj"], task_type="CAUSAL_LM", lora_dropout=0.1, **settings
    )
    config.save_pretrained(str(tmp_path))
    read = PeftConfig.read(tmp_path)
    assert (read.rank, read.scale, read.targets) == (8, 2.0, ("o_proj",))


@pytest.mark.parametrize(
    ("targets", "excluded"),
    [
        (tiny.TARGETS, None),
        (["o_proj", "qkv_proj"], None),
        (["proj"], None),
        (["self_attn.o_proj", "model.layers.1.mlp.down_proj"], None),
        (["o_proj", "down_proj"], ["layers.0.self_attn.o_proj", "down_proj"]),
        (["o_proj"], r".*\.1\..*"),
        (r".*o_proj", r"model\.layers\.2\..*"),
        (r"o_proj", None),
    ],
)
def test_modules_are_chosen_as_peft_chooses_them(tmp_path: Path, targets: Any, excluded: Any) -> None:
    write(tmp_path, "adapter_config.json", LORA | {"target_modules": targets, "exclude_modules": excluded})
    ours = PeftConfig.read(tmp_path)
    theirs = peft.LoraConfig(target_modules=targets, exclude_modules=excluded)
    for module in text_projections(replace(REAL, layers=3)):
        chosen = check_target_module_exists(theirs, module)
        wanted = bool(chosen) and not isinstance(chosen, _ExcludedModule)
        assert ours.selects(module) == wanted, module


def test_all_linear() -> None:
    config = PeftConfig.parse(LORA | {"target_modules": "all-linear"}, Path("f"))
    assert all(config.selects(module) for module in text_projections(replace(REAL, layers=1)))


@pytest.mark.parametrize(
    "name", ["", "vision", "speech", "Mine", "my-lora", "../up", "a b", "1st", "a" * 33, "é"]
)
def test_names_that_no_adapter_may_have(name: str) -> None:
    with pytest.raises(CheckpointError, match=re.escape(repr(name))):
        check_name(name)
    check_name("mine2")
