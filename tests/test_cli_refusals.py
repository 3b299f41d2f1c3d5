"""Whatever is wrong with what a person gives: one sentence, code 2, nothing half-written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from command import Aside
from PIL import Image


def sound(path: Path, seconds: float = 0.5, value: float | None = None) -> Path:
    samples = np.sin(np.arange(round(16000 * seconds)) / 8).astype(np.float32) / 4
    if value is not None:
        samples[:] = value
    soundfile.write(path, samples, 16000, subtype="FLOAT")
    return path


def cut(path: Path, kept: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    return path


def make(folder: Path) -> None:
    """All bad files."""
    (folder / "folder").mkdir()
    (folder / "empty.wav").touch()
    (folder / "empty.png").touch()
    (folder / "letter.wav").write_text("Dear Sir or Madam, " * 50)
    (folder / "letter.jpg").write_text("Dear Sir or Madam, " * 50)
    cut(sound(folder / "cut.wav"), 0.6)
    cut(sound(folder / "cut.flac".replace("flac", "w.wav")), 0.3)
    sound(folder / "nan.wav", value=np.nan)
    sound(folder / "silent.wav", value=0.0)
    Image.new("RGB", (50, 50), "red").save(folder / "cut.png")
    cut(folder / "cut.png", 0.5)
    Image.new("1", (10_000, 10_000)).save(folder / "huge.png")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ask"], "There is no question."),
        (["ask", "--text", "  "], "The text is empty."),
        (["ask", "--audio", "nothing.wav"], "There is no file nothing.wav."),
        (["ask", "--audio", "folder"], "folder is a folder, not a sound file."),
        (["ask", "--audio", "empty.wav"], "empty.wav is empty."),
        (["ask", "--audio", "letter.wav"], "letter.wav is no sound file."),
        (["ask", "--audio", "cut.wav"], "cut.wav is cut short"),
        (["ask", "--audio", "nan.wav"], "nan.wav is damaged: some samples are not numbers."),
        (["ask", "--audio", "silent.wav"], "There is nothing to hear in silent.wav"),
        (["ask", "--image", "nothing.png"], "There is no file nothing.png."),
        (["ask", "--image", "folder"], "folder is a folder, not a picture."),
        (["ask", "--image", "empty.png"], "empty.png is empty."),
        (["ask", "--image", "letter.jpg"], "letter.jpg is no picture"),
        (["ask", "--image", "cut.png"], "cut.png is damaged or cut short."),
        (["ask", "--image", "huge.png"], "huge.png has 100 megapixels, and Aside takes 64 at most."),
        (["ask", "--image", "cut.wav", "Hi"], "cut.wav is no picture"),
        (["ask", "--mic"], "No microphone can be opened"),
        (["ask", "--say", "Hi"], "No speaker can be opened"),
        (["ask", "--say-to", "missing/answer.wav", "Hi"], "missing/answer.wav can't be written"),
        (["ask", "--temperature", "nan", "Hi"], "'nan' is not a number from 0 to 10"),
        (["ask", "--max-tokens", "0", "Hi"], "'0' is not a whole number"),
        (["ask", "--top-p", "two", "Hi"], "'two' is not a number"),
        (["ask", "--nonsense", "Hi"], "Unrecognized arguments: --nonsense"),
        (["transcribe"], "Give either a file or --mic."),
        (["transcribe", "nothing.mp3"], "There is no file nothing.mp3."),
        (["transcribe", "--mic"], "No microphone can be opened"),
        (["transcribe", "silent.wav"], "There is nothing to hear in silent.wav"),
        (["translate", "--to", "Klingon", "silent.wav"], "'Klingon' is none of the languages"),
        (["translate", "silent.wav"], "The following arguments are required: --to"),
        (["models", "info", "nothing"], "There is no model package nothing."),
        (["models", "check", "folder"], "genai_config.json is missing in folder."),
        (["models", "build", "folder", "new"], "config.json"),
        (["models", "build", "--random", "a", "b"], "Give the new folder only."),
        (["fly"], "There is no command fly. See"),
        (["aks", "hi"], "There is no command aks. Did you mean `ask`?"),
        (["ask", "--imag", "x", "hi"], "Did you mean `--image`?"),
        (["models", "lost"], "There is no action lost. Did you mean `list`?"),
    ],
)
def test_one_sentence_and_nothing_else(aside: Aside, words: list[str], expected: str) -> None:
    make(aside.folder)
    before = aside.names()
    assert expected in aside(*words).complaint()
    assert aside.names() == before


def test_an_empty_standard_input(aside: Aside) -> None:
    assert "standard input is empty" in aside("ask", "--text", "-", "Sum up.", typed=" \n").complaint()


def test_too_long_for_the_context(aside: Aside) -> None:
    refused = aside("ask", "--text", "-", typed="many words " * 20_000).complaint()
    assert "8,192 tokens" in refused


def test_a_cut_package(aside: Aside, small_model: Path) -> None:
    copy = aside.path("copy")
    copy.mkdir()
    for file in small_model.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    graph = next(copy.glob("*text*.onnx"))
    graph.write_bytes(graph.read_bytes()[:-100])
    assert "it is cut or changed" in aside("models", "check", copy).complaint()
    other = Aside(aside.folder, copy)
    assert "it is cut or changed" in other("ask", "Hello").complaint()


def test_the_answer_stays_when_the_voice_fails(aside: Aside) -> None:
    """Without libespeak-ng, which the environment hides, there is text and a sentence about the voice."""
    hidden = aside.path("hidden")
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import ctypes\nload = ctypes.CDLL.__init__\n"
        "def refuse(self, name, *more, **named):\n"
        "    if name and 'espeak' in str(name):\n        raise OSError('no such library')\n"
        "    load(self, name, *more, **named)\n"
        "ctypes.CDLL.__init__ = refuse\n"
    )
    root = Path(__file__).parent.parent
    mute = Aside(aside.folder, aside.model, {"PYTHONPATH": f"{hidden}:{root}"})
    result = mute("ask", "--max-tokens", "5", "--tools", "off", "--say-to", "answer.wav", "--json", "Hello")
    assert result.code == 2
    assert result.json["statistics"]["prefilled"] > 0
    assert "There is no working voice" in result.err
    assert "Traceback" not in result.err
    assert not aside.path("answer.wav").exists()
