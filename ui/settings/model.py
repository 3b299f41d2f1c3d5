"""Which model answers: what there is, what it can't do, how it is and how fast it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PySide6.QtWidgets import QFileDialog, QProgressBar

from assistant import packages
from assistant.engine import devices, memory
from assistant.engine.protocol import EngineSettings
from assistant.settings import LEVELS, Settings
from models import package
from models.errors import AsideError
from models.package import PackageInfo
from ui.gate import Gate
from ui.look.controls import Picker
from ui.look.form import Page, alive, button
from ui.look.nano_words import spoken
from ui.look.theme import Theme
from ui.settings.choices import Choices
from ui.settings.hotkeys import command_row
from ui.window.looks import level_name
from ui.window.model_state import ModelState

_COMMANDS: Final = (
    "aside models build path/to/Phi-4-multimodal-instruct phi4mm --precision int4",
    "aside models check phi4mm",
    "aside settings set model.package path/to/phi4mm",
)
_GIGABYTE: Final = 1e9
_Found = tuple[list[str], PackageInfo | AsideError, Sequence[str]]
"""The packages by name, the chosen one or what is wrong with it, and the devices."""


class ModelPage(Page):
    """Choosing another package loads it at once; one that can't be loaded is not kept."""

    def __init__(self, choices: Choices, gate: Gate, state: ModelState) -> None:
        super().__init__(choices, self.tr("Model"))
        self._gate, self._state = gate, state
        card = self.card()
        self.package = Picker()
        row = card.row(self.tr("Model"), self.package)
        self.bind("model.package", row, self.package.show_value)
        self.package.picked.connect(self.choose)
        other = button(self.tr("Choose a folder …"))
        other.clicked.connect(self._choose_folder)
        card.row(
            self.tr("A package elsewhere"),
            other,
            self.tr("Packages in {folder} are listed by name.").replace(
                "{folder}", str(packages.data_folder() / packages.MODELS)
            ),
        )
        self.adapter = self.picker(
            card, "model.adapter", self.tr("Adapter"), [("", self.tr("The model's own"))],
            self.tr("A LoRA of yours that was built into the package."),
        )  # fmt: skip
        self.adapter.setEnabled(False)  # until one is found
        self.device = self.picker(
            card,
            "model.device",
            self.tr("Computed by"),
            self._devices((devices.CPU,)),
        )
        card = self.card(self.tr("Pictures"))
        self.detail = self.segments(
            card,
            "pictures.detail",
            self.tr("Look at them"),
            [(level, level_name(level)) for level in LEVELS],
            self.tr("Fine reads small text and takes longest. Automatic takes half a minute at most."),
        )
        card = self.card(self.tr("State"))
        self._progress = QProgressBar()
        self._progress.setRange(0, 0)
        self._progress.setTextVisible(False)
        self._progress.setFixedWidth(120)
        self.state = card.row("", self._progress)
        self.speed = card.row(self.tr("Speed"))
        self.about = self.card(self.tr("About this model"))
        self.about.row("…")
        card = self.card(self.tr("How to get the real model"))
        card.row(
            self.tr("Phi-4-multimodal hears eight languages, sees photographs and talks about anything."),
            None,
            self.tr(
                "Fetch its checkpoint (11 GB), then export it with these commands: some minutes, 6 GB of"
                " disk."
            ),
        )
        for command in _COMMANDS:
            card.add(command_row(command))
        state.changed.connect(self._show_state)
        choices.changed.connect(self._changed)
        self._show_state()

    def arrive(self) -> None:
        """Look for packages."""
        failed = alive(self, self.rows["model.package"].fail)
        self._gate.run(self._find, alive(self, self._found), failed)

    def set_theme(self, colours: Theme) -> None:
        """Colours of what draws itself."""
        super().set_theme(colours)
        self._show_state()

    def _devices(self, there: Sequence[str]) -> list[tuple[str, str]]:
        """What may be chosen, with its words."""
        automatic = self.tr("Automatic: {device}").replace("{device}", self._device(devices.CPU))
        words = [(name, self._device(name)) for name in there]
        return [("auto", automatic), *((name, word[:1].upper() + word[1:]) for name, word in words)]

    def _device(self, name: str) -> str:
        others = {"cuda": "CUDA", "openvino": "OpenVINO", "coreml": "Core ML", "directml": "DirectML"}
        return others.get(name) or self.tr("the processor")

    def _find(self) -> _Found:
        """In a thread of the gate."""
        try:
            info: PackageInfo | AsideError = package.check(
                packages.find_package(self.choices.now.model.package)
            )
        except AsideError as error:
            info = error
        return list(packages.package_folders()), info, devices.available()

    def _found(self, found: _Found) -> None:
        names, info, there = found
        device = self.choices.now.model.device
        missing = () if device in ("auto", *there) else (device,)
        self.device.offer(self._devices((*there, *missing)), device)
        self.rows["model.device"].say(
            self.tr("Only the processor was tried.")
            if len(there) > 1
            else self.tr("On this machine, only the processor can compute.")
        )
        chosen = self.choices.now.model.package
        shown = [(name, name) for name in names]
        if chosen not in names:
            shown.append((chosen, Path(chosen).name))
        self.package.offer(shown, chosen)
        own = list(info.own_adapters) if isinstance(info, PackageInfo) else []
        self.adapter.offer(
            [("", self.tr("The model's own")), *((name, name) for name in own)],
            self.choices.now.model.adapter,
        )
        self.adapter.setEnabled(bool(own))
        self._describe(info)

    def _describe(self, info: PackageInfo | AsideError) -> None:
        self.about.clear()
        if isinstance(info, AsideError):
            self.about.row("").fail(info)
            return
        said = [spoken(info.description), *(f"– {spoken(limit)}" for limit in info.limits)]
        self.about.row(info.name, None, "\n".join(filter(None, said)))
        precision = sorted({f"{graph}: {kind}" for graph, kind in info.precision.items()})
        need = memory.needed(info, EngineSettings()) / _GIGABYTE
        for name, value in (
            (self.tr("Precision"), ", ".join(precision) or "–"),
            (self.tr("Context"), self.tr("{n} tokens").replace("{n}", f"{info.context_length:,}")),
            (self.tr("On the disk"), f"{info.bytes / 1e6:,.0f} MB"),
            (
                self.tr("Memory"),
                self.tr("{need} GB needed, {free} GB free")
                .replace("{need}", f"{need:.1f}")
                .replace("{free}", f"{memory.free() / _GIGABYTE:.1f}"),
            ),
            (self.tr("Folder"), str(info.path)),
        ):
            self.about.fact(name, value)

    def _show_state(self) -> None:
        state = self._state
        self._progress.setVisible(state.loading)
        self.state.fail(state.error or "")
        if state.loading:
            text = self.tr("Loading {name} …").replace("{name}", state.name)
        elif state.ready:
            text = self.tr("{name} is ready").replace("{name}", state.name)
        else:
            text = self.tr("No model")
        self.state.name.setText(text)
        self.state.say(
            self.tr("Loaded in {s} s").replace("{s}", f"{state.seconds:.1f}")
            + " · "
            + self.tr("computed by {device}").replace("{device}", self._device(state.device))
            if state.ready
            else ""
        )
        self.rows["model.device"].fail(state.device_problem or "")
        usual = state.usual
        if usual is None:
            self.speed.say(self.tr("Ask something, and it is measured."))
        else:
            self.speed.say(
                self.tr("first word after {s} s").replace("{s}", f"{usual.first:.2f}")
                + " · "
                + self.tr("{n} tokens a second").replace("{n}", f"{usual.tokens:.0f}")
            )

    def _changed(self, now: Settings, before: Settings) -> None:
        if now.model != before.model:
            self.arrive()

    def _choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, self.tr("Folder of a model package"))
        if folder:
            self.choose(folder)

    def choose(self, name: str) -> None:
        """Use a package, by its name or folder, if it can be one."""
        row = self.rows["model.package"]
        row.fail("")

        def refused(error: AsideError) -> None:
            row.fail(error)
            self.package.show_value(self.choices.now.model.package)

        self._gate.run(
            lambda: package.check(packages.find_package(name)),
            lambda _: self.choices.change({"model.package": name, "model.adapter": ""}, refused),
            alive(self, refused),
        )
