"""The commands on a small package with random weights: what goes in is used, what comes out is complete."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from command import Aside
from engine_package import small_package
from PIL import Image
from virtual_audio import espeak

from assistant import __version__


@pytest.fixture
def files(aside: Aside) -> Aside:
    """A clip and two pictures in the folder."""
    espeak("what colour is the circle", aside.path("question.wav"))
    Image.new("RGB", (60, 40), "red").save(aside.path("red.png"))
    Image.new("RGB", (448, 448), "blue").save(aside.path("blue.jpg"))
    return aside


def test_help_and_version(aside: Aside) -> None:
    assert aside("--version").out.strip() == f"aside {__version__}"
    assert "examples:" in aside("--help").out
    assert aside().out == aside("--help").out
    for command in ("ask", "transcribe", "translate", "demo", "doctor", "models"):
        shown = aside(command, "--help")
        assert shown.code == 0
        assert f"aside {command}" in shown.out
        assert all(len(line) <= 110 for line in shown.out.splitlines())


def test_text_is_answered_and_json_says_the_same(aside: Aside) -> None:
    plain = aside("ask", "--max-tokens", "12", "--tools", "off", "Hello there, how are you?")
    assert plain.code == 0
    result = aside("ask", "--max-tokens", "12", "--tools", "off", "--json", "Hello there, how are you?")
    assert result.code == 0
    assert result.json["reason"] in ("length", "stop", "repetition")
    assert result.json["statistics"]["generated"] > 0
    shown = "".join(c for c in plain.out if c.isalnum())
    assert shown == "".join(c for c in result.json["answer"] if c.isalnum())


def test_every_part_is_used_and_its_order_matters(files: Aside) -> None:
    common = ("ask", "--json", "--tools", "off", "--max-tokens", "8")

    def prefilled(*parts: str) -> int:
        result = files(*common, *parts)
        assert result.code == 0, result.err
        tokens: int = result.json["statistics"]["prefilled"]
        return tokens

    text = prefilled("--text", "Look at this.")
    red = prefilled("--text", "Look at this.", "--image", "red.png")
    both = prefilled("--image", "blue.jpg", "--text", "Look at this.", "--image", "red.png")
    clip = prefilled("--text", "Look at this.", "--audio", "question.wav")
    everything = prefilled(
        *("--image", "blue.jpg", "--audio", "question.wav", "--text", "Look at this."),
        *("--image", "red.png", "--audio", "question.wav"),
    )
    assert text < clip < red < both
    assert everything == text + (both - text) + 2 * (clip - text)
    assert prefilled("Look at this.") == text


def test_sampling_follows_its_seed(aside: Aside) -> None:
    words = ("ask", "--json", "--tools", "off", "--max-tokens", "10", "--temperature", "1.5", "--seed")
    one, again, other = (aside(*words, seed, "Hello").json["answer"] for seed in (1, 1, 2))
    assert one == again != other


def test_the_answer_is_spoken_into_a_file(files: Aside) -> None:
    result = files("ask", "--tools", "off", "--max-tokens", "40", "--say-to", "answer.wav", "one two three")
    assert result.code == 0, result.err
    assert "Spoken into answer.wav" in result.err
    samples, rate = soundfile.read(files.path("answer.wav"))
    assert rate == 22050
    assert np.abs(samples).max() > 0.05


def test_the_translation_is_spoken_into_a_file(files: Aside) -> None:
    result = files("translate", "--to", "German", "--say-to", "german.wav", "--json", "question.wav")
    assert result.code == 0, result.err
    assert "Spoken into german.wav" in result.err
    assert any(c.isalnum() for c in result.json["translation"])
    assert np.abs(soundfile.read(files.path("german.wav"))[0]).max() > 0.05
    both = files("translate", "--to", "German", "--say", "--say-to", "german.wav", "question.wav")
    assert "not allowed with argument --say" in both.complaint()


def test_a_users_own_adapter_is_chosen_by_name(files: Aside, tmp_path: Path) -> None:
    styled = Aside(files.folder, small_package(tmp_path / "styled", own="style"))
    options = ("--tools", "off", "--max-tokens", "12")
    plain = styled("ask", *options, "Hello there").out
    own = styled("ask", *options, "--adapter", "style", "Hello there")
    assert own.code == 0, own.err
    assert own.out != plain
    heard = styled("transcribe", "question.wav").out
    assert styled("transcribe", "--adapter", "style", "question.wav").out != heard
    refused = styled("ask", "--adapter", "mine", "Hello").complaint()
    assert "no adapter called mine" in refused
    assert "style" in refused


def test_several_turns_keep_the_conversation(files: Aside) -> None:
    typed = "Hello\n/image red.png\nWhat is this?\n/image nothing.png\n/audio question.wav\n"
    typed += "/new\nHello\n/quit\nnever\n"
    result = files("ask", "--interactive", "--tools", "off", "--max-tokens", "6", typed=typed)
    assert result.code == 0, result.err
    assert "There is no file nothing.png." in result.err
    assert len(result.out.splitlines()) >= 4
    first = files("ask", "--tools", "off", "--max-tokens", "6", "Hello").out
    assert result.out.startswith(first)
    assert result.out.endswith(first), "/new forgets"
    assert "ask with /mic or /audio FILE; /image FILE or" in files("ask", "--interactive", typed="/a").err


def test_a_wrong_file_keeps_the_pictures_that_wait(files: Aside) -> None:
    typed = "/image red.png\n/image none.png\nWhat is it?\n"
    options = ("--tools", "off", "--max-tokens", "6")
    result = files("ask", "--interactive", *options, typed=typed)
    assert result.code == 0
    assert "There is no file none.png." in result.err
    assert result.out == files("ask", *options, "--image", "red.png", "What is it?").out
    assert result.out != files("ask", *options, "What is it?").out


def test_transcribe_and_translate(files: Aside) -> None:
    result = files("transcribe", "question.wav")
    assert result.code == 0
    assert result.out.strip()
    result = files("transcribe", "--json", "question.wav")
    assert result.json["pieces"][0]["end"] == pytest.approx(1.6, abs=0.6)
    assert result.json["transcript"] == " ".join(p["transcript"] for p in result.json["pieces"])
    result = files("translate", "--to", "german", "--json", "question.wav")
    assert result.code == 0
    assert result.json["to"] == "German"
    assert {"transcript", "translation", "pieces"} <= set(result.json)


def test_a_long_recording_is_transcribed_in_pieces_without_its_silence(files: Aside) -> None:
    speech, rate = soundfile.read(files.path("question.wav"), dtype="float32")
    pause = np.zeros(rate * 8, np.float32)
    soundfile.write(files.path("long.ogg"), np.concatenate([speech, pause, pause, speech]), rate)
    result = files("transcribe", "--piece", "4", "--json", "long.ogg")
    assert result.code == 0, result.err
    pieces = result.json["pieces"]
    assert pieces[0]["start"] == 0
    assert pieces[-1]["end"] == pytest.approx(result.json["pieces"][-1]["start"] + 3, abs=2)
    heard = sum(p["end"] - p["start"] for p in pieces)
    assert heard < 16, "silent pieces are left out"


def test_demo(aside: Aside) -> None:
    result = aside("demo", "--json", "--out", "made")
    assert result.json["transcript"]
    assert {"start", "listen", "answer", "speak"} == set(result.json["seconds"])
    assert Path(result.json["picture"]).is_file()
    assert Path(result.json["question"]).is_file()


def test_doctor_tells_what_is_missing_and_works_without(aside: Aside) -> None:
    result = aside("doctor")
    assert result.code == 0, result.out
    assert "✓ model" in result.out
    assert "! microphone" in result.out
    assert "Aside works, without: microphone, speaker" in result.out
    broken = Aside(aside.folder, aside.folder / "nowhere")
    result = broken("doctor", "--json")
    assert result.code == 3
    assert '"mark": "missing"' in result.out


def test_packages_are_found_by_name(aside: Aside, small_model: Path) -> None:
    models = aside.path("data/aside/models")
    models.mkdir(parents=True)
    (models / "mine").symlink_to(small_model)
    assert "mine" in aside("models", "list").out
    assert "8,192 tokens" in aside("models", "info", "mine").out
    checked = aside("models", "check", "mine")
    assert checked.code == 0
    assert "complete, unchanged and safe to load" in checked.out
    assert "starts in" in checked.out


def test_a_terminal_without_unicode_still_gets_the_report(aside: Aside) -> None:
    plain = Aside(aside.folder, aside.model, aside.environment | {"PYTHONIOENCODING": "ascii:strict"})
    result = plain("doctor")
    assert "\\u2713 libraries" in result.out
    assert "Something went wrong" not in result.err
