"""Settings chosen by measurement: kept by package and machine, picked up, and no reply depends on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from command import Aside
from engine_package import GREEDY, ONE_THREAD, question, reply, small_package

from assistant import tuned
from assistant.bench.engine.tune import choices, compare, tune_blocks
from assistant.engine.protocol import EngineSettings
from assistant.engine.session import LocalSession
from models import package
from models.config import Phi4MMConfig
from models.random_weights import shortened

NANO = package.embedded().parent / "checkpoint"
CHOSEN = EngineSettings(threads=3, chunk=64, spinning=False, arena=False, prefill="same")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_package(tmp_path_factory.mktemp("tuned") / "small")


def test_settings_are_kept_for_one_package_on_one_machine(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info, other = package.check(small), package.check(package.embedded())
    path = tmp_path / "data" / "tuned.json"
    assert tuned.settings(info, path) == EngineSettings()
    tuned.keep(info, CHOSEN, path)
    tuned.keep(other, replace(CHOSEN, chunk=256), path)
    assert tuned.settings(info, path) == CHOSEN
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(tuned, "processor", lambda: "another")
        assert tuned.settings(info, path) == EngineSettings()
    tuned.keep(info, None, path)
    assert tuned.settings(info, path) == EngineSettings()
    assert tuned.settings(other, path).chunk == 256


@pytest.mark.parametrize(
    ("old", "new"), [('"chunk": 64', '"chunk": 0'), ("64", '"64"'), ("false", "1"), ("{", "")]
)
def test_what_is_damaged_has_the_defaults(small: Path, tmp_path: Path, old: str, new: str) -> None:
    info, path = package.check(small), tmp_path / "tuned.json"
    tuned.keep(info, CHOSEN, path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert tuned.settings(info, path) == EngineSettings()


def test_no_setting_changes_a_reply(small: Path) -> None:
    replies = []
    for settings in (ONE_THREAD, replace(CHOSEN, threads=2)):
        with LocalSession(small, settings) as session:
            session.append(*question("What is this? " * 10))
            replies.append(reply(session, GREEDY)[0])
    assert replies[0] == replies[1]


def test_two_settings_are_measured_side_by_side(small: Path) -> None:
    quicker, memory = compare(small, ONE_THREAD, replace(ONE_THREAD, chunk=64), 1, iter([None]))
    assert 0.1 < quicker < 10
    assert 0.5 < memory < 2


def test_what_is_tried_never_repeats_what_it_begins_with() -> None:
    assert choices(4, 8, False)[:3] == [("threads", 8), ("threads", 3), ("threads", 1)]
    assert choices(4, 8, True)[0] == ("prefill", "same")
    assert ("threads", 1) not in choices(1, 1, False)


def test_the_command_measures_keeps_and_forgets(tmp_path: Path, small: Path) -> None:
    aside = Aside(tmp_path, small)
    found = aside("bench", "tune", "--model", small, "--rounds", "1", "--json", "found.json")
    assert found.code == 0, found.err
    assert "Kept for small on this machine: threads" in found.out
    assert aside.path("found.json").exists()
    kept = aside.path("data") / "aside" / "tuned.json"
    assert tuned.settings(package.check(small), kept).threads > 0
    assert aside("bench", "tune", "--model", small, "--forget").code == 0
    assert tuned.settings(package.check(small), kept) == EngineSettings()


def test_the_block_size_for_new_packages_is_measured_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = shortened(Phi4MMConfig.read(NANO), 1)
    said: list[float] = []
    best, trials = tune_blocks(config, 2, lambda _, done: said.append(done))
    assert best in (32, 64, 128)
    assert [trial.value for trial in trials] == [64, 128]
    assert said == sorted(said)
    path = tmp_path / "tuned.json"
    assert tuned.block_size(path) == 64
    for size in (128, 32):
        tuned.keep_block_size(size, path)
        assert tuned.block_size(path) == size
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(tuned, "processor", lambda: "another")
        assert tuned.block_size(path) == 64
    path.write_text(path.read_text().replace("32", '"32"'))
    assert tuned.block_size(path) == 64


def test_a_package_gets_the_block_size_that_was_found(tmp_path: Path, small: Path) -> None:
    aside = Aside(tmp_path, small)
    tuned.keep_block_size(16, aside.path("data") / "aside" / "tuned.json")
    for given, size in (((), 16), (("--block-size", "32"), 32)):
        built = aside("models", "build", *given, NANO, aside.path(f"built{size}"))
        assert built.code == 0, built.err
        assert f"int4 block {size}" in package.check(aside.path(f"built{size}")).precision["text"]
    assert aside("bench", "tune", "--blocks", "--forget").code == 0
    assert tuned.block_size(aside.path("data") / "aside" / "tuned.json") == 64
