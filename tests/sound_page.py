"""Tries microphone and speaker out on the settings' page, as a child of a test: a line for each step."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from PySide6.QtWidgets import QLabel
from real_window import LIGHT, wait_until

from assistant import usage
from assistant.settings import Privacy
from ui import app, start
from ui.settings.sound import SoundPage


def tell(step: str) -> None:
    sys.stdout.write(step + "\n")
    sys.stdout.flush()


def main(folder: Path) -> None:
    qt = start.application()
    settings = replace(LIGHT, privacy=Privacy(preroll=False))
    with app.Desktop(qt, settings, folder / "data") as one:
        one.open_preferences()
        page = one.preferences.turn_to(SoundPage)
        assert isinstance(page, SoundPage)
        wait_until(lambda: page.microphone.count() > 1 and page.voice.count() > 10)
        page.test.button.click()
        wait_until(lambda: "microphone" in one.usage.now)
        tell("open")
        wait_until(lambda: any(label.text() == "It hears you." for label in page.findChildren(QLabel)))
        tell("heard")
        one.preferences.list.setCurrentRow(1)  # leaving the page closes it
        wait_until(lambda: not one.usage.now)
        assert [use.kind for use in usage.read(folder / "data/usage.jsonl")] == ["microphone"]
        tell("closed")
        one.preferences.list.setCurrentRow(0)
        page.refresh.click()
        wait_until(lambda: not page.refresh.isEnabled())
        wait_until(page.refresh.isEnabled)
        played: list[bool] = []
        page.sample.played.connect(lambda: played.append(True))
        page.sample.click()
        wait_until(lambda: played)
        tell("played")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
