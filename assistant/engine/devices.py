"""What may compute: execution providers of onnxruntime, under short names of our own.

Only the processor was tried. Whatever else the installed onnxruntime brings is offered as well, and where it
can't be used after all, `open_engine` falls back to the processor and says so.
"""

from __future__ import annotations

from typing import Final

from models.errors import DeviceError

CPU: Final = "cpu"
_PROVIDERS: Final = {
    CPU: "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
NAMES: Final = tuple(_PROVIDERS)


def available() -> tuple[str, ...]:
    """Those that the installed onnxruntime brings; loads it, which takes time."""
    import onnxruntime as ort  # noqa: PLC0415 (slow, and the window starts without it)

    there = ort.get_available_providers()
    return tuple(name for name, provider in _PROVIDERS.items() if provider in there)


def providers(device: str) -> list[str]:
    """For a session of onnxruntime, the first choice first. Raises DeviceError if it isn't there."""
    if device not in available():
        raise cannot(device)
    return list(dict.fromkeys((_PROVIDERS[device], _PROVIDERS[CPU])))


def cannot(device: str) -> DeviceError:
    """The error of a device that can't compute."""
    return DeviceError(
        f"{device} can't be used here: this onnxruntime computes on {', '.join(available())}.",
        "The processor computes instead; choose it in the settings, or install another onnxruntime.",
    )
