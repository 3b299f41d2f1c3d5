"""Writes the trained model as a checkpoint that transformers loads, and as a package for ONNX Runtime."""

from __future__ import annotations

import argparse
import json
import re
import shutil
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from models.export.build import Card, build
from models.export.plan import PrecisionPlan
from models.nano import network, shape

TOKENIZER_FILES: Final = ("tokenizer.json", "tokenizer_config.json")
HERE: Final = Path(__file__).parent
DESCRIPTION: Final = (
    "The small demonstration model: Phi-4-multimodal's architecture with 6 million parameters."
)
LIMITS: Final = (
    "It knows about 600 English words and was trained on synthetic speech only.",
    "It understands eight kinds of commands and questions about drawn shapes, bars, and 24 words and numbers"
    " in large letters.",
    "It translates a small phrase book to German, Spanish and Chinese.",
    "It can't summarize or talk about anything else.",
)
CLIP_SECONDS: Final = 6.0  # one sentence
PROCESSOR_FILES: Final = ("vision_processor.json", "speech_processor.json")


def assemble(out: Path) -> tuple[Any, network.Lora, network.Lora]:
    """The model and its speech and vision adapters from the saved stages in `out`."""
    model = network.build()
    image, audio = model.model.embed_tokens_extend.image_embed, model.model.embed_tokens_extend.audio_embed
    tower = image.img_processor
    with torch.no_grad():  # never used: the features come from the layer before the last
        for module in (tower.encoder.layers[shape.VISION_LAYERS], tower.post_layernorm, tower.head):
            for parameter in module.parameters():
                parameter.zero_()
    speech_lora, vision_lora = network.Lora(model.model.layers), network.Lora(model.model.layers)
    parts: dict[str, dict[str, nn.Module]] = {
        "language": {"decoder": network.decoder(model)},
        "vision": {"tower": network.tower(model)},
        "join": {"encoder": audio.encoder},
        "listen": {
            "lora": speech_lora,
            "projector": network.speech_projector(model, vision=False),
        },
        "see": {
            "lora": vision_lora,
            "heard": network.speech_projector(model, vision=True),
            "seen": network.picture_projector(model),
            "separators": network.separators(model),
        },
    }
    for stage, modules in parts.items():
        state = torch.load(out / f"{stage}.pt", weights_only=True)
        for name, module in modules.items():
            module.load_state_dict(state[name])
    return model.eval(), speech_lora, vision_lora


def save(out: Path, target: Path) -> None:
    """Writes the checkpoint folder `target` in float16 from the stages in `out`."""
    model, speech, vision = assemble(out)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    tensors = {k: v.half().contiguous() for k, v in model.state_dict().items() if k != "lm_head.weight"}
    save_file(tensors, target / "model.safetensors", {"format": "pt"})
    config = {**shape.checkpoint_config(), "dtype": "float16"}
    (target / "config.json").write_text(json.dumps(config, indent=1) + "\n", "utf-8")
    for name, lora in (("speech", speech), ("vision", vision)):
        _save_adapter(lora, target / f"{name}-lora")
    for name in TOKENIZER_FILES + PROCESSOR_FILES:
        shutil.copy(out / "front" / name, target / name)


def main() -> None:
    """Writes the checkpoint and the package from the saved stages."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/nano"), help="where the stages are")
    parser.add_argument("--checkpoint", type=Path, default=HERE / "checkpoint")
    parser.add_argument("--package", type=Path, default=HERE / "package")
    options = parser.parse_args()
    save(options.out, options.checkpoint)
    build(
        options.checkpoint,
        options.package,
        PrecisionPlan.named("int8"),
        card=Card("nano", DESCRIPTION, LIMITS, CLIP_SECONDS, retells=False),
        dynamic_hd=shape.DYNAMIC_HD,
        replace=True,
    )


def _save_adapter(lora: network.Lora, folder: Path) -> None:
    """A PEFT folder."""
    folder.mkdir()
    tensors: dict[str, Tensor] = {}
    for letter, factors in (("A", lora.a), ("B", lora.b)):
        for key, value in factors.items():
            layer, _, path = key.replace("/", ".").partition(".")
            name = f"base_model.model.model.layers.{layer}.{path}.lora_{letter}.weight"
            tensors[name] = value.detach().half().contiguous()
    save_file(tensors, folder / "adapter_model.safetensors")
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": shape.LORA_RANK,
        "lora_alpha": shape.LORA_ALPHA,
        "lora_dropout": 0.0,
        "bias": "none",
        # bare names would adapt the speech encoder's projections too
        "target_modules": rf"model\.layers\.\d+\.({'|'.join(re.escape(path) for path in shape.ADAPTED)})",
    }
    (folder / "adapter_config.json").write_text(json.dumps(settings, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
