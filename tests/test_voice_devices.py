"""Microphone, speaker and voice on a real (virtual) sound server, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from virtual_audio import VirtualAudio, espeak, similarity, virtual_audio

from assistant.media.sound import RATE, load, resample

ROOT = Path(__file__).parent.parent
SENTENCE = "What colour is the circle in this picture?"


def program(audio: VirtualAudio, code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start Python with the server's devices."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=ROOT,
        env=audio.environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def finished(process: subprocess.Popen[str], told: str | None = None) -> str:
    """What it printed; it is told a line before, if it waits for one."""
    out, err = process.communicate(told, timeout=60)
    assert process.returncode == 0, err
    return out.strip()


RECORD = """
    import sys
    from pathlib import Path
    from assistant.media import sound
    from assistant.voice.microphone import Microphone, listen
    with Microphone() as microphone:
        print("open", flush=True)
        heard = listen(microphone)
    Path(sys.argv[1]).write_bytes(sound.wav(heard))
    print(microphone.lost_blocks)
"""


def test_a_sentence_spoken_into_the_microphone_is_recorded(
    audio_server: VirtualAudio, tmp_path: Path
) -> None:
    speech = resample(espeak(SENTENCE, tmp_path / "said.wav"), 22050, RATE)
    process = program(audio_server, RECORD, tmp_path / "heard.wav")
    assert line(process) == "open"
    with audio_server.spoken_into_microphone(tmp_path / "said.wav"):
        assert finished(process) == "0", "blocks were lost"
    heard = load(tmp_path / "heard.wav")
    assert similarity(heard.samples, speech) > 0.95
    assert heard.seconds < speech.size / RATE + 2.0


def test_a_microphone_that_is_killed_is_an_error_at_once(tmp_path: Path) -> None:
    code = """
        import time
        from assistant.voice.microphone import Microphone
        from models.errors import DeviceError
        with Microphone() as microphone:
            count = 0
            try:
                for block in microphone.blocks():
                    count += 1
                    if count == 10:
                        print("open", flush=True)
            except DeviceError as error:
                print(time.monotonic(), error)
    """
    with virtual_audio() as audio:
        process = program(audio, code)
        assert line(process) == "open"
        killed = time.monotonic()
        audio.kill()
        noticed, sentence = finished(process).split(" ", 1)
    assert float(noticed) - killed < 1.0
    assert "stopped working" in sentence


def test_what_was_heard_before_the_microphone_died_is_kept(tmp_path: Path) -> None:
    espeak("One two three four five six seven eight nine ten. " * 3, tmp_path / "said.wav")
    with virtual_audio() as audio:
        process = program(audio, RECORD, tmp_path / "heard.wav")
        assert line(process) == "open"
        with audio.spoken_into_microphone(tmp_path / "said.wav"):
            time.sleep(2.5)  # of speech; nothing tells how much was recorded
            audio.kill()
        finished(process)
    heard = load(tmp_path / "heard.wav")
    assert heard.seconds > 1.0
    assert not heard.is_silent


@pytest.mark.parametrize("device", ["Microphone", "Speaker"])
def test_without_a_device_there_is_one_sentence(device: str, tmp_path: Path) -> None:
    code = f"""
        from assistant.voice.{device.lower()} import {device}
        from models.errors import DeviceError
        try:
            {device}()
        except DeviceError as error:
            print(error)
    """
    with virtual_audio() as audio:
        audio.kill()
        said = finished(program(audio, code))
    assert said.startswith(f"No {device.lower()} can be opened")
    assert "aside doctor" in said
    assert "\n" not in said


@pytest.mark.parametrize(("device", "stream"), [("Microphone", "InputStream"), ("Speaker", "OutputStream")])
def test_a_stream_that_does_not_start_is_closed(audio_server: VirtualAudio, device: str, stream: str) -> None:
    """The stream is a real one; only its start is made to fail, once."""
    code = f"""
        import sounddevice
        from assistant.voice.{device.lower()} import {device}
        from models.errors import DeviceError
        made = []
        class Failing(sounddevice.{stream}):
            def start(self):
                made.append(self)
                raise sounddevice.PortAudioError("Unanticipated host error")
        real, sounddevice.{stream} = sounddevice.{stream}, Failing
        try:
            {device}()
        except DeviceError as error:
            print(made[0].closed, error)
        sounddevice.{stream} = real
        with {device}() as device:
            print(bool(device.name))
    """
    closed, opened = finished(program(audio_server, code)).splitlines()
    assert closed.startswith(f"True No {device.lower()} can be opened (Unanticipated host error).")
    assert opened == "True"


def test_the_speaker_plays_without_gaps(audio_server: VirtualAudio, tmp_path: Path) -> None:
    speech = resample(espeak(SENTENCE, tmp_path / "said.wav"), 22050, RATE)
    code = """
        import sys
        from pathlib import Path
        import soundfile
        from assistant.media.sound import Sound
        from assistant.voice.speaker import Speaker
        samples, rate = soundfile.read(sys.argv[1], dtype="float32")
        with Speaker() as speaker:
            half = len(samples) // 2
            speaker.play(Sound(samples[:half], rate))
            speaker.play(Sound(samples[half:], rate))
            speaker.wait()
    """
    with audio_server.recorded_speaker() as path:
        finished(program(audio_server, code, tmp_path / "said.wav"))
        time.sleep(0.2)  # the recorder's own delay
    assert similarity(load(path).samples, speech) > 0.95


def test_the_speaker_is_silent_within_100_ms_of_stop(audio_server: VirtualAudio) -> None:
    code = """
        import time
        import numpy as np
        from assistant.media.sound import Sound
        from assistant.voice.speaker import Speaker
        tone = (0.5 * np.sin(np.arange(22050 * 5) / 5)).astype(np.float32)
        with Speaker() as speaker:
            speaker.play(Sound(tone, 22050))
            time.sleep(1.0)  # of the tone
            start = time.monotonic()
            speaker.stop()
            assert not speaker.playing
            # A marker click tells in the recording when the stop was asked for.
            time.sleep(0.5)
            speaker.play(Sound(tone[:4410], 22050))
            speaker.wait()
            print(time.monotonic() - start)
    """
    with audio_server.recorded_speaker() as path:
        finished(program(audio_server, code))
        time.sleep(0.2)  # the recorder's own delay
    loud = np.abs(load(path).samples).reshape(-1)[: load(path).samples.size // 160 * 160]
    active = np.flatnonzero(loud.reshape(-1, 160).max(axis=1) > 0.05)  # 10 ms frames
    gap = np.diff(active).max() * 0.01
    # Both edges have the same delay, so the gap is the 0.5 s pause less the time it took to fall silent.
    assert 0.5 - gap < 0.1
    assert (active[-1] - active[0]) * 0.01 < 2.2


def test_cancel_ends_listening_and_playing(audio_server: VirtualAudio) -> None:
    code = """
        import threading, time
        import numpy as np
        from assistant.media.sound import Sound
        from assistant.voice.microphone import Microphone, listen
        from assistant.voice.speaker import Speaker
        from models.errors import Cancelled
        cancel = threading.Event()
        for device in ("microphone", "speaker"):
            cancel.clear()
            timer = threading.Timer(0.3, cancel.set)
            with Microphone() as microphone, Speaker() as speaker:
                timer.start()
                start = time.monotonic()
                try:
                    if device == "microphone":
                        listen(microphone, cancel=cancel)
                    else:
                        speaker.play(Sound(np.zeros(22050 * 5, np.float32), 22050))
                        speaker.wait(cancel)
                except Cancelled:
                    print(time.monotonic() - start)
    """
    times = [float(t) for t in finished(program(audio_server, code)).split()]
    assert len(times) == 2
    assert max(times) < 0.6


def test_a_reply_is_spoken_while_it_is_written(audio_server: VirtualAudio) -> None:
    code = """
        import time
        from assistant.voice.speaker import Speaker
        from assistant.voice.speech import Narrator, Voice
        if __name__ == "__main__":
            with Voice() as voice, Speaker() as speaker, Narrator(voice, speaker) as narrator:
                _ = voice.languages
                start = time.monotonic()
                for word in "The circle is red. The square, I think, is blue.".split(" "):
                    narrator.push(word + " ")
                    time.sleep(0.1)  # as a model writes
                written = time.monotonic()
                narrator.finish()
                print(narrator.first_sound < written, time.monotonic() - written > 0.5)
    """
    with audio_server.recorded_speaker() as path:
        assert finished(program(audio_server, code)) == "True True"
        time.sleep(0.2)  # the recorder's own delay
    recorded = load(path)
    loud = np.abs(recorded.samples) > 0.02
    assert loud.sum() / RATE > 0.5
    soundfile.write(path, recorded.samples, RATE)


def test_what_was_heard_of_an_interrupted_reply_is_known(audio_server: VirtualAudio) -> None:
    code = """
        import time
        from assistant.voice.speaker import Speaker
        from assistant.voice.speech import Narrator, Voice
        if __name__ == "__main__":
            with Voice() as voice, Speaker() as speaker, Narrator(voice, speaker) as narrator:
                narrator.push("The circle is red. The square beside it, as far as I can see, is green. ")
                narrator.push("There is more.")
                assert narrator.heard == ""
                while len(narrator.heard) < 30:
                    time.sleep(0.01)
                narrator.stop()
                print(narrator.heard)
                time.sleep(0.1)  # in which nothing more is heard
                print(narrator.heard)
            with Voice() as voice, Speaker() as speaker, Narrator(voice, speaker) as narrator:
                narrator.push("All of it. ")
                narrator.push("Really.")
                narrator.finish()
                print(narrator.heard)
    """
    cut, later, whole = finished(program(audio_server, code)).splitlines()
    assert cut == later
    assert cut.startswith("The circle is red. The square")
    assert not cut.endswith("green.")
    assert whole == "All of it. Really."
