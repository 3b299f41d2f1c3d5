"""What computes: the processor, and what is said where something else can't."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from command import Aside
from engine_package import ONE_THREAD
from PySide6.QtWidgets import QApplication
from real_window import desktop, wait_until
from test_ui_messages import put

from assistant.engine import devices
from assistant.engine.opening import open_engine
from assistant.engine.runtime import open_graph
from assistant.settings import Model, Settings, SettingsFile
from models.errors import DeviceError
from ui.settings.model import ModelPage
from ui.work import brain
from ui.work.question import Question

MISSING = next(name for name in devices.NAMES if name not in devices.available())


def test_the_processor_is_there_and_others_can_be_named() -> None:
    assert devices.CPU in devices.available()
    assert devices.providers("cpu") == ["CPUExecutionProvider"]
    with pytest.raises(DeviceError, match=MISSING):
        devices.providers(MISSING)
    assert Settings().model.computed_by == devices.CPU
    assert replace(Model(), device="cuda").computed_by == "cuda"


def test_a_graph_is_opened_on_the_device(small_model: Path) -> None:
    graph = small_model / "phi-4-mm-embedding.onnx"
    with pytest.raises(DeviceError):
        open_graph(graph, replace(ONE_THREAD, device=MISSING), {}, {})


def test_the_processor_takes_over_and_says_so(small_model: Path) -> None:
    engine, problem = open_engine(small_model, replace(ONE_THREAD, device=MISSING))
    with engine:
        assert problem is not None
        assert f"{MISSING} can't be used here" in str(problem)
        assert "The processor computes instead" in str(problem)
    engine, problem = open_engine(small_model, ONE_THREAD)
    with engine:
        assert problem is None


def test_the_command_line_follows_the_setting(aside: Aside) -> None:
    assert aside("settings", "set", "model.device", MISSING).code == 0
    asked = aside("ask", "--max-tokens", "2", "hello")
    assert asked.code == 0
    assert f"{MISSING} can't be used here" in asked.err
    assert f"{MISSING} can't be used here" in aside("doctor").out
    assert aside("settings", "set", "model.device", "steam").code == 2
    assert aside("settings", "reset", "model.device").code == 0
    assert "✓ device      cpu" in aside("doctor").out


def test_the_window_says_it_and_shows_what_computes(qt: QApplication, tmp_path: Path) -> None:
    file = SettingsFile(tmp_path / "settings.json")
    settings = file.change({"interface.language": "en", "model.device": MISSING, "privacy.preroll": False})
    with desktop(qt, tmp_path, settings, file) as one:
        told: list[brain.BrainEvent] = []
        one.conductor.told.connect(told.append)
        one.load_model()
        wait_until(lambda: any(isinstance(event, brain.Loaded) for event in told))
        assert f"{MISSING} can't be used here" in one.window.banner.text
        put(one, Question("hello"))
        one.open_preferences(ModelPage)
        page = one.preferences.page
        assert isinstance(page, ModelPage)
        wait_until(lambda: page.device.count() == 2 + len(devices.available()))
        assert page.device.currentData() == MISSING
        assert f"{MISSING} can't be used here" in page.rows["model.device"].problem
        assert "computed by the processor" in page.state.hint
        assert "tokens a second" in page.speed.hint
        one.choices.change({"model.device": "cpu"})
        wait_until(lambda: not page.rows["model.device"].problem)
