"""A package appears whole or not at all: killed builders, two builders, full disks, power cuts."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from command import ROOT

from models.config import AudioConfig, Phi4MMConfig, RopeConfig, VisionConfig
from models.errors import PackageError
from models.export import PrecisionPlan, build
from models.export.staging import Staging, unwritable
from models.package import check
from models.random_weights import RandomCheckpoint

SOURCE = RandomCheckpoint(
    Phi4MMConfig(
        vocab_size=320,
        hidden_size=64,
        intermediate_size=64,
        layers=1,
        heads=2,
        kv_heads=1,
        head_dim=32,
        rms_norm_eps=1e-5,
        tied_embeddings=True,
        max_position_embeddings=131_072,
        original_max_position_embeddings=4096,
        bos_token_id=256,
        eos_token_ids=(257, 256),
        pad_token_id=256,
        rope=RopeConfig(10000.0, 32, (1.0,) * 16, (2.0,) * 16, 1.0),
        vision=VisionConfig(hidden_size=32, intermediate_size=32, layers=2, heads=2, image_token_id=258),
        audio=AudioConfig(
            hidden_size=32,
            intermediate_size=32,
            blocks=1,
            heads=2,
            ext_pw_out_channel=32,
            depthwise_separable_out_channel=32,
            conv_channels=8,
            bias_max_distance=20,
            audio_token_id=259,
        ),
    ),
    ranks={"vision": 4, "speech": 4},
)
BUILDER = """
import os, signal, sys
from pathlib import Path
from models.export import PrecisionPlan, build
from test_export_staging import SOURCE

def progress(stage, done, total):
    if stage == "text":
        print("half", flush=True)
        if sys.stdin.readline() != "go on\\n":
            os.kill(os.getpid(), signal.SIGKILL)

build(SOURCE, Path(sys.argv[1]), PrecisionPlan(), progress)
"""


def builder(out: Path) -> subprocess.Popen[str]:
    """Another process that stands still in the middle of building ``out``."""
    process = subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(out)],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    return process


def names(folder: Path) -> list[str]:
    return sorted(f.name for f in folder.iterdir())


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    out = tmp_path / "p"
    with builder(out) as killed, builder(out) as living:
        killed.communicate("die\n")
        assert killed.returncode < 0
        assert len(names(tmp_path)) == 2
        (tmp_path / ".p.notours.part").mkdir()
        (tmp_path / ".p.q.abcdefgh.part").mkdir()  # of the target p.q
        build(SOURCE, out, PrecisionPlan())
        left = set(names(tmp_path)) - {"p", ".p.notours.part", ".p.q.abcdefgh.part"}
        assert len(left) == 1  # the living one's
        _, errors = living.communicate("go on\n" * 1000)
    assert living.returncode == 1
    assert f"{out} exists already" in errors.splitlines()[-1]
    assert names(tmp_path) == [".p.notours.part", ".p.q.abcdefgh.part", "p"]
    assert check(out, full=True).name == "p"


def test_a_package_moved_aside_by_a_killed_builder_comes_back(tmp_path: Path) -> None:
    out = tmp_path / "p"
    aside = tmp_path / ".p.abcdefgh.part" / "old"
    aside.mkdir(parents=True)
    (aside / "aside.json").write_text("{}")
    with pytest.raises(PackageError, match="exists already"), Staging(out, replace=False):
        pass
    assert names(tmp_path) == ["p"]
    assert names(out) == ["aside.json"]


def test_all_files_reach_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real fsync, watched."""
    out = tmp_path / "p"
    synced: set[int] = set()
    sync = os.fsync

    def fsync(number: int) -> None:
        sync(number)
        if not out.exists():
            synced.add(os.fstat(number).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    build(SOURCE, out, PrecisionPlan())
    assert {out.stat().st_ino, *(f.stat().st_ino for f in out.iterdir())} <= synced


def test_a_stop_is_heard_while_a_large_file_is_hashed(tmp_path: Path) -> None:
    stages: list[str] = [""]
    asked: list[str] = []

    def cancelled() -> bool:
        asked.append(stages[-1])
        return False

    out = build(SOURCE, tmp_path / "p", PrecisionPlan(), lambda s, *_: stages.append(s), cancelled)
    sizes = [f.stat().st_size for f in out.iterdir()]
    assert max(sizes) > 12 * 2**20  # the rotary table
    assert asked.count("checksums") >= 3 + len(sizes)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full. Free some space"),
        (errno.EDQUOT, "your quota of disk space is used up. Free some space"),
        (errno.EACCES, "you may not write there. Choose another folder"),
        (errno.EPERM, "you may not write there. Choose another folder"),
        (errno.EROFS, "the disk is read-only. Choose another folder"),
        (errno.EIO, "Input/output error. Check the disk"),
    ],
)
def test_why_it_can_not_be_written(number: int, words: str) -> None:
    told = str(unwritable(Path("somewhere"), OSError(number, os.strerror(number))))
    assert told.startswith(f"somewhere can't be written: {words}")


def test_a_file_that_grows_too_large(tmp_path: Path) -> None:
    """The system's own limit, met while weights are written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(PackageError, match="a file is too large for this disk"):
            build(SOURCE, tmp_path / "p", PrecisionPlan())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == []


def test_a_destination_that_can_not_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for out, words in (
        (tmp_path / "file" / "p", "something else is in the way"),
        (tmp_path / ("p" * 300), "the name is too long"),
    ):
        with pytest.raises(PackageError, match=words):
            build(SOURCE, out, PrecisionPlan())
    assert names(tmp_path) == ["file"]
