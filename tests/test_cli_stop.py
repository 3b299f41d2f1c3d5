"""Ctrl-C: it stops at once, with code 130, and what was produced stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import soundfile
from command import Aside


def interrupt(process: subprocess.Popen[str]) -> tuple[int, str, str, float]:
    """Press Ctrl-C: the signal goes to the whole group, as from a terminal."""
    start = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err, time.monotonic() - start


def read_some(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.read(3)


def test_an_answer_is_kept_as_far_as_it_came(aside: Aside) -> None:
    words = ("ask", "--tools", "off", "--max-tokens", "4000", "--temperature", "3", "Tell a long story")
    with aside.start(*words, start_new_session=True) as process:
        first = read_some(process)
        code, out, err, seconds = interrupt(process)
    assert code == 130, err
    assert (first + out).endswith("\n")
    assert "Traceback" not in err
    assert seconds < 5


def test_json_is_complete_after_a_stop(aside: Aside) -> None:
    words = ("ask", "--json", "--tools", "off", "--max-tokens", "4000", "--temperature", "3", "Tell a story")
    with aside.start(*words, start_new_session=True) as process:
        time.sleep(6)  # nothing is shown before the end; sooner, the model is still starting
        code, out, err, _ = interrupt(process)
    assert code == 130, err
    assert "Traceback" not in err
    assert not out or json.loads(out)["reason"] == "cancelled"


def test_while_it_starts(aside: Aside) -> None:
    with aside.start("ask", "--tools", "off", "Hello", start_new_session=True) as process:
        time.sleep(0.5)  # somewhere in the imports or while the engine starts
        code, _, err, seconds = interrupt(process)
    assert code in (130, -signal.SIGINT), err
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
