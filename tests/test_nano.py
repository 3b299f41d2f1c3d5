"""The shipped nano package: what it can do, measured through the engine, and that its adapters do the work.

Small samples of what `aside models check nano --report` measures are held to what was measured when it was
published (`models/nano/figures.json`), with room for chance. Whether that is good enough, the report says.
"""

from __future__ import annotations

import io
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from PIL import Image

from assistant.engine import prompt
from assistant.engine.protocol import Clip, GenerateOptions, Picture, Token
from assistant.engine.session import LocalSession
from models import package, prompts
from models.frontend import AUDIO_ID, IMAGE_ID, FrontEnd
from models.nano import drawing, evaluate, flite, pictures, speech, texts
from models.nano.asking import Ask, Asked, Sound, loops
from models.nano.figure import Figure, bootstrap, wilson
from models.nano.wer import word_errors

LIMIT = 12_000_000  # bytes


@pytest.fixture(scope="module")
def nano() -> Path:
    return package.embedded()


@pytest.fixture(scope="module")
def session(nano: Path) -> Iterator[LocalSession]:
    opened = LocalSession(nano)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def espeak() -> speech.Espeak:
    return speech.Espeak()


@pytest.fixture(scope="module")
def ask(session: LocalSession) -> Ask:
    def answer(asked: Asked) -> str:
        session.rewind(0)
        session.append(*prompt.system(prompts.TOOLS if asked.tools else ()))
        parts: list[prompt.Part] = []
        for part in asked.parts:
            if isinstance(part, Sound):
                parts.append(Clip(part.samples, part.rate))
            else:
                parts.append(part if isinstance(part, str) else Picture(part))
        session.append(*prompt.user(*parts), *prompt.assistant())
        events = session.generate(GenerateOptions(max_tokens=96))
        return "".join(event.text for event in events if isinstance(event, Token))

    return answer


def test_size(nano: Path) -> None:
    assert sum(path.stat().st_size for path in nano.iterdir()) <= LIMIT


def test_training_and_evaluation_share_nothing() -> None:
    """Every maker keeps to its half, and the halves are disjoint."""
    seen: dict[str, set[str]] = {}
    for split in ("train", "eval"):
        rng = random.Random(3)
        calls = {texts.command(rng, split).call for _ in range(400)}
        others = {
            make(rng, split)
            for make in (texts.general, texts.row, texts.outside, texts.near_miss)
            for _ in range(200)
        }
        seen[split] = calls | others
        assert {texts.split_of(key) for key in seen[split]} == {split}
    assert seen["train"].isdisjoint(seen["eval"])
    assert set(speech.VARIANTS).isdisjoint(speech.EVAL_VARIANTS)


def recorded(name: str) -> float:
    """The rate of a figure that was measured when the package was published."""
    figures = json.loads((package.embedded().parent / "figures.json").read_text("utf-8"))["figures"]
    return float(next(figure["rate"] for figure in figures if figure["name"] == name))


def chance(rate: float, count: int) -> float:
    """Three standard deviations of a share measured on `count` samples."""
    return 3 * math.sqrt(max(rate * (1 - rate), 0.02) / count)


def test_transcribes_unseen_speech(ask: Ask, espeak: speech.Espeak) -> None:
    rng = random.Random(101)
    wrong = count = 0
    for number in range(24):
        text = texts.command(rng, "eval").text if number % 2 else texts.general(rng, "eval")
        sound = Sound(speech.utter(espeak, text, rng, "eval"), espeak.rate)
        wrong += word_errors(text, ask(Asked((sound, prompts.TRANSCRIBE))).strip())
        count += len(text.split())
    rate = recorded("word error rate, commands and general sentences")
    assert wrong / count <= rate + chance(rate, count)


def test_typed_commands_become_calls(ask: Ask) -> None:
    measured = next(evaluate.typed_commands(ask, random.Random(102), 32))
    rate = recorded("typed commands, exact call")
    assert measured.rate >= rate - chance(rate, 32)


def test_outside_its_abilities_it_says_so(ask: Ask) -> None:
    rate = recorded("outside its abilities, says so")
    assert evaluate.outside(ask, random.Random(103), 12).rate >= rate - chance(rate, 12)


