"""`aside models build` from a checkpoint on the disk, with adapters of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
from command import Aside

from assistant.cli.main import main


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = tiny.tiny_model()
    return tiny.save_checkpoint(tmp_path_factory.mktemp("c") / "c", model, tiny.tiny_adapters(model))


def test_build_with_adapters_of_ones_own(checkpoint: Path, tmp_path: Path) -> None:
    aside = Aside(tmp_path, tmp_path)
    adapters = [
        "--lora",
        f"legal={checkpoint / 'vision-lora'}",
        "--lora",
        f"medical={checkpoint / 'speech-lora'}",
    ]
    built = aside("models", "build", checkpoint, "p", "--precision", "int8", *adapters)
    assert built.code == 0, built.err
    assert built.out.startswith("p: ")
    modes = json.loads((tmp_path / "p" / "aside.json").read_text())["adapters"]
    assert modes == {"1": "vision", "2": "speech", "3": "vision", "4": "legal", "5": "medical"}
    told = aside("models", "info", "p")
    assert told.code == 0
    assert "  adapter      legal\n  adapter      medical\n" in told.out


@pytest.mark.parametrize(
    "case",
    [
        (["--lora", "legal"], "--lora legal is not NAME=FOLDER."),
        (["--lora", "legal="], "--lora legal= is not NAME=FOLDER."),
        (["--lora", "Legal=c"], "'Legal' can't name an adapter."),
        (["--lora", "vision=c"], "'vision' can't name an adapter."),
        (["--lora", "=c"], "'' can't name an adapter."),
        (["--lora", "legal=nowhere"], "There is no folder nowhere."),
        (["--lora", "legal=~nobody/x"], "There is no folder ~nobody/x."),
        (["--lora", "legal=c", "--lora", "legal=c"], "--lora legal=c gives the name legal twice."),
        (["--lora", "legal=c"], "c/adapter_config.json is missing."),
    ],
)
def test_adapters_that_can_not_be(
    checkpoint: Path,
    case: tuple[list[str], str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    words, complaint = case
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c").mkdir()
    assert main(["models", "build", str(checkpoint), "p", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"aside: {complaint} ")
    assert err.count("\n") == 1
    assert [f.name for f in tmp_path.iterdir()] == ["c"]


def test_no_adapters_for_random_weights(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    line = ["models", "build", "--random", "--lora", f"legal={tmp_path}", str(tmp_path / "p")]
    assert main(line) == 2
    assert capsys.readouterr().err == "aside: --lora goes with a checkpoint only.\n"
