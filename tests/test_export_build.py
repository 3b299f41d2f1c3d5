"""Whole packages: what is in them, that genai runs them, and that nothing is left when a build fails."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import onnxruntime_genai as og
import pytest
import tiny
from numpy.typing import NDArray

from models.checkpoint import Checkpoint
from models.config import Phi4MMConfig
from models.errors import Cancelled, CheckpointError, PackageError
from models.export import Card, PrecisionPlan, build
from models.package import check
from models.random_weights import REAL, RandomCheckpoint, shortened

ort.set_default_logger_severity(3)
og.disable_telemetry_events()
FP32 = PrecisionPlan()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same weights as a checkpoint in transformers' layout, sharded, and in the original's."""
    model = tiny.tiny_model()
    adapters = tiny.tiny_adapters(model)
    root = tmp_path_factory.mktemp("checkpoints")
    return {
        "native": tiny.save_checkpoint(root / "native", model, adapters),
        "sharded": tiny.save_checkpoint(root / "sharded", model, adapters, shards=3),
        "original": tiny.save_original(root / "original", model, adapters),
    }


@pytest.fixture(scope="module")
def package(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    card = Card("tiny", "A test.", ["Its weights are random."])
    return build(folders["native"], tmp_path_factory.mktemp("packages") / "tiny", FP32, card=card)


def contents(folder: Path) -> dict[str, str]:
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(folder.iterdir())}


def test_package_is_complete_and_its_checksums_are_right(package: Path) -> None:
    graphs = [f"phi-4-mm-{n}.onnx" for n in ("text", "vision", "speech", "embedding")]
    settings = ["genai_config.json", "vision_processor.json", "speech_processor.json", "tokenizer.json"]
    found = contents(package)
    assert {*graphs, *settings, "tokenizer_config.json", "aside.json"} <= set(found)
    card = json.loads((package / "aside.json").read_text())
    assert (card["format"], card["name"], card["limits"]) == (1, "tiny", ["Its weights are random."])
    assert card["adapters"] == {"1": "vision", "2": "speech", "3": "vision"}
    assert {n: f["sha256"] for n, f in card["files"].items()} == {
        n: s for n, s in found.items() if n != "aside.json"
    }
    assert [f.name for f in package.parent.iterdir()] == ["tiny"]
    assert check(package, full=True).name == "tiny"


@pytest.mark.parametrize("layout", ["sharded", "original"])
def test_every_layout_gives_the_same_package(
    folders: dict[str, Path], package: Path, layout: str, tmp_path: Path
) -> None:
    other = build(
        folders[layout], tmp_path / "tiny", FP32, card=Card("tiny", "A test.", ["Its weights are random."])
    )
    assert contents(other) == contents(package)


def greedy(package: Path, prompt: list[int], count: int) -> list[int]:
    """Greedy tokens by driving the sessions directly, KV in one shared buffer."""
    sessions = {n: ort.InferenceSession(str(package / f"phi-4-mm-{n}.onnx")) for n in ("embedding", "text")}
    names = [i.name for i in sessions["text"].get_inputs() if i.name.startswith("past")]
    cache = {n: ort.OrtValue.ortvalue_from_numpy(np.zeros((1, 2, 64, 64), np.float32)) for n in names}
    none: NDArray[np.float32] = np.zeros((0, 384), np.float32)
    tokens: list[int] = []
    feed, total = prompt, 0
    for _ in range(count):
        total += len(feed)
        inputs = {"input_ids": np.array([feed]), "image_features": none, "audio_features": none}
        (embeddings,) = sessions["embedding"].run(None, inputs)
        binding = sessions["text"].io_binding()
        binding.bind_cpu_input("inputs_embeds", embeddings)
        binding.bind_cpu_input("attention_mask", np.ones((1, total), np.int64))
        for name, value in cache.items():
            binding.bind_ortvalue_input(name, value)
            binding.bind_ortvalue_output(name.replace("past_key_values", "present"), value)
        binding.bind_output("logits")
        sessions["text"].run_with_iobinding(binding)
        feed = [int(binding.get_outputs()[-1].numpy().argmax())]
        tokens += feed
    return tokens


