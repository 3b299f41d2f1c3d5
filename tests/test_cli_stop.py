"""Ctrl-C: it stops at once, with code 130, and what was produced stays."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
from command import Aside
from virtual_audio import espeak


def interrupt(process: subprocess.Popen[str]) -> tuple[int, str, str, float]:
    """Press Ctrl-C: the signal goes to the whole group, as from a terminal."""
    start = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err, time.monotonic() - start


def read_some(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.read(3)


@pytest.fixture
def endless(aside: Aside, small_model: Path) -> Aside:
    """A model that never ends its answer: its end token is one that it can't write."""
    model = aside.path("endless")
    shutil.copytree(small_model, model)
    settings = json.loads((model / "genai_config.json").read_text())
    settings["model"]["eos_token_id"] = 200010
    (model / "genai_config.json").write_text(json.dumps(settings))
    about = json.loads((model / "aside.json").read_text())
    del about["files"]
    (model / "aside.json").write_text(json.dumps(about))
    return Aside(aside.folder, model)


LONG = ("--tools", "off", "--max-tokens", "4000", "--temperature", "2", "Tell a long story")


def test_an_answer_is_kept_as_far_as_it_came(endless: Aside) -> None:
    with endless.start("ask", *LONG, start_new_session=True) as process:
        first = read_some(process)
        code, out, err, seconds = interrupt(process)
    assert code == 130, err
    assert (first + out).endswith("\n")
    assert "Traceback" not in err
    assert seconds < 5


def test_json_is_complete_after_a_stop(endless: Aside) -> None:
    espeak("what colour is the circle", endless.path("question.wav"))
    words = ("ask", "--json", "--transcript", "--audio", "question.wav", *LONG)
    with endless.start(*words, start_new_session=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("Heard: ")  # now it answers
        time.sleep(0.5)  # some of it is written, which JSON shows only at the end
        code, out, err, _ = interrupt(process)
    assert code == 130, err
    assert "Traceback" not in err
    result = json.loads(out)
    assert result["reason"] == "cancelled"
    assert len(result["transcripts"]) == 1


@pytest.mark.parametrize(
    "words", [("ask", "--transcript", "--audio", "question.wav", *LONG), ("demo",)], ids=["ask", "demo"]
)
def test_a_stop_while_it_listens_still_gives_json(endless: Aside, words: tuple[str, ...]) -> None:
    espeak("what colour is the circle " * 30, endless.path("question.wav"))
    master, terminal = pty.openpty()
    with endless.start(*words, "--json", start_new_session=True, stderr=terminal) as process:
        os.close(terminal)
        shown = b""
        while b"Listening" not in shown and b"Reading" not in shown:  # one that is short may not be drawn
            shown += os.read(master, 1000)
        code, out, _, _ = interrupt(process)
    os.close(master)
    assert code == 130
    result = json.loads(out)
    assert result["reason"] == "cancelled"
    if words[0] == "ask":
        assert result["statistics"]["prefilled"] == 0, "the question was not asked"
        assert len(result["transcripts"]) == 1
    else:
        assert "transcript" in result


def test_what_was_spoken_until_then_is_kept(endless: Aside) -> None:
    words = ("ask", "--say-to", "answer.wav", *LONG)
    with endless.start(*words, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.read(1000)  # more than one sentence
        code, _, err, _ = interrupt(process)
    assert code == 130, err
    assert soundfile.info(endless.path("answer.wav")).frames > 0
    assert not list(endless.folder.glob("*.part"))


def test_a_conversation_goes_on_after_the_engine_died(aside: Aside) -> None:
    with aside.start("ask", "--interactive", "--tools", "off", "--max-tokens", "5") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("Hello\n")
        process.stdin.flush()
        first = process.stdout.readline()
        (engine,) = psutil.Process(process.pid).children()
        engine.kill()
        out, err = process.communicate("Are you there?\n/new\nHello\n", timeout=60)
    assert process.returncode == 0, err
    assert "ended (code -9)" in err
    assert "The engine has been started again." in err
    assert out.endswith(first)


def test_while_it_starts(aside: Aside) -> None:
    with aside.start("ask", "--tools", "off", "Hello", start_new_session=True) as process:
        maps = Path(f"/proc/{process.pid}/maps")
        deadline = time.monotonic() + 60
        while "_multiarray_umath" not in maps.read_text() and time.monotonic() < deadline:
            time.sleep(0.01)  # until it is in the middle of its imports
        code, _, err, seconds = interrupt(process)
    assert code == 130, err
    assert "Traceback" not in err
    assert seconds < 5


def test_a_build_leaves_nothing(aside: Aside) -> None:
    words = ("models", "build", "--random", "--shape", "real", "--layers", "1", "new")
    with aside.start(*words, start_new_session=True) as process:
        deadline = time.monotonic() + 60
        while not list(aside.folder.glob(".new*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        code, _, err, _ = interrupt(process)
    assert code == 130, err
    assert "Stopped; nothing was written." in err
    assert not list(aside.folder.iterdir())


def test_a_transcript_is_kept_as_far_as_it_came(aside: Aside) -> None:
    samples = np.random.default_rng(0).uniform(-0.3, 0.3, 16000 * 120).astype(np.float32)
    soundfile.write(aside.path("long.wav"), samples, 16000)
    with aside.start("transcribe", "--piece", "2", "long.wav", start_new_session=True) as process:
        first = read_some(process)
        code, out, err, _ = interrupt(process)
    assert code == 130, err
    assert (first + out).strip()


def test_a_reader_that_goes_away(aside: Aside, tmp_path: Path) -> None:
    with aside.start(
        "ask", "--tools", "off", "--max-tokens", "400", "--temperature", "3", "Hello"
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
        assert process.wait(30) == 0
