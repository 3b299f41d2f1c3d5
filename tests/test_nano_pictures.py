"""The pictures that nano is trained and measured on, and that training sees them as the package does."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from safetensors.torch import load_file

from models import package
from models.checkpoint import Checkpoint
from models.export.settings import vision_processor
from models.export.vision import write_vision
from models.frontend import FrontEnd
from models.nano import drawing, lettering, network, pictures, rows, shape, texts, vision

FOLDER = package.embedded().parent / "checkpoint"


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> FrontEnd:
    """The shipped front end with as many crops as the recipe says."""
    folder = tmp_path_factory.mktemp("front")
    shutil.copytree(
        package.embedded(), folder, ignore=shutil.ignore_patterns("*.onnx*", "aside.json"), dirs_exist_ok=True
    )
    settings = json.dumps(vision_processor(shape.DYNAMIC_HD))
    (folder / "vision_processor.json").write_text(settings, "utf-8")
    return FrontEnd(folder)


def test_training_and_evaluation_share_no_text_and_no_font() -> None:
    seen: dict[str, set[str]] = {}
    for split in ("train", "eval"):
        rng = random.Random(3)
        kinds: tuple[drawing.Kind, ...] = ("text", "window")
        made = [pictures.render(rng, kind, split=split) for kind in kinds for _ in range(60)]
        found = {pictures.shown_text(picture) for picture in made}
        seen[split] = {text for text in found if text is not None}
        assert {texts.split_of(text) for text in seen[split]} == {split}
    assert seen["train"].isdisjoint(seen["eval"])
    fonts = [{n for names in found.values() for n in names.split()} for found in lettering.FONTS.values()]
    assert fonts[0].isdisjoint(fonts[1])
    assert set(lettering.FONTS["train"]).isdisjoint(lettering.FONTS["eval"])


def test_strings_to_learn_to_read_from_hold_no_number_of_the_evaluation() -> None:
    rng = random.Random(3)
    made = [lettering.string(rng, "train") for _ in range(3000)]
    held_out = {str(n) for n in range(100) if texts.split_of(str(n)) == "eval"}
    assert held_out
    assert not [text for text in made if text in held_out]
    assert not [text for text in made if any(len(n) == 2 and n in text for n in held_out)]
    assert {text[-1] for text in made} == set(drawing.LETTERS) - set("ilo")
    before_seven = {text[-2:-1] for text in made if text[-1] == "7"}
    assert len(before_seven) > len(drawing.LETTERS) / 2, "a digit stands behind all kinds of others"


def test_a_missing_font_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "_font_files", dict)
    monkeypatch.setattr(lettering, "_size", lambda _: 7)  # a font that is not open yet
    with pytest.raises(SystemExit, match="install Debian's package fonts-"):
        pictures.render(random.Random(1), "text")


@pytest.mark.parametrize("kind", drawing.ALL_KINDS)
def test_facts_agree_with_labels(kind: drawing.Kind) -> None:
    """What a question asks for can be read off the cells."""
    for seed in range(8):
        picture = pictures.render(random.Random(seed), kind, split="eval")
        said = {
            word
            for values in picture.labels[picture.labels[..., 0] > 0].tolist()
            for group, value in zip(drawing.CELL_WORDS, values, strict=True)
            for word in group[value].split()
        }
        for _, answer in picture.facts:
            if not answer.isdigit():
                assert set(answer.split()) <= said, (seed, answer)


@pytest.mark.parametrize("kind", ["scene", "bars"])
def test_other_sizes_are_seen_as_the_package_shows_them(kind: drawing.Kind, front: FrontEnd) -> None:
    rng = random.Random(5)
    for number in range(6):
        picture = pictures.render(rng, kind)
        if number:
            picture = pictures.resized(rng, picture)
        seen = front.picture(picture.png())
        down, across = picture.cells
        assert seen.tokens == down * (across + 1) + 273
        mask = seen.image_attention_mask[0]
        assert mask[0].all()
        assert (int(mask[1, :, 0].sum()), int(mask[1, 0].sum())) == picture.patches
        for crop in seen.pixel_values[0]:  # the overview and the crop
            levels = (crop.transpose(1, 2, 0) + 1) * 127.5
            assert np.abs(levels - picture.crop).max() <= 1.01  # rounded differently in a few places


def test_features_are_those_of_the_graph(front: FrontEnd, tmp_path: Path) -> None:
    """The torch model and the exported vision graph say the same of pictures of any form."""
    model = network.build()
    weights = load_file(FOLDER / "model.safetensors")
    model.load_state_dict({n: w.float() for n, w in weights.items() if "image_embed" in n}, strict=False)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(write_vision(Checkpoint.open(FOLDER), tmp_path), options)
    rng = random.Random(6)
    for number in range(4):
        picture = pictures.render(rng, "scene")
        if number:
            picture = pictures.resized(rng, picture)
        inputs = front.picture(picture.png())
        (given,) = session.run(None, {port.name: getattr(inputs, port.name) for port in session.get_inputs()})
        down, across = picture.cells
        with torch.no_grad():
            crop, overview = vision.features(model, [picture])
            mine = network.project_picture(model, crop[:, :down, :across], overview)[0].numpy()
        assert mine.shape == given.shape
        np.testing.assert_allclose(mine, given, atol=2e-3)


def test_a_picture_of_words_is_laid_out_like_a_real_one(front: FrontEnd) -> None:
    writer = rows.Writer(front)
    rng = random.Random(7)
    for _ in range(4):
        picture = pictures.resized(rng, pictures.render(rng, "scene"))
        made = rows.cells(writer, rng, picture, whole=True)
        assert len(made) == front.picture(picture.png()).tokens
