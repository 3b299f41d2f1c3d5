"""Begins where the shipped model ended: `python -m models.nano.shipped`, then `python -m models.nano.train`.

Writes the front end's files and what the stages start from. `language` and `vision` count as finished;
without `language.pt` or `vision.pt` they go on, too. The heads of `speech` and `vision`, which are not
shipped, learn first.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from models.nano import network
from models.nano.publish import HERE

_FINISHED = 1e9  # s


def lora(model: Any, folder: Path) -> network.Lora:
    """An adapter from its PEFT folder."""
    made = network.Lora(model.model.layers)
    tensors = load_file(folder / "adapter_model.safetensors")
    for letter, factors in (("A", made.a), ("B", made.b)):
        for key in factors:
            layer, _, path = key.replace("/", ".").partition(".")
            name = f"base_model.model.model.layers.{layer}.{path}.lora_{letter}.weight"
            factors[key].data = tensors[name].float()
    return made


def write(checkpoint: Path, out: Path) -> None:
    """The files of all stages from a checkpoint folder."""
    out.mkdir(parents=True, exist_ok=True)
    shutil.copytree(
        HERE / "package",
        out / "front",
        ignore=shutil.ignore_patterns("*.onnx*", "aside.json"),
        dirs_exist_ok=True,
    )
    shutil.copy(checkpoint / "config.json", out / "front")
    model = network.build()
    weights = {name: value.float() for name, value in load_file(checkpoint / "model.safetensors").items()}
    model.load_state_dict(weights, strict=False)
    audio = model.model.embed_tokens_extend.audio_embed
    parts: dict[str, dict[str, nn.Module]] = {
        "language": {"decoder": network.decoder(model)},
        "vision": {"tower": network.tower(model)},
        "speech.start": {"encoder": audio.encoder},
        "join.start": {
            "encoder": audio.encoder,
            "projector": network.speech_projector(model, vision=False),
        },
        "listen.start": {"lora": lora(model, checkpoint / "speech-lora")},
        "see.start": {
            "lora": lora(model, checkpoint / "vision-lora"),
            "seen": network.picture_projector(model),
            "separators": network.separators(model),
        },
    }
    parts |= {f"{name}.start": parts[name] for name in ("language", "vision")}
    for name, modules in parts.items():
        state: dict[str, Any] = {key: module.state_dict() for key, module in modules.items()}
        torch.save(state | {"spent": _FINISHED, "steps": 0}, out / f"{name}.pt")


def main() -> None:
    """Writes what the stages start from."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/nano"))
    parser.add_argument("--checkpoint", type=Path, default=HERE / "checkpoint")
    options = parser.parse_args()
    write(options.checkpoint, options.out)


if __name__ == "__main__":
    main()
