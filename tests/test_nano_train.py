"""The recipe of the nano model from nothing, every stage for a moment: it runs, and a model comes out."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch

from models.frontend import FrontEnd
from models.nano import (
    corpus,
    listen,
    muon,
    network,
    publish,
    rows,
    see,
    shipped,
    speech,
    texts,
    train,
    vision,
)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tokenizer of the shipped model and very little speech."""
    folder = tmp_path_factory.mktemp("recipe")
    shipped.write(publish.HERE / "checkpoint", folder / "shipped")
    (folder / "shipped" / "front").rename(folder / "front")
    front, espeak = FrontEnd(folder / "front"), speech.Espeak()
    (folder / "speech").mkdir()
    corpus.make_shard(front, espeak, 0, folder / "speech" / "0000.npz", count=40)
    corpus.make_shard(front, espeak, 0, folder / "held.npz", split="eval", count=4)
    return folder


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's own about bfloat16
def test_every_stage_runs_from_nothing_and_the_model_can_be_put_together(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(see.Viewer, "scores", lambda *_: {})
    monkeypatch.setattr(train, "language_scores", lambda *_: {})
    monkeypatch.setattr(vision, "scores", lambda *_: {})
    monkeypatch.setattr(train, "WARM", 0.0)
    monkeypatch.setattr(train, "QUIET", 12)
    monkeypatch.setattr(see, "VOICES", 1)
    monkeypatch.setattr(see, "FIRST", 60)
    monkeypatch.setattr(see, "PAGES", 2)
    for name, (run, _) in train.STAGES.items():
        run(out, 0.02)
        noted = [json.loads(line) for line in (out / f"{name}.jsonl").read_text().splitlines()]
        assert noted[-1]["final"] == 1
    model, hear, look = publish.assemble(out)
    assert model is not None
    assert {key.split("/")[0] for key in hear.a} == {key.split("/")[0] for key in look.a}


def test_a_decoder_that_goes_on_keeps_its_embeddings(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "language_scores", lambda *_: {})
    again = out / "shipped"
    (again / "front").symlink_to(out / "front")
    (again / "language.pt").unlink()
    before = torch.load(again / "language.start.pt", weights_only=True)["decoder"]
    train.stage_language(again, 0.02)
    after = torch.load(again / "language.pt", weights_only=True)["decoder"]
    kept = {name for name in before if torch.equal(before[name], after[name])}
    assert kept == {"0.weight"}, "the embeddings, in which the encoders speak"


@pytest.mark.parametrize("size", [(40, 60), (60, 40), (50, 50)])
def test_muon_steps_as_far_along_every_direction(size: tuple[int, int]) -> None:
    torch.manual_seed(1)
    gradient = torch.randn(size) * torch.logspace(0, -1, size[1])
    spread = torch.linalg.svdvals(gradient)
    assert spread.max() / spread.min() > 10
    even = torch.linalg.svdvals(muon.orthogonal(gradient))
    assert 0.4 < even.min() < even.max() < 1.4
    weights = torch.nn.Parameter(torch.zeros(size))
    optimiser = muon.Muon([{"params": [weights], "lr": 0.05}], decay=0.0)
    for _ in range(300):
        optimiser.zero_grad()
        torch.autograd.backward((weights - gradient).pow(2).sum())
        optimiser.step()
    assert (weights - gradient).norm() < 0.2 * gradient.norm()


def test_several_clips_become_one_long_recording(out: Path) -> None:
    writer = rows.Writer(FrontEnd(out / "front"))
    clips = [clip for clip in corpus.read_shard(out / "speech" / "0000.npz") if clip.text][:8]
    made = listen.make_rows(writer, random.Random(4), clips * 4, "plain")
    longest = max(made, key=lambda row: sum(isinstance(item, rows.Gap) for item in row.items))
    gaps = [item.index for item in longest.items if isinstance(item, rows.Gap)]
    assert len(gaps) > 2
    wanted = writer.encode(" ".join((clips * 4)[index].text for index in gaps))
    said = tuple(longest.items[at] for at in sorted(longest.answers))
    assert said[: len(wanted)] == wanted
    used = [item.index for row in made for item in row.items if isinstance(item, rows.Gap)]
    assert set(used) == set(range(len(clips) * 4))
    assert len(used) > len(clips) * 4, "a clip comes again at the end of some recordings"


def test_slips_are_shown_and_never_asked_for(out: Path) -> None:
    writer = rows.Writer(FrontEnd(out / "front"))
    model = network.build()
    rng = random.Random(5)
    text = texts.few_words(rng, "train", 60)

    def made(*, slip: bool) -> rows.Row:
        row = rows.Row()
        writer.turn(row, ["hear:", f" {text}"], text)
        while slip and len(row.slips) < 2:
            row.slip(rng)
        return row

    plain, slipped = made(slip=False), made(slip=True)
    assert slipped.items == plain.items
    answers = [slipped.items[at] for at in slipped.answers]
    assert set(slipped.slips) < slipped.answers - {max(slipped.answers)}, "the end stays"
    assert set(slipped.slips.values()) <= set(answers), "words of the same answer"
    with torch.no_grad():
        shown = list(plain.items)
        for at, other in slipped.slips.items():
            shown[at] = other
        asked = rows.Row(shown, plain.answers)
        wrong = [float(rows.score(model, [row], None, [], None).loss) for row in (plain, slipped, asked)]
    assert len({round(loss, 5) for loss in wrong}) == 3
    first = min(slipped.slips)
    before = rows.Row(plain.items, {at for at in plain.answers if at <= first})
    with torch.no_grad():
        left = rows.Row(plain.items, before.answers, slipped.slips)
        same = [float(rows.score(model, [row], None, [], None).loss) for row in (before, left)]
    assert same[0] == pytest.approx(same[1], abs=1e-5), "until the first slip nothing is different"
