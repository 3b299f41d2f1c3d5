"""Microphone, speaker and voice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from assistant.voice import audio_devices, sound_check
from assistant.voice.microphone import BlockSource
from ui.gate import Gate
from ui.look.controls import Picker
from ui.look.form import Page, alive, button
from ui.look.theme import Theme
from ui.settings.choices import Choices
from ui.settings.sound_check import LevelTest, SampleButton


class SoundPage(Page):
    """Lists what there is when it is first seen; a test ends when the page is left."""

    def __init__(
        self,
        choices: Choices,
        gate: Gate,
        listen: Callable[[], BlockSource],
        renew: Callable[[], object],
    ) -> None:
        """``listen`` gives what comes in; ``renew``, in a thread, has the system look for devices."""
        super().__init__(choices, self.tr("Sound"))
        self._gate, self._renew = gate, renew
        self._listed = False
        self._listing = threading.Event()
        system = ("", self.tr("The system's choice"))
        card = self.card(self.tr("Microphone"))
        self.microphone = self.picker(card, "sound.microphone", self.tr("Microphone"), [system])
        self.test = LevelTest(gate, listen)
        self.test.button.setAccessibleName(self.tr("Test the microphone"))
        row = card.row(self.tr("Level"), self.test)
        self.test.said.connect(row.say)
        self.test.said.connect(lambda _: row.fail(""))
        self.test.failed.connect(row.fail)
        self.preroll = self.switch(
            card,
            "privacy.preroll",
            self.tr("Keep the microphone open"),
            self.tr(
                "No first word is lost. The lamp is on for as long as it is open; what nobody asked for is"
                " forgotten within seconds."
            ),
        )
        card = self.card(self.tr("Answers"))
        self.barge_in = self.switch(
            card,
            "sound.barge_in",
            self.tr("Speaking interrupts an answer"),
            self.tr("While the microphone is kept open. Aside doesn't hear itself, also with loudspeakers."),
        )
        self.speaker = self.picker(card, "sound.speaker", self.tr("Speaker"), [system])
        self.voice = self.picker(card, "sound.voice", self.tr("Voice"), [system])
        self.sample = SampleButton(
            gate, self.tr("Play a sample"), lambda: (choices.now.sound.speaker, choices.now.sound.voice)
        )
        row = card.row(self.tr("How it sounds"), self.sample)
        self.sample.setAccessibleName("")
        self.sample.failed.connect(row.fail)
        self.sample.clicked.connect(lambda: row.fail(""))
        self.refresh = button(self.tr("Look for devices again"))
        self.refresh.clicked.connect(self.look_again)
        self.add(self.refresh)

    def arrive(self) -> None:
        """List the devices, unless that was done."""
        if not self._listed:
            self.list_devices()

    def leave(self) -> None:
        """No microphone stays open, no voice goes on."""
        self.test.stop()
        self.sample.stop()
        self._listing.set()

    def set_theme(self, colours: Theme) -> None:
        """Colours of what draws itself."""
        super().set_theme(colours)
        self.test.set_theme(colours)

    def look_again(self) -> None:
        """List devices that came since."""
        self.test.stop()
        self.sample.stop()
        self.refresh.setEnabled(False)
        looked = alive(self, lambda _: self._looked())
        self._gate.run(self._renew, looked, looked)

    def _looked(self) -> None:
        self.refresh.setEnabled(True)
        self.list_devices()

    def list_devices(self) -> None:
        """Ask the system what there is."""
        cancel = self._listing = threading.Event()
        for picker, key, find in (
            (self.microphone, "sound.microphone", lambda: audio_devices.names("input")),
            (self.speaker, "sound.speaker", lambda: audio_devices.names("output")),
            (self.voice, "sound.voice", lambda: sound_check.voices(cancel)),
        ):
            failed = alive(self, self.rows[key].fail)
            self._gate.run(find, alive(self, self._offer(picker, key)), failed)

    def _offer(self, picker: Picker, key: str) -> Callable[[Sequence[str]], None]:
        def offer(names: Sequence[str]) -> None:
            self._listed = self._listed or picker is self.voice
            if not names:
                self.rows[key].fail(self.tr("None was found."))
            picker.offer(
                [("", self.tr("The system's choice")), *((name, name) for name in dict.fromkeys(names))],
                self.choices.now.get(key),
            )

        return offer
