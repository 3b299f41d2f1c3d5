"""`aside doctor`: what Aside needs on this machine, what is there, and how to mend what is missing."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from assistant import __version__, packages
from assistant.cli import options
from assistant.cli.console import Output, Status
from models import package
from models.errors import DeviceError, PackageError

Mark = Literal["ok", "missing", "warning"]
_SIGNS: Final = {"ok": "✓", "warning": "!", "missing": "✗"}
_LIBRARIES: Final = ("onnxruntime", "onnxruntime-genai", "numpy", "soundfile", "soxr", "pillow", "psutil")


@dataclass(frozen=True)
class Finding:
    """One thing looked at. ``missing`` means that Aside can't work, ``warning`` that a part of it can't."""

    name: str
    mark: Mark
    found: str
    remedy: str = ""


def doctor(arguments: Sequence[str]) -> int:
    """Run the command; 0 if Aside can answer on this machine, 3 if not."""
    parser = options.parser(
        "doctor", "Look at devices, libraries, model and memory.", "  aside doctor\n  aside doctor --json"
    )
    options.add_model(parser)
    options.add_json(parser)
    given = parser.parse_args(list(arguments))
    output = Output(given.json)
    findings = []
    for finding in examine(given.model):
        findings.append(finding)
        output.line(f"{_SIGNS[finding.mark]} {finding.name:<11} {finding.found}")
        if finding.remedy:
            output.line(f"  {'':<11} {finding.remedy}")
    missing = [f for f in findings if f.mark == "missing"]
    warnings = [f for f in findings if f.mark == "warning"]
    if missing:
        output.line(f"Aside can't work yet: {', '.join(f.name for f in missing)}.")
    elif warnings:
        output.line(f"Aside works, without: {', '.join(f.name for f in warnings)}.")
    else:
        output.line("Everything is there.")
    output.json([asdict(f) for f in findings])
    return 3 if missing else 0


def examine(model: str) -> Iterator[Finding]:
    """Look at everything, one by one."""
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    yield Finding("Aside", "ok", f"{__version__}, Python {platform.python_version()}, {system}")
    yield _libraries()
    yield from _model(model)
    yield _device()
    looks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("microphone", _microphone),
        ("speaker", _speaker),
        ("voice", _voice),
        ("camera", _camera),
    )
    for name, look in looks:
        Status.show(f"Looking at the {name} …")
        try:
            yield Finding(name, "ok", look())
        except DeviceError as error:
            yield Finding(name, "warning", error.what, error.remedy.replace(", and see `aside doctor`", ""))
    yield _disk()


def _libraries() -> Finding:
    found, missing = [], []
    for name in _LIBRARIES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        remedy = f"Install: {Path(sys.executable).name} -m pip install {' '.join(missing)}"
        return Finding("libraries", "missing", f"missing: {', '.join(missing)}", remedy)
    return Finding("libraries", "ok", ", ".join(found))


def _model(name: str) -> Iterator[Finding]:
    import psutil

    from assistant.engine import memory
    from assistant.engine.protocol import EngineSettings

    Status.show("Comparing checksums …")
    try:
        info = package.check(packages.find_package(name), full=True)
    except PackageError as error:
        yield Finding("model", "missing", error.what, error.remedy)
        return
    about = f"{info.name}, {info.bytes / 1e6:,.0f} MB, complete and unchanged, in {info.path}"
    yield Finding("model", "ok", about)
    free, needed = memory.free(), memory.needed(info, EngineSettings())
    total = psutil.virtual_memory().total
    known = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free, about {needed / 1e9:.1f} needed"
    if free < needed:
        yield Finding("memory", "missing", known, "Close other programs or use a smaller model.")
    else:
        yield Finding("memory", "ok", f"{known}; {psutil.cpu_count(logical=False) or '?'} processor cores")


def _device() -> Finding:
    """What computes, by the settings."""
    from assistant.engine import devices
    from assistant.settings import SettingsFile, default_path

    chosen, there = SettingsFile(default_path()).load().settings.model.computed_by, devices.available()
    if chosen not in there:
        error = devices.cannot(chosen)
        return Finding("device", "warning", error.what, error.remedy)
    others = [name for name in there if name != chosen]
    return Finding("device", "ok", chosen + (f" (also: {', '.join(others)})" if others else ""))


def _microphone() -> str:
    from assistant.voice.audio_devices import names
    from assistant.voice.endpoint import QUIETEST, level
    from assistant.voice.microphone import Microphone

    with Microphone() as microphone:
        loudest = QUIETEST
        for number, block in enumerate(microphone.blocks()):
            loudest = max(loudest, level(block))
            if number == 25:  # half a second
                break
    quiet = ": digital silence, it may be muted" if loudest <= QUIETEST else ""
    others = [n for n in names("input") if n != microphone.name]
    return f"{microphone.name}, {loudest:.0f} dBFS{quiet}" + (
        f" (also: {', '.join(others)})" if others else ""
    )


def _speaker() -> str:
    from assistant.voice.audio_devices import names
    from assistant.voice.speaker import Speaker

    with Speaker() as speaker:
        others = [n for n in names("output") if n != speaker.name]
    return speaker.name + (f" (also: {', '.join(others)})" if others else "")


def _voice() -> str:
    from assistant.voice.speech import Voice

    with Voice() as voice:
        spoken = voice.synthesise("Hello")
        return f"{len(voice.languages)} languages, {spoken.rate:,} Hz"


def _camera() -> str:
    """Those that there are; none is opened, as that would light its lamp."""
    from assistant.media.camera import cameras, resolve

    _, _, name = resolve("")
    return ", ".join(f"{one.source}: {one.name}" for one in cameras()) or name


def _disk() -> Finding:
    folder = Path(tempfile.gettempdir())
    free = shutil.disk_usage(folder).free
    found = f"{free / 1e9:.1f} GB free in {folder}"
    if free < 200e6:
        return Finding(
            "disk", "warning", found, "Free some space: spoken replies are kept there for a moment."
        )
    return Finding("disk", "ok", found)