@pytest.mark.parametrize("plan", ["fp32", "int8", "int4"])
def test_genai_loads_it_and_generates_the_same_text(
    folders: dict[str, Path], tmp_path: Path, plan: str
) -> None:
    package = build(folders["native"], tmp_path / plan, PrecisionPlan.named(plan))
    model = og.Model(str(package))
    prompt = [int(i) for i in og.Tokenizer(model).encode("Two words.")]
    assert len(prompt) == len(b"Two words.")
    params = og.GeneratorParams(model)
    params.set_search_options(max_length=len(prompt) + 20, do_sample=False)
    generator = og.Generator(model, params)
    # text reaches a phi4mm generator through its processor, as in a prompt with media
    inputs = model.create_multimodal_processor()("Two words.")
    generator.set_inputs(inputs)
    tokens: list[int] = []
    while not generator.is_done():
        generator.generate_next_token()
        tokens.append(int(generator.get_next_tokens()[0]))
    expected = greedy(package, prompt, len(tokens))
    assert tokens == expected
    assert len(set(tokens)) > 1


def test_users_own_lora(folders: dict[str, Path], tmp_path: Path) -> None:
    """A PEFT folder becomes mode 4 and acts like the same matrices do as the vision adapter."""
    lora = {"mine": folders["native"] / "vision-lora"}
    package = build(folders["native"], tmp_path / "p", FP32, loras=lora)
    assert json.loads((package / "aside.json").read_text())["adapters"]["4"] == "mine"
    session = ort.InferenceSession(str(package / "phi-4-mm-text.onnx"))
    inputs: dict[str, Any] = {i.name: np.zeros((1, 2, 0, 64), np.float32) for i in session.get_inputs()}
    inputs["inputs_embeds"] = np.random.default_rng(0).standard_normal((1, 9, 384)).astype(np.float32)
    inputs["attention_mask"] = np.ones((1, 9), np.int64)
    results = [session.run(["logits"], {**inputs, "adapter_mode": np.array([m])})[0] for m in (0, 1, 4)]
    np.testing.assert_array_equal(results[1], results[2])
    assert np.abs(results[0] - results[1]).max() > 0.01


def test_random_package_at_small_size_is_reproducible(folders: dict[str, Path], tmp_path: Path) -> None:
    config = shortened(Phi4MMConfig.read(folders["native"]), 2)
    ranks = {"vision": 4, "speech": 6}
    plan = PrecisionPlan.named("int4")
    one, two = (
        build(RandomCheckpoint(config, 3, ranks), tmp_path / n, plan, card=Card("r")) for n in ("a", "b")
    )
    assert contents(one) == contents(two)
    model = og.Model(str(one))
    assert og.Tokenizer(model).decode(og.Tokenizer(model).encode("Grüße 1")) == "Grüße 1"


def test_real_shape_has_the_published_size() -> None:
    checkpoint = RandomCheckpoint(REAL)
    shapes = checkpoint._shapes
    counts: dict[str, int] = {}
    for name, shape in shapes.items():
        key = "lora" if "_lora." in name else "sound" if "audio_embed" in name else "text"
        counts[key] = counts.get(key, 0) + int(np.prod(shape))
    assert round(counts["lora"] / 1e6) == 830  # 370 + 460
    assert round(counts["sound"] / 1e6) in range(455, 475)


# --- failures


