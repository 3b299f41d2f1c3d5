"""What `check` refuses: one test for each threat, and that a refused package has done nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from engine_package import small_package
from marker_library import write_marker_library
from onnx import TensorProto, helper, numpy_helper

from assistant.engine.session import LocalSession
from models.errors import PackageError
from models.frontend import FrontEnd
from models.package import check

TEXT = "phi-4-mm-text.onnx"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_package(tmp_path_factory.mktemp("check") / "good")


@pytest.fixture
def package(good: Path, tmp_path: Path) -> Path:
    """A copy to spoil, without the list of files, so that changes show in their own right."""
    copy = tmp_path / "package"
    shutil.copytree(good, copy)
    edit(copy, "aside.json", lambda card: card.pop("files"))
    return copy


def edit(package: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((package / name).read_text())
    change(content)
    (package / name).write_text(json.dumps(content))


def decoder(change: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    return lambda config: config["model"]["decoder"].update(change)


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def refused(package: Path, words: str) -> None:
    """`check` refuses with one sentence of these words, and so does loading."""
    with pytest.raises(PackageError, match=words) as told:
        check(package)
    assert told.value.remedy
    assert "\n" not in told.value.what
    with pytest.raises(PackageError, match=words):
        LocalSession(package)


def test_a_good_package_is_described(good: Path, package: Path) -> None:
    info = check(good, full=True)
    assert (info.name, info.context_length, info.original_max_position_embeddings) == ("small", 8192, 4096)
    assert (info.layers, info.kv_heads, info.head_size, info.hidden_size) == (2, 2, 32, 128)
    assert info.kv_bytes(100) == 2 * 2 * 2 * 32 * 100 * 4
    assert info.graphs["text"] == TEXT
    assert info.bytes == sum(f.stat().st_size for f in good.iterdir())
    assert check(package).name == "small"
    (package / "aside.json").unlink()  # a package from elsewhere
    assert check(package).name == "package"


def test_the_library_of_a_hostile_package_never_runs(package: Path, tmp_path: Path) -> None:
    marker = tmp_path / "it-ran"
    write_marker_library(package / "harmless.onnx_adapter", marker)
    library = str(package / "harmless.onnx_adapter")
    options = {"log_id": "x", "provider_options": [], "custom_ops_library": library}
    edit(package, "genai_config.json", decoder({"session_options": options}))
    refused(package, "custom_ops_library")
    assert not marker.exists()
    with pytest.raises(PackageError):  # without the check, genai obeys
        FrontEnd(package)
    assert marker.exists()


@pytest.mark.parametrize("name", ["genai_config.json", "vision_processor.json", "aside.json"])
def test_a_key_that_comes_twice(package: Path, tmp_path: Path, name: str) -> None:
    """Python's reader keeps the last value of such a key; genai obeyed the first one as well."""
    marker = tmp_path / "it-ran"
    write_marker_library(package / "harmless.onnx_adapter", marker)
    hostile = {"custom_ops_library": str(package / "harmless.onnx_adapter")}
    text = (package / name).read_text()
    first = '"session_options": {' if name == "genai_config.json" else "{"
    assert first in text
    twice = f'"x": {json.dumps(hostile)}, "x": 0,'
    if name == "genai_config.json":
        text = text.replace(first, f'"session_options": {json.dumps(hostile)}, {first}', 1)
    else:
        text = text.replace(first, f"{first}{twice}", 1)
    (package / name).write_text(text)
    refused(package, f"{name} is damaged: a key comes twice")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"session_options": {"custom_ops_library": "ops"}}, "custom_ops_library"),
        ({"pipeline": [{"x": {"session_options": {"Custom_Ops_Library": "ops"}}}]}, "Custom_Ops_Library"),
        ({"session_options": {"provider_options": [{"QNN": {"backend_path": "QnnHtp"}}]}}, "backend_path"),
        ({"session_options": {"provider_options": [{"my": {"x": "evil.so.1"}}]}}, "hardware driver"),
        ({"session_options": {"provider_options": [{"my": {"x": "../evil"}}]}}, "hardware driver"),
        ({"session_options": {"ep_library_path": "evil"}}, "ep_library_path"),
        ({"session_options": {"enable_profiling": "/tmp/x"}}, "enable_profiling"),
        ({"session_options": {"config_entries": {}}}, "config_entries"),
        ({"filename": "../text.onnx"}, "outside the package"),
        ({"filename": "/etc/passwd"}, "outside the package"),
        ({"filename": "a\\b.onnx"}, "outside the package"),
        ({"filename": "C:text.onnx"}, "outside the package"),
        ({"filename": ".."}, "outside the package"),
        ({"filename": 3}, "outside the package"),
        ({"filename": "other.onnx"}, "other.onnx is missing"),
        ({"num_hidden_layers": -1}, "wrong value"),
        ({"num_hidden_layers": 10**9}, "wrong value"),
        ({"session_option\u0173": {}}, "strange key"),
        ({"provider_options": deep(900)}, "made to be unreadable"),
        ({"filename": "phi-4-mm-text.onnx.data"}, "not called .onnx"),
        ({"head_size": "64"}, "wrong value"),
    ],
)
def test_hostile_or_wrong_settings(package: Path, change: dict[str, Any], words: str) -> None:
    edit(package, "genai_config.json", decoder(change))
    refused(package, words)


