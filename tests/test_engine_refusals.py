"""What the engine refuses, in one sentence and before it costs anything: packages, input, settings."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_package import (
    ONE_THREAD,
    clip,
    from_scratch,
    picture,
    question,
    reply,
    small_package,
)

from assistant.engine import memory, prompt
from assistant.engine.protocol import (
    Clip,
    EngineSettings,
    GenerateOptions,
    Picture,
    Text,
)
from assistant.engine.runtime import Port, _check_fit
from assistant.engine.session import LocalSession
from models.errors import ContextError, EngineError, MediaError, PackageError
from models.package import check


def test_too_little_memory_is_said_before_loading(small_model: Path) -> None:
    info = check(small_model)
    memory.check_memory(info, EngineSettings())
    huge = replace(info, files={**info.files, "weights of the vision graph": 2**50})
    with pytest.raises(EngineError, match=r"needs 1048576\.. GB of memory"):
        memory.check_memory(huge, EngineSettings())
    deep = replace(info, layers=10**6, context_length=10**6)  # 512 MB a token
    with pytest.raises(EngineError, match=r"needs 1953\.4 GB of memory"):
        memory.check_memory(deep, EngineSettings())  # 4,096 tokens
    with pytest.raises(EngineError, match=r"needs 477\.1 GB of memory"):
        memory.check_memory(deep, EngineSettings(context_limit=1000))


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/user/aside", {"user": (900, 500, "inactive_file 100"), "user/aside": ("max", 400, "")}, 500),
        ("0::/user/aside", {"user": (900, 500, ""), "user/aside": (450, 400, "")}, 50),
        ("0::/elsewhere", {"": (300, 400, "")}, 0),
        ("0::/", {"": ("max", 400, "")}, None),
        ("4:memory:/a\n0::/", {"memory/a": (700, 400, "inactive_file 1\ntotal_inactive_file 30")}, 330),
        ("4:memory:/b\n1:cpu:/", {"memory": (700, 400, "")}, 300),
        ("", {}, None),
    ],
)
def test_the_share_of_a_control_group_is_the_limit(
    tmp_path: Path, own: str, files: dict[str, tuple[int | str, int, str]], expected: int | None
) -> None:
    (tmp_path / "own").write_text(own)
    for group, (limit, used, statistics) in files.items():
        folder = tmp_path / "cgroup" / group
        folder.mkdir(parents=True, exist_ok=True)
        first = "memory" in group
        (folder / f"memory.{'limit_in_bytes' if first else 'max'}").write_text(f"{limit}\n")
        (folder / f"memory.{'usage_in_bytes' if first else 'current'}").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 1\n{statistics}")
    assert memory.group_free(tmp_path / "cgroup", tmp_path / "own") == expected
    assert memory.group_free(tmp_path, tmp_path / "nothing") is None


def test_too_little_memory_for_a_conversation_is_said_before_it_is_computed(small_model: Path) -> None:
    with LocalSession(small_model, ONE_THREAD) as session:
        session.append(*question("hello"))
        ids, _ = reply(session)
        place = session.mark()
        session.package = replace(session.package, layers=10**9)  # 512 GB a token
        with pytest.raises(ContextError, match=r"conversation needs .* GB of memory"):
            session.append(*prompt.end())
        assert session.mark() == place
        session.rewind(len(question("hello")))
        session.append()  # room that was taken once is room
        assert reply(session)[0] == ids


def test_too_long_and_bad_input_change_nothing(small_model: Path) -> None:
    with LocalSession(small_model, replace(ONE_THREAD, context_limit=600)) as session:
        with pytest.raises(ContextError, match="nothing to answer"):
            list(session.generate())
        session.append(*question("hello"))
        with pytest.raises(ContextError, match="room for 600"):
            session.append(Text("more"), picture(1), picture(2))
        with pytest.raises(ContextError, match="10,000,000 characters"):
            session.append(Text("x" * 10_000_000))
        with pytest.raises(ContextError, match="recording takes 12,500 tokens"):
            session.append(Clip(np.broadcast_to(np.float32(0.1), 16_000_000), 16_000))
        with pytest.raises(MediaError):
            session.append(Text("more"), Picture(b"no picture"))
        with pytest.raises(MediaError):
            session.append(Text("more"), Clip(np.array([np.nan], np.float32), 16_000))
        assert session.mark() == len(question("hello"))
        assert reply(session)[0] == from_scratch(small_model, question("hello"))


def test_a_damaged_graph_is_a_clear_error(tmp_path: Path) -> None:
    broken = small_package(tmp_path / "broken")
    graph = broken / "phi-4-mm-text.onnx"
    graph.write_bytes(graph.read_bytes()[:-100])
    (broken / "aside.json").unlink()
    with pytest.raises(PackageError, match=r"phi-4-mm-text\.onnx"):
        LocalSession(broken)


@pytest.fixture
def copy(small_model: Path, tmp_path: Path) -> Path:
    """A package to be changed: without the checksums of its files."""
    folder = tmp_path / "copy"
    shutil.copytree(small_model, folder)
    (folder / "aside.json").unlink()
    return folder


@pytest.mark.parametrize(
    ("name", "change"),
    [("num_hidden_layers", -1), ("num_hidden_layers", 1), ("head_size", 1), ("hidden_size", 1), ("", 1)],
)
def test_a_configuration_that_is_not_the_graphs(copy: Path, name: str, change: int) -> None:
    config = json.loads((copy / "genai_config.json").read_text())
    if name:
        config["model"]["decoder"][name] += change
    else:
        config["model"]["vocab_size"] += change
    (copy / "genai_config.json").write_text(json.dumps(config))
    graph = "embedding" if name == "hidden_size" else "text"
    with pytest.raises(PackageError, match=rf"phi-4-mm-{graph}\.onnx does not fit genai_config\.json: "):
        LocalSession(copy)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_package(tmp_path_factory.mktemp("model") / "narrow", width=64)


@pytest.mark.parametrize(
    ("graph", "other", "sentence"),
    [
        ("vision", "narrow", r"image_features should be float \[\?, 128\], and is float \[\?, 64\]"),
        ("speech", "narrow", r"audio_features should be float \[\?, 128\], and is float \[\?, 64\]"),
        ("embedding", "narrow", r"audio_features should be float \[\?, 128\], and is float \[\?, 64\]"),
        ("vision", "speech", r"audio_attention_mask should be nothing, and is bool \[\?, \?\]"),
    ],
)
def test_a_graph_of_another_model(copy: Path, narrow: Path, graph: str, other: str, sentence: str) -> None:
    """The encoders' graphs are loaded when they are first needed."""
    if other == "narrow":
        for file in narrow.glob(f"*{graph}*"):
            shutil.copy(file, copy)
    else:
        shutil.copy(copy / f"phi-4-mm-{other}.onnx", copy / f"phi-4-mm-{graph}.onnx")
    said = question(picture(1) if graph == "vision" else clip(1))
    with pytest.raises(PackageError) as refused:
        from_scratch(copy, said)
    assert re.search(
        rf"phi-4-mm-{graph}\.onnx does not fit genai_config\.json: {sentence}", str(refused.value)
    )