def test_cancelling_leaves_nothing(folders: dict[str, Path], tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    with pytest.raises(Cancelled):
        build(
            folders["native"],
            tmp_path / "p",
            FP32,
            progress=lambda *step: seen.append(step),
            cancelled=lambda: len(seen) >= 120,
        )
    assert list(tmp_path.iterdir()) == []
    assert len(seen) == 120


def test_progress_reaches_the_end(folders: dict[str, Path], tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    build(folders["native"], tmp_path / "p", FP32, lambda *step: seen.append(step))
    done = [d for _, d, _ in seen]
    assert done == sorted(done)
    assert done[-1] == seen[-1][2]
    assert list(dict.fromkeys(s for s, _, _ in seen)) == [
        "vision",
        "speech",
        "embedding",
        "text",
        "checksums",
    ]


def test_existing_folder_is_kept_unless_replaced(folders: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "p"
    out.mkdir()
    (out / "mine.txt").write_text("x")
    with pytest.raises(PackageError, match="exists already"):
        build(folders["native"], out, FP32)
    assert (out / "mine.txt").exists()
    (out / "aside.json").write_text("{}")  # an older package
    build(folders["native"], out, FP32, replace=True)
    assert not (out / "mine.txt").exists()
    assert [f.name for f in tmp_path.iterdir()] == ["p"]


def test_failure_while_replacing_keeps_the_old(folders: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "p"
    out.mkdir()
    (out / "mine.txt").write_text("x")
    (out / "aside.json").write_text("{}")
    calls = iter(range(10**6))
    with pytest.raises(Cancelled):
        build(folders["native"], out, FP32, cancelled=lambda: next(calls) > 50, replace=True)
    assert sorted(f.name for f in out.iterdir()) == ["aside.json", "mine.txt"]
    assert [f.name for f in tmp_path.iterdir()] == ["p"]


def test_tokenizer_with_other_placeholders_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    for file in folders["original"].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    content = json.loads((folder / "tokenizer.json").read_text())
    for token in content["added_tokens"]:
        token["id"] += token["id"] == 200010
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"endoftext10.* the id 200011, not 200010"):
        build(folder, tmp_path / "p", FP32)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is missing"):
        build(folder, tmp_path / "p", FP32)
    assert [f.name for f in tmp_path.iterdir()] == ["c"]


def test_tensor_that_no_graph_uses_is_named(folders: dict[str, Path], tmp_path: Path) -> None:
    """Also when somebody has read it before: what counts is this build."""
    checkpoint = Checkpoint.open(folders["native"])
    checkpoint._tensors["model.surprise.weight"] = checkpoint._tensors["model.norm.weight"]
    for name in checkpoint.names():
        checkpoint.rows(name, 0, 1)
    for _ in range(2):
        with pytest.raises(CheckpointError, match=r"No graph used 1 .* model\.surprise\.weight"):
            build(checkpoint, tmp_path / "p", FP32)
    assert list(tmp_path.iterdir()) == []
    del checkpoint._tensors["model.surprise.weight"]
    done: list[tuple[str, int, int]] = []
    build(checkpoint, tmp_path / "p", FP32, lambda *step: done.append(step))
    assert done[-1][1] == done[-1][2] > 10**6


def test_no_adapters_for_an_opened_checkpoint(folders: dict[str, Path], tmp_path: Path) -> None:
    loras = {"mine": folders["native"] / "vision-lora"}
    with pytest.raises(ValueError, match="adapters already"):
        build(Checkpoint.open(folders["native"]), tmp_path / "p", FP32, loras=loras)


def test_the_block_sizes_used_are_recorded(folders: dict[str, Path], tmp_path: Path) -> None:
    """Low ranks do not fill a block of 128."""
    config = shortened(Phi4MMConfig.read(folders["native"]), 1)
    source = RandomCheckpoint(config, 0, {"vision": 32, "speech": 16})

    def recorded(name: str, plan: PrecisionPlan) -> dict[str, str]:
        words: dict[str, str] = json.loads((build(source, tmp_path / name, plan) / "aside.json").read_text())[
            "precision"
        ]
        return words

    assert recorded("four", PrecisionPlan.named("int4", 64)) == {
        "text": "int4 block 16 and 32 and 64, down int8 block 128, head int8 block 128",
        "embedding": "int8 block 128",
        "vision": "dynamic8",
        "speech": "dynamic8",
    }
    assert recorded("even", PrecisionPlan.named("int4", 128, sensitive="int4"))["text"] == (
        "int4 block 16 and 32 and 128"
    )
    assert recorded("eight", PrecisionPlan.named("int8"))["text"] == "int8 block 16 and 32"


def test_unknown_plan() -> None:
    with pytest.raises(ValueError, match="int3"):
        PrecisionPlan.named("int3")


def test_only_a_package_is_replaced(folders: dict[str, Path], tmp_path: Path) -> None:
    """Neither somebody's papers nor the checkpoint itself."""
    checkpoint = folders["native"]
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.txt").write_text("years of work")
    for out in (tmp_path / "papers", checkpoint):
        with pytest.raises(PackageError, match="not replaced"):
            build(checkpoint, out, FP32, replace=True)
    assert (tmp_path / "papers" / "thesis.txt").exists()
    assert (checkpoint / "config.json").exists()
