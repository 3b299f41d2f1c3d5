"""A package that answers everything with a call of a tool: nano with other logits and one odd token."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from models import package

_WIDTH: Final = 192
_NEAR: Final = 1e-3


def hostile_package(folder: Path, call: str) -> Path:
    """``call`` is JSON without spaces; it becomes the last word of the vocabulary."""
    shutil.copytree(package.embedded(), folder)
    path = folder / "tokenizer.json"
    tokenizer: dict[str, Any] = json.loads(path.read_text("utf-8"))
    words, merges = tokenizer["model"]["vocab"], tokenizer["model"]["merges"]
    last = max(words, key=words.__getitem__)
    assert "".join(merges.pop()) == last
    words[call] = written = words.pop(last)
    path.write_text(json.dumps(tokenizer), "utf-8")
    ids = {one["content"]: one["id"] for one in tokenizer["added_tokens"]}
    order = [ids["<|tool_call|>"], written, ids["<|/tool_call|>"], ids["<|end|>"]]
    _have_written(folder, order)
    manifest = json.loads((folder / "aside.json").read_text("utf-8"))
    manifest["retells"] = True  # it may go on after a result
    for name, entry in manifest["files"].items():
        data = (folder / name).read_bytes()
        entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "aside.json").write_text(json.dumps(manifest), "utf-8")
    return folder


def _have_written(folder: Path, order: list[int]) -> None:
    """After each of these tokens comes the next one, and after any other the first."""
    path = folder / "phi-4-mm-text.onnx"
    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    (logits,) = (one for one in graph.output if one.name == "logits")
    vocabulary = logits.type.tensor_type.shape.dim[-1].dim_value
    for node in graph.node:
        node.output[:] = ["own_logits" if name == "logits" else name for name in node.output]
    wins = np.zeros((len(order), vocabulary), np.float32)
    wins[range(len(order)), order] = range(10, 10 + len(order))
    constants = {
        "h_known": _embedded(folder, order[:-1]),
        "h_first": wins[:1],
        "h_next": wins[1:],
        "h_last": np.array([-1], np.int64),
        "h_end": np.array([np.iinfo(np.int64).max], np.int64),
        "h_zero": np.array([0], np.int64),
        "h_one": np.array([1], np.int64),
        "h_near": np.float32(_NEAR),
        "h_row": np.array([1, _WIDTH], np.int64),
        "h_shape": np.array([1, 1, vocabulary], np.int64),
    }
    graph.initializer.extend(numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items())
    steps = [
        ("Slice", ["inputs_embeds", "h_last", "h_end", "h_one"], "h_token"),
        ("Reshape", ["h_token", "h_row"], "h_flat"),
        ("Sub", ["h_known", "h_flat"], "h_apart"),
        ("Abs", ["h_apart"], "h_far"),
        ("ReduceSum", ["h_far", "h_one"], "h_sum"),
        ("Less", ["h_sum", "h_near"], "h_is"),
        ("Cast", ["h_is"], "h_hit"),
        ("Mul", ["h_hit", "h_next"], "h_each"),
        ("Concat", ["h_first", "h_each"], "h_all"),
        ("ReduceMax", ["h_all", "h_zero"], "h_best"),
        ("Reshape", ["h_best", "h_shape"], "logits"),
    ]
    extra: dict[str, dict[str, Any]] = {
        "Cast": {"to": onnx.TensorProto.FLOAT},
        "Concat": {"axis": 0},
        "ReduceMax": {"keepdims": 0},
    }
    for kind, inputs, output in steps:
        graph.node.append(helper.make_node(kind, inputs, [output], **extra.get(kind, {})))
    onnx.save(model, path)


def _embedded(folder: Path, tokens: list[int]) -> np.ndarray:
    """What the text graph gets for these tokens: ``[n, width]``."""
    session = onnxruntime.InferenceSession(folder / "phi-4-mm-embedding.onnx")
    nothing = np.zeros((0, _WIDTH), np.float32)
    (found,) = session.run(
        None,
        {"input_ids": np.array([tokens], np.int64), "image_features": nothing, "audio_features": nothing},
    )
    return np.asarray(found, np.float32).reshape(len(tokens), _WIDTH)
