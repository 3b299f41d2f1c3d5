"""A whole package against Phi4MultimodalForCausalLM: from pixels, frames and ids to logits, within 1e-4."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import tiny
import torch
from encoder_inputs import clips, pictures, session, tokens, true_masks
from numpy.typing import NDArray

from models.config import AUDIO_TOKEN, IMAGE_TOKEN
from models.export import PrecisionPlan, build

ort.set_default_logger_severity(3)
Arrays = dict[str, NDArray[Any]]
HIDDEN = 384
AFTER = [7, 99, 200]  # tokens after the prompt
ADAPTERS = {0: None, 1: "vision", 2: "speech", 3: "vision"}


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny.tiny_model()


@pytest.fixture(scope="module")
def adapters(model: Any) -> dict[str, dict[str, Any]]:
    return tiny.tiny_adapters(model)


@pytest.fixture(scope="module")
def package(model: Any, adapters: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The four sessions of the package built from the model's checkpoint."""
    folder = tmp_path_factory.mktemp("parity")
    checkpoint = tiny.save_checkpoint(folder / "checkpoint", model, adapters)
    built = build(checkpoint, folder / "package", PrecisionPlan())
    return {n: session(built / f"phi-4-mm-{n}.onnx") for n in ("vision", "speech", "embedding", "text")}


def prompt(model: Any, parts: list[int | str], seed: int = 3) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids as the package and as the checkpoint know them: random text between runs of placeholders.

    A number is that many text tokens, "i7" seven picture tokens, "a7" seven sound tokens.
    """
    rng = np.random.default_rng(seed)
    own = {"i": model.config.vision_config.image_token_id, "a": model.config.audio_config.audio_token_id}
    ours: list[int] = []
    theirs: list[int] = []
    for part in parts:
        if isinstance(part, int):
            text = rng.integers(0, 250, part).tolist()
            ours += text
            theirs += text
        else:
            count = int(part[1:])
            ours += [{"i": IMAGE_TOKEN, "a": AUDIO_TOKEN}[part[0]]] * count
            theirs += [own[part[0]]] * count
    return np.array([ours]), np.array([theirs])


def encode(package: Any, mode: int, seen: Arrays, heard: Arrays) -> Arrays:
    """The embedding graph's features: pictures through the vision graph, clips through the speech graph."""
    nothing = np.zeros((0, HIDDEN), np.float32)
    heard = heard and {**heard, "audio_projection_mode": np.array([mode])}
    return {
        "image_features": package["vision"].run(None, seen)[0] if seen else nothing,
        "audio_features": package["speech"].run(None, heard)[0] if heard else nothing,
    }


def run(package: Any, ids: NDArray[np.int64], features: Arrays, mode: int) -> Any:
    """Logits after the prompt and after each token of ``AFTER``, with the KV cache: [4, vocabulary]."""
    names = [i.name for i in package["text"].get_inputs() if i.name.startswith("past")]
    past = {n: np.zeros((1, 2, 0, 64), np.float32) for n in names}
    rows, total = [], 0
    for chunk in (ids, *(np.array([[token]]) for token in AFTER)):
        embedded = package["embedding"].run(None, {"input_ids": chunk, **features})[0]
        features = {n: f[:0] for n, f in features.items()}
        total += chunk.shape[1]
        inputs = {"inputs_embeds": embedded, "attention_mask": np.ones((1, total), np.int64)}
        outputs = package["text"].run(None, {**inputs, "adapter_mode": np.array([mode]), **past})
        rows.append(outputs[0][0, -1])
        past = dict(zip(names, outputs[1:], strict=True))
    return np.stack(rows)


def reference(model: Any, ids: NDArray[np.int64], seen: Arrays, heard: Arrays) -> Any:
    """The same logits from transformers, the whole sequence at once."""
    names = {"pixel_values": "image_pixel_values", "audio_embeds": "audio_input_features"}
    names["audio_sizes"] = "audio_embed_sizes"
    media = {names.get(n, n): torch.from_numpy(v) for n, v in {**seen, **heard}.items()}
    whole = torch.from_numpy(np.concatenate([ids, [AFTER]], axis=1))
    with torch.no_grad():
        output = model(input_ids=whole, use_cache=False, logits_to_keep=len(AFTER) + 1, **media)
    return output.logits[0].numpy()


@contextmanager
def adapted(model: Any, adapters: Any, name: str | None) -> Iterator[None]:
    """The reference with an adapter in its weights."""
    if name is None:
        yield
        return
    rank, alpha = tiny.ADAPTERS[name]
    tiny.merge(model, adapters[name], alpha / rank)
    try:
        yield
    finally:
        tiny.merge(model, adapters[name], -alpha / rank)


PICTURE = [(1, 1)], [(0, 6)]
TWO_PICTURES = [(1, 2), (2, 1)], [(3, 0), (0, 0)]
CASES: dict[str, tuple[int, list[int | str], Any, tuple[int, ...]]] = {
    "text": (0, [30], None, ()),
    "long text": (0, [90], None, ()),
    "picture": (1, [4, "i0", 9], PICTURE, ()),
    "two pictures": (1, [4, "i0", 3, "i1", 9], TWO_PICTURES, ()),
    "clip": (2, [3, "a0", 8], None, (101,)),
    "long clip": (2, [3, "a0", 8], None, (730,)),
    "two clips": (2, [3, "a0", 2, "a1", 8], None, (160, 96)),
    "both": (3, [4, "i0", "a0", 7], PICTURE, (205,)),
    "two of each": (3, [2, "a0", "i0", 3, "i1", 5, "a1", 6], TWO_PICTURES, (96, 400)),
}


@pytest.mark.parametrize("name", CASES)
def test_logits_equal_the_reference(model: Any, adapters: Any, package: Any, name: str) -> None:
    mode, parts, shown, lengths = CASES[name]
    seen = pictures(*shown) if shown else {}
    heard = clips(*lengths) if lengths else {}
    heard.pop("audio_projection_mode", None)
    counts = {
        "i": [tokens(g, p) for g, p in zip(*shown, strict=True)] if shown else [],
        "a": [-(-length // 8) for length in lengths],
    }
    filled = [p if isinstance(p, int) else f"{p[0]}{counts[p[0]][int(p[1:])]}" for p in parts]
    ids, own_ids = prompt(model, filled)
    features = encode(package, mode, seen, heard)
    got = run(package, ids, features, mode)

    if len(lengths) == 1:  # as transformers' own processor does
        heard.pop("audio_attention_mask")
    with adapted(model, adapters, ADAPTERS[mode]), true_masks() if len(lengths) > 1 else nullcontext():
        expected = reference(model, own_ids, seen, heard)
    np.testing.assert_allclose(got, expected, atol=1e-4)
    if ADAPTERS[mode]:  # a missing adapter would have been noticed
        assert np.abs(run(package, ids, features, 0) - expected).max() > 0.05