def test_processors_are_looked_at_as_well(package: Path) -> None:
    edit(package, "vision_processor.json", lambda c: c["processor"].update(custom_library="x"))
    refused(package, "vision_processor.json wants")


@pytest.mark.parametrize(
    "name",
    ["ops.so", "ops.so.1.2", "Ops.DLL", "libops.dylib", "model.py", "a.pyc", "weights.pkl", "w.pt",
     "pytorch_model.bin", "sub/deep/x.pyd", "run.sh", "ORT.exe"],
)  # fmt: skip
def test_programs_and_pickles(package: Path, name: str) -> None:
    file = package / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x")
    refused(package, "program or pickle")


def test_a_tokenizer_that_names_other_files(package: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    (package / "tokenizer_module.json").write_text(json.dumps({"tiktoken_file": str(secret)}))
    refused(package, "tokenizer_module.json, which can name other files")
    with pytest.raises(PackageError, match="secret"):  # without the check, genai obeys
        FrontEnd(package)


def test_links_and_pipes(package: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("x")
    link = package / "link"
    for target in (outside, outside / "secret", Path("../outside/secret"), tmp_path / "dangling"):
        link.symlink_to(target)
        refused(package, "link out of its folder")
        link.unlink()
    link.symlink_to("link")
    refused(package, "made to be unreadable")
    link.unlink()
    link.symlink_to("tokenizer.json")
    assert check(package).files["link"] == check(package).files["tokenizer.json"]
    link.unlink()
    os.mkfifo(package / "pipe")
    refused(package, "not a plain file")


NAMES = ["genai_config.json", TEXT, f"{TEXT}.data", "phi-4-mm-vision.onnx", "phi-4-mm-embedding.onnx.data",
         "tokenizer.json", "tokenizer_config.json", "vision_processor.json"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_missing_and_cut_files(package: Path, name: str) -> None:
    whole = (package / name).read_bytes()
    (package / name).unlink()
    refused(package, f"{name} is missing")
    (package / name).write_bytes(b"")
    refused(package, rf"{name}.*(empty|damaged|cut)")
    (package / name).write_bytes(whole[: len(whole) // 2])
    refused(package, rf"{name}.*(damaged|cut)")


@pytest.mark.parametrize("name", ["genai_config.json", "aside.json", "tokenizer.json"])
@pytest.mark.parametrize(
    "content", [b"[1]", b"\xff\xfe", b"[" * 100_000, b"null", b'{"model": 3, "format": 7}']
)
def test_unreadable_json(package: Path, name: str, content: bytes) -> None:
    (package / name).write_bytes(content)
    if name == "tokenizer.json" and content.startswith(b"{"):
        check(package)  # a tokenizer that is none shows when it is loaded
        with pytest.raises(PackageError, match="tokenizer"):
            LocalSession(package)
        return
    refused(package, rf"{name}|type None|format 7")


def test_the_list_of_files(good: Path, tmp_path: Path) -> None:
    package = tmp_path / "listed"
    shutil.copytree(good, package)
    file = package / f"{TEXT}.data"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert check(package).bytes == check(good).bytes  # only the full check reads every byte
    with pytest.raises(PackageError, match=r"text\.onnx\.data is damaged or changed"):
        check(package, full=True)
    file.write_bytes(bytes(data) + b"\0")
    refused(package, r"text\.onnx\.data has .* bytes, which is not what aside\.json says")

    def list_as(files: object) -> None:
        edit(package, "aside.json", lambda card: card.update(files=files))

    for hostile in ("../other", "/etc/passwd", "sub/x"):
        list_as({hostile: {"bytes": 1, "sha256": ""}})
        refused(package, "outside the package")
    for damaged in ({"gone.onnx": {"bytes": 1}}, {TEXT: 3}, [TEXT]):
        list_as(damaged)
        refused(package, "missing|says|damaged")


@pytest.mark.parametrize("kind", ["phi3v", None, 3])
def test_other_models(package: Path, kind: object) -> None:
    edit(package, "genai_config.json", lambda c: c["model"].update(type=kind))
    refused(package, f"type {kind!r}")


def test_no_package(tmp_path: Path) -> None:
    refused(tmp_path / "nothing", "no model package")
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", "no model package")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", r"genai_config\.json is missing")


def external(location: str, offset: int = 0, length: int = 4000) -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1000])
    onnx.external_data_helper.set_external_data(
        _with_raw(tensor), location=location, offset=offset, length=length
    )
    tensor.ClearField("raw_data")
    return tensor


def _with_raw(tensor: TensorProto) -> TensorProto:
    tensor.raw_data = b"\0"
    return tensor


def hide(model: onnx.ModelProto, tensor: TensorProto, place: str) -> None:
    """Put a tensor where a model may hold one."""
    constant = helper.make_node("Constant", [], ["c"], value=tensor)
    inner = helper.make_graph([constant], "inner", [], [helper.make_tensor_value_info("c", 1, [1000])])
    if place == "initializer":
        model.graph.initializer.append(tensor)
    elif place == "constant":
        model.graph.node.append(constant)
    elif place == "branch":
        model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner))
    elif place == "sparse":
        indices = numpy_helper.from_array(np.zeros(1000, np.int64), "i")
        model.graph.sparse_initializer.append(helper.make_sparse_tensor(tensor, indices, [1000]))
    elif place in ("function", "default"):
        nodes = [constant] if place == "function" else []
        function = helper.make_function("com.microsoft", "f", [], ["c"], nodes, [helper.make_opsetid("", 21)])
        if place == "default":
            function.attribute_proto.append(helper.make_attribute("t", tensor))
        model.functions.append(function)


