"""The engine against og.Generator, where no adapter is involved: greedy tokens are identical."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import onnxruntime_genai as og
import pytest
import soundfile
from engine_package import GREEDY, clip, from_scratch, picture, question, small_package

from assistant.engine import prompt
from assistant.engine.protocol import Clip, Picture
from models.prompts import SYSTEM_PROMPT


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_package(tmp_path_factory.mktemp("reference") / "plain", adapters=False)


def reference(package: Path, text: str, media: Sequence[Clip | Picture], count: int) -> list[int]:
    """Greedy tokens of og.Generator for a prompt written with genai's placeholders."""
    model = og.Model(str(package))
    arguments = {}
    pictures = [m.data for m in media if isinstance(m, Picture)]
    if pictures:
        arguments["images"] = og.Images.open_bytes(*pictures)
    sounds = []
    for one in media:
        if isinstance(one, Clip):
            buffer = io.BytesIO()
            soundfile.write(buffer, one.samples, one.rate, format="WAV", subtype="FLOAT")
            sounds.append(buffer.getvalue())
    if sounds:
        arguments["audios"] = og.Audios.open_bytes(*sounds)
    inputs = model.create_multimodal_processor()(text, **arguments)
    parameters = og.GeneratorParams(model)
    parameters.set_search_options(max_length=8000, do_sample=False)
    generator = og.Generator(model, parameters)
    generator.set_inputs(inputs)
    tokens: list[int] = []
    while len(tokens) < count and not generator.is_done():
        generator.generate_next_token()
        tokens.append(int(generator.get_next_tokens()[0]))
    return tokens


UNTIL_STOP = replace(GREEDY, stop_ids=None)
MEDIA: dict[str, list[Clip | Picture]] = {
    "text": [],
    "clip": [clip(1, 1.7)],
    "picture": [picture(2, 700, 460)],
    "both": [picture(3), clip(4)],
}


@pytest.mark.parametrize("name", MEDIA)
def test_greedy_tokens_are_those_of_genai(package: Path, name: str) -> None:
    media = MEDIA[name]
    marks = "".join("<|image_1|>" if isinstance(m, Picture) else "<|audio_1|>" for m in media)
    text = f"<|system|>{SYSTEM_PROMPT}<|end|><|user|>{marks}What is this?<|end|><|assistant|>"
    expected = reference(package, text, media, GREEDY.max_tokens)
    ours = from_scratch(package, [*prompt.system(), *question(*media, "What is this?")], UNTIL_STOP)
    assert ours == [token for token in expected if token not in (256, 257)]  # genai shows the stop token
    assert len(ours) > 3
    # the comparison sees what is in the prompt: other media, other tokens
    others: list[prompt.Part] = [clip(8) if isinstance(m, Clip) else picture(8) for m in media] or [
        "Or this?"
    ]
    assert ours != from_scratch(package, [*prompt.system(), *question(*others, "What is this?")], UNTIL_STOP)