def test_answers_questions_about_pictures(ask: Ask) -> None:
    rng = random.Random(104)
    right = 0
    for _ in range(24):
        picture = pictures.render(rng, "scene")
        question, answer = rng.choice(picture.facts)
        asked = Asked((picture.png(), f"{question[0].upper()}{question[1:]}?"))
        right += ask(asked).strip() == answer
    rate = recorded("typed questions, scene")
    assert right / 24 >= rate - chance(rate, 24)


class Direct:
    """The four graphs run by hand, with any adapter mode."""

    def __init__(self, path: Path) -> None:
        self.front = FrontEnd(path)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.graphs = {
            name: ort.InferenceSession(path / f"phi-4-mm-{name}.onnx", options)
            for name in ("text", "vision", "speech", "embedding")
        }
        self.width = self.graphs["embedding"].get_outputs()[0].shape[2]

    def ask(self, parts: list[str | bytes | Clip], mode: int, projection: int, most: int = 40) -> str:
        """The greedy reply to one user turn after the system message, with adapter `mode`.

        `projection` is the mode that chooses the projection of sound.
        """
        front = self.front
        pictures_ = [front.picture(p) for p in parts if isinstance(p, bytes)]
        clips = [front.clip(p.samples, p.rate) for p in parts if isinstance(p, Clip)]
        ids = [front.control("<|system|>"), *front.encode(prompts.SYSTEM_PROMPT), front.control("<|end|>")]
        ids.append(front.control("<|user|>"))
        waiting: list[int] = [c.tokens for c in clips]
        shown = [p.tokens for p in pictures_]
        for part in parts:
            if isinstance(part, bytes):
                ids += [IMAGE_ID] * shown.pop(0)
            elif isinstance(part, Clip):
                ids += [AUDIO_ID] * waiting.pop(0)
            else:
                ids += front.encode(part)
        ids += [front.control("<|end|>"), front.control("<|assistant|>")]
        seen = [self._run("vision", **_arrays(p)) for p in pictures_]
        chosen = {"audio_projection_mode": np.array([projection])}
        heard = [self._run("speech", **_arrays(c), **chosen) for c in clips]
        embeds = self._embed(ids, seen, heard)
        cache: dict[str, NDArray[Any]] = {}
        inputs = {i.name: i for i in self.graphs["text"].get_inputs()}
        for name, port in inputs.items():
            if name.startswith("past"):
                cache[name] = np.zeros((1, port.shape[1], 0, port.shape[3]), np.float32)
        out: list[int] = []
        total = 0
        names = [o.name for o in self.graphs["text"].get_outputs()]
        for _ in range(most):
            total += embeds.shape[1]
            feeds = {"inputs_embeds": embeds, "attention_mask": np.ones((1, total), np.int64), **cache}
            result = dict(
                zip(
                    names,
                    self.graphs["text"].run(names, feeds | {"adapter_mode": np.array([mode])}),
                    strict=True,
                )
            )
            best = int(result["logits"][0, -1].argmax())
            if best in front.stop_ids:
                break
            out.append(best)
            cache = {n: result[n.replace("past_key_values", "present")] for n in cache}
            embeds = self._embed([best], [], [])
        return front.decode(out).strip()

    def _embed(
        self, ids: list[int], seen: list[NDArray[Any]], heard: list[NDArray[Any]]
    ) -> NDArray[np.float32]:
        none = np.zeros((0, self.width), np.float32)
        return self._run(
            "embedding",
            input_ids=np.array([ids]),
            image_features=np.concatenate([none, *seen]),
            audio_features=np.concatenate([none, *heard]),
        )

    def _run(self, graph: str, **feeds: NDArray[Any]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = self.graphs[graph].run(None, feeds)[0]
        return result


def _arrays(inputs: object) -> dict[str, NDArray[Any]]:
    return {name: value for name, value in vars(inputs).items() if name != "tokens"}


def test_the_speech_adapter_does_the_work(nano: Path, espeak: speech.Espeak) -> None:
    """Without it nothing is written down."""
    direct = Direct(nano)
    rng = random.Random(105)
    errors = {0: 0, 2: 0}
    words = 0
    for _ in range(8):
        text = texts.general(rng, "eval")
        clip = Clip(speech.utter(espeak, text, rng, "eval"), espeak.rate)
        words += len(text.split())
        for mode in errors:
            errors[mode] += word_errors(text, direct.ask([clip, prompts.TRANSCRIBE], mode, 2))
    assert errors[2] <= 0.3 * words
    assert errors[0] >= 0.8 * words


def test_the_vision_adapter_does_the_work(nano: Path) -> None:
    """Without it no question gets its answer (none of these 24 is right, all with it)."""
    direct = Direct(nano)
    rng = random.Random(105)
    right = {0: 0, 3: 0}
    for number in range(24):
        picture = pictures.render(rng, "scene" if number % 2 else "window", split="eval")
        question, answer = rng.choice(picture.facts)
        for mode in right:
            right[mode] += (
                direct.ask([picture.png(), f"{question[0].upper()}{question[1:]}?"], mode, 3) == answer
            )
    assert right[3] >= 19
    assert right[0] <= 3


def test_report_holds_figures_to_their_bars() -> None:
    good = Figure("calls", 9, 10, 0.9)
    assert good.passed
    assert "90.0 % (9 of 10; 95 %: 59.6 to 98.2 %)" in str(good)
    assert not Figure("calls", 8, 10, 0.9).passed
    assert Figure("errors", 1, 10, 0.1, "wer").passed
    assert not Figure("errors", 2, 10, 0.1, "wer").passed
    assert "not measured. It is missing." in str(Figure("x", 0, 0, 0.9, note="It is missing."))


def test_intervals() -> None:
    assert wilson(0, 0) == (0, 1)
    assert wilson(100, 100)[1] == 1
    assert wilson(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    low, high = bootstrap([(0, 9)] * 50 + [(9, 9)] * 50)
    assert low == pytest.approx(0.4, abs=0.03)
    assert high == pytest.approx(0.6, abs=0.03)


def test_a_reply_that_goes_round_in_circles_is_known() -> None:
    assert loops(
        "the duck sings in spring the duck sings in spring the duck sings in spring the duck sings in spring"
    )
    assert loops("a a a a")
    assert not loops("ten ten ten")
    assert not loops("the cat sees the dog and the dog sees the cat")


def test_the_second_synthesiser_speaks() -> None:
    samples, rate = flite.say("hello", random.Random(1))
    assert samples.size > rate / 2
    assert 0.01 < float(np.abs(samples).max()) <= 1


def test_other_sizes_keep_the_picture() -> None:
    picture = pictures.resized(random.Random(3), pictures.render(random.Random(9), "scene"))
    wide, high = Image.open(io.BytesIO(picture.png())).size
    assert 300 <= min(wide, high) <= 900
    assert max(wide, high) <= 1300


@pytest.mark.parametrize(
    ("wanted", "heard", "errors"),
    [("a b c", "a b c", 0), ("a b c", "a c", 1), ("a b c", "a x c d", 2), ("", "a", 1), ("a b", "", 2)],
)
def test_word_errors(wanted: str, heard: str, errors: int) -> None:
    assert word_errors(wanted, heard) == errors


@pytest.mark.parametrize(
    ("said", "digits"),
    [("thirty seven minutes", "37 minutes"), ("at seven thirty", "at 7 30"), ("one apple", "1 apple")],
)
def test_digits(said: str, digits: str) -> None:
    assert texts.digits(said) == digits


def test_pictures_repeat() -> None:
    """Equal seeds give equal pictures, whose facts agree with their labels."""
    first, second = (pictures.render(random.Random(9), "scene") for _ in range(2))
    assert first.png() == second.png()
    assert first.facts == second.facts
    kinds = {drawing.KINDS[k - 1] for k in np.unique(first.labels[..., 0]) if k}
    asked = {q.rsplit(" ", 1)[1] for q, _ in first.facts if q.startswith("where")}
    assert kinds <= asked
