"""The command with a real (virtual) microphone and speaker."""

from __future__ import annotations

import json
import time

import numpy as np
from command import Aside
from virtual_audio import VirtualAudio, espeak

from assistant.media.sound import load


def with_devices(aside: Aside, audio: VirtualAudio) -> Aside:
    names = ("PULSE_SERVER", "PULSE_COOKIE", "PULSE_RUNTIME_PATH")
    return Aside(aside.folder, aside.model, {name: audio.environment[name] for name in names})


def test_what_is_said_into_the_microphone_is_transcribed(aside: Aside, audio_server: VirtualAudio) -> None:
    said = espeak("what colour is the circle in this picture", aside.path("said.wav")).size / 22050
    with with_devices(aside, audio_server).start("transcribe", "--mic", "--json") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "Speak now.\n"
        with audio_server.spoken_into_microphone(aside.path("said.wav")):
            out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    result = json.loads(out)
    assert result["transcript"]
    assert said - 0.5 < result["pieces"][0]["end"] < said + 2, "all of it, and not the silence before it"


def test_nobody_speaks(aside: Aside, audio_server: VirtualAudio) -> None:
    result = with_devices(aside, audio_server)("ask", "--mic")
    assert result.code == 2
    assert result.err.startswith("Speak now.\naside: Nothing was heard.")


def test_the_answer_comes_out_of_the_speaker(aside: Aside, audio_server: VirtualAudio) -> None:
    with audio_server.recorded_speaker() as path:
        result = with_devices(aside, audio_server)(
            *("ask", "--say", "--tools", "off", "--max-tokens", "30", "one two three four")
        )
        time.sleep(0.2)  # the recorder's own delay
    assert result.code == 0, result.err
    assert np.abs(load(path).samples).max() > 0.02


def test_doctor_names_the_devices(aside: Aside, audio_server: VirtualAudio) -> None:
    result = with_devices(aside, audio_server)("doctor")
    assert result.code == 0
    assert "✓ microphone" in result.out
    assert "✓ speaker" in result.out
    assert result.out.splitlines()[-1] in ("Everything is there.", "Aside works, without: camera.")
