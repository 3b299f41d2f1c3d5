"""What the window says about pictures before they are looked at, and how closely it is done."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

from PIL import Image
from PySide6.QtWidgets import QApplication
from real_window import LIGHT, desktop, load_nano, wait_until

from assistant import detail
from assistant.rates import Rates
from assistant.settings import Interface, SettingsFile
from ui.work import brain

SLOW = Rates(2.0, 0.02)


def screenshot() -> bytes:
    data = BytesIO()
    Image.new("RGB", (1920, 1080), "white").save(data, "PNG")
    return data.getvalue()


def test_what_a_screenshot_costs_and_loses_is_said_and_chosen(qt: QApplication, tmp_path: Path) -> None:
    file = SettingsFile(tmp_path / "settings.json")
    with desktop(qt, tmp_path, file=file) as one:
        load_nano(one)
        looks = one.window.composer.looks
        told: list[brain.BrainEvent] = []
        one.conductor.told.connect(told.append)
        assert not looks.isVisible()
        one.window.composer.add_picture(screenshot(), "screen")
        wait_until(lambda: brain.Prepared(1) in told)
        assert looks.isVisible()
        assert looks.said.text() == ("Shrunk to 23 %: small text may be lost. Take a smaller region."), (
            "nano takes one crop"
        )
        one.window._show_told(brain.Sized((detail.look_at(1920, 1080, "auto", 36, SLOW),)))
        assert looks.said.text().startswith("About 25 s to look. Shrunk to 47 %")
        assert looks.said.text().endswith("or choose Fine.")
        one.window._show_told(brain.Prepared(1))
        assert looks.said.text().startswith("Looked at. ")
        told.clear()
        looks.button.menu().aboutToShow.emit()
        looks.button.menu().actions()[1].trigger()
        wait_until(lambda: "Quick" in looks.button.text())
        assert file.load().settings.pictures.detail == "quick"
        wait_until(lambda: any(isinstance(event, brain.Prepared) for event in told))  # looked at once more
        said: list[str] = []
        one.conductor.told.connect(lambda _: said.append(one.window._activity.text()))
        one.conductor.told.emit(brain.Costs(one.conductor.state.turn + 1, 17.0))
        assert one.pill._state.text().endswith(" – about 15 s")
        one.window.composer.text.setPlainText("what colour is it")
        one.window.composer.send()
        wait_until(lambda: any(isinstance(event, brain.Answered) for event in told))
        assert "Reading … about 15 s" in said
        assert not looks.isVisible()
        assert looks.said.text() == ""


def test_it_speaks_the_language_of_the_window(qt: QApplication, tmp_path: Path) -> None:
    with desktop(qt, tmp_path, replace(LIGHT, interface=Interface(language="zh", theme="dark"))) as one:
        looks = one.window.composer.looks
        looks.show_looks([detail.look_at(1920, 1080, "auto", 36, SLOW)])
        assert looks.said.text().startswith("看图约需 25 秒")
        assert looks.button.text() == "细节：自动 ▾"