def test_the_number_of_axes_is_compared() -> None:
    wanted: dict[str, Port] = {"frames": ("tensor(float)", [None, None, 80])}
    _check_fit("a.onnx", wanted, {"frames": ("tensor(float)", [1, "length", 80])})
    with pytest.raises(PackageError, match=r"frames should be float \[\?, \?, 80\], and is float \[80\]"):
        _check_fit("a.onnx", wanted, {"frames": ("tensor(float)", [80])})


def test_nothing_is_kept_to_be_sent(small_model: Path, tmp_path: Path) -> None:
    """onnxruntime and genai would write a device id and a database of events."""
    program = "import sys, pathlib, assistant.engine.session as s; s.LocalSession(pathlib.Path(sys.argv[1]))"
    environment = {
        k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    }
    subprocess.run(
        [sys.executable, "-c", program, str(small_model)],
        env={**environment, "HOME": str(tmp_path)},
        check=True,
    )
    assert list(tmp_path.iterdir()) == []


def test_settings_are_validated() -> None:
    for chunk, threads, cache_bytes in ((0, 0, 0), (1, -1, 0), (1, 0, -1)):
        with pytest.raises(ValueError, match="chunk"):
            EngineSettings(chunk=chunk, threads=threads, cache_bytes=cache_bytes)
    for options in ({"top_p": 0.0}, {"max_tokens": -1}, {"repetition_guard": 1}):
        with pytest.raises(ValueError, match=r"top_p|max_tokens|repetition"):
            GenerateOptions(**options)