@pytest.mark.parametrize("place", ["initializer", "constant", "branch", "sparse", "function", "default"])
@pytest.mark.parametrize(
    "location", ["../secret", "/etc/passwd", "sub/../../secret", "..", "", "a\\..\\..\\secret", "C:\\secret"]
)
def test_data_outside_the_folder(package: Path, place: str, location: str) -> None:
    (package.parent / "secret").write_bytes(bytes(4000))
    model = onnx.load(package / TEXT, load_external_data=False)
    hide(model, external(location), place)
    (package / TEXT).write_bytes(model.SerializeToString())
    with pytest.raises(PackageError, match="data outside the package"):
        check(package)


@pytest.mark.parametrize(
    ("offset", "length", "words"),
    [(10**9, 4000, "cut"), (0, 10**12, "cut"), (-1, 4000, "cut"), (0, -4000, "cut")],
)
def test_data_beyond_the_end_of_a_file(package: Path, offset: int, length: int, words: str) -> None:
    model = onnx.load(package / TEXT, load_external_data=False)
    model.graph.initializer.append(external(f"{TEXT}.data", offset, length))
    (package / TEXT).write_bytes(model.SerializeToString())
    refused(package, words)


def test_data_named_in_an_unknown_way(package: Path) -> None:
    tensor = external(f"{TEXT}.data")
    tensor.external_data.add(key="prepacked_0", value="k;0;99999999999")
    model = onnx.load(package / TEXT, load_external_data=False)
    model.graph.initializer.append(tensor)
    (package / TEXT).write_bytes(model.SerializeToString())
    refused(package, "prepacked_0")


def test_words_for_people_do_not_reach_the_terminal_as_commands(package: Path) -> None:
    edit(package, "aside.json", lambda card: card.update(name="a\x1b[2Jb", limits=["c\nd"]))
    info = check(package)
    assert info.name == "a [2Jb"
    assert info.limits == ("c d",)


def test_foreign_operators(package: Path) -> None:
    model = onnx.load(package / TEXT, load_external_data=False)
    model.opset_import.append(helper.make_opsetid("com.evil", 1))
    (package / TEXT).write_bytes(model.SerializeToString())
    refused(package, "com.evil")
