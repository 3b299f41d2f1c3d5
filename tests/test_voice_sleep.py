"""A machine that slept: the sound server stood still, and nothing tells the devices that it did."""

from __future__ import annotations

import signal
import time

from test_voice_devices import finished, line, program
from virtual_audio import virtual_audio


def test_after_a_sleep_microphone_and_speaker_work_again() -> None:
    code = """
        import itertools, sys
        import numpy as np
        from assistant.media.sound import Sound
        from assistant.voice.ear import Ear
        from assistant.voice.microphone import Microphone
        from assistant.voice.speaker import Speaker
        from models.errors import DeviceError
        told = []
        speaker = Speaker()
        with Ear(Microphone, "", True, lost=told.append) as ear:
            with ear.listen() as source:
                list(itertools.islice(source.blocks(), 10))
            print("open", flush=True)
            sys.stdin.readline()
            for failed in range(3):  # who asks at the moment of waking may hear that it stopped working
                try:
                    with ear.listen() as source:
                        print(len(list(itertools.islice(source.blocks(), 50))), failed <= 1, len(told) <= 1)
                    break
                except DeviceError:
                    continue
        if speaker.lost:
            speaker.close()
            speaker = Speaker()
        speaker.play(Sound(np.full(2205, 0.1, np.float32), 22050))
        speaker.wait()
        speaker.close()
        print("played")
    """
    with virtual_audio() as audio:
        process = program(audio, code)
        assert line(process) == "open"
        assert audio.process is not None
        audio.process.send_signal(signal.SIGSTOP)
        time.sleep(4.0)  # longer than a device may be silent
        audio.process.send_signal(signal.SIGCONT)
        said = finished(process, "\n").splitlines()
    assert said[-2:] == ["50 True True", "played"]
