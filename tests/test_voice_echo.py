"""The linear canceller: the echo goes, the person who speaks over it stays."""

from __future__ import annotations

import time

import numpy as np
import pytest
from virtual_audio import espeak, similarity

from assistant.media.sound import RATE, resample
from assistant.voice.echo import Echo
from assistant.voice.linear_echo import LinearEcho
from assistant.voice.microphone import FRAMES, Samples

SPOKEN = "The circle in this picture is red, and the square next to it is green. There is a triangle as well."
SAID = "Set a timer for ten minutes."
BEGINS = round(3.2 * RATE)  # the person, after so many samples of the answer


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[Samples, Samples, Samples]:
    """What is played, its echo in a room, and a person at the same time, all equally loud."""
    folder = tmp_path_factory.mktemp("scene")
    played = resample(espeak(SPOKEN, folder / "spoken.wav"), 22050, RATE)
    played = played[: played.size // FRAMES * FRAMES]
    said = resample(espeak(SAID, folder / "said.wav", "en-gb"), 22050, RATE)
    delay, tail = round(0.09 * RATE), round(0.15 * RATE)
    room = np.random.default_rng(5).standard_normal(tail) * 0.08 * np.exp(-np.arange(tail) / (0.03 * RATE))
    room[0] = 1.0
    echo = np.convolve(np.pad(played, (delay, 0)), room)[: played.size].astype(np.float32)
    person = np.zeros_like(echo)
    person[BEGINS : BEGINS + said.size] = said[: person.size - BEGINS]
    return played, echo, person


def power(samples: Samples) -> float:
    return 10 * float(np.log10(np.square(samples).mean() + 1e-12))


def blocks(samples: Samples) -> Samples:
    return samples.reshape(-1, FRAMES)


def subtracted(heard: Samples, played: Samples, person: Samples) -> Samples:
    """It is known when nobody speaks."""
    linear = LinearEcho(FRAMES, round(0.3 * RATE), 125)
    triples = zip(blocks(heard), blocks(played), blocks(person), strict=True)
    return np.concatenate([linear.clean(one, given, not said.any()) for one, given, said in triples])


def test_the_echo_is_subtracted_and_the_person_stays(scene: tuple[Samples, Samples, Samples]) -> None:
    played, echo, person = scene
    rest = subtracted(echo + person, played, person) - person
    alone, both = slice(BEGINS - RATE, BEGINS), slice(BEGINS, BEGINS + round(1.2 * RATE))
    assert power(rest[alone]) < power(echo[alone]) - 20
    assert power(rest[both]) < power(person[both]) - 15


def test_it_finds_the_echo_at_another_time(scene: tuple[Samples, Samples, Samples]) -> None:
    """The playing stumbled: the echo comes 60 ms later than it did."""
    played, echo, person = scene
    half = round(2 * RATE)
    late = np.concatenate((echo[:half], np.roll(echo, 3 * FRAMES)[half:]))
    rest = subtracted(late, played, np.zeros_like(person))
    end = slice(half + round(1.5 * RATE), half + round(2.5 * RATE))
    assert power(rest[end]) < power(late[end]) - 15


def test_what_is_said_over_an_answer_is_less_muted_than_what_tells_that_somebody_speaks(
    scene: tuple[Samples, Samples, Samples],
) -> None:
    played, echo, person = scene
    one = Echo()
    cleaned = []
    for heard, given in zip(blocks(echo + person), blocks(played), strict=True):
        one.played(given, RATE)
        cleaned.append(one.clean(heard))
    both = slice(BEGINS, BEGINS + round(1.2 * RATE))
    said = np.concatenate([c.said for c in cleaned])[both]
    sure = np.concatenate([c.sure for c in cleaned])[both]
    assert similarity(said, person[both]) > 0.95
    assert similarity(sure, person[both]) < similarity(said, person[both]) - 0.1
    one.reset()
    block = np.full(FRAMES, 0.1, np.float32)
    assert all(part is block for part in one.clean(block)), "nothing is played: it is heard as it is"


def test_with_headphones_a_person_is_heard_as_they_are_until_an_echo_comes(
    scene: tuple[Samples, Samples, Samples],
) -> None:
    """The headphones are unplugged in the middle of the second time that the same is played."""
    played, echo, person = scene
    one = Echo()
    hiss = np.random.default_rng(3).normal(0, 0.001, person.size).astype(np.float32)
    for heard, given in zip(blocks(person + hiss), blocks(played), strict=True):
        one.played(given, RATE)
        cleaned = one.clean(heard)
        if one.active:
            continue
        assert cleaned.said is heard
        assert not one.leaks
    assert not one.active, "after a second it is clear that nothing is heard"
    half = round(2 * RATE)
    unplugged = np.concatenate((hiss[:half], echo[half:]))
    told: list[bool] = []
    for heard, given in zip(blocks(unplugged), blocks(played), strict=True):
        one.played(given, RATE)
        one.clean(heard)
        told.append(one.active)
    began = half // FRAMES
    assert not any(told[:began])
    assert told.index(True) < began + round(0.4 * RATE) // FRAMES, "sooner than it is taken for a person"
    assert all(told[told.index(True) : round(3.5 * RATE) // FRAMES])


def test_it_costs_little(scene: tuple[Samples, Samples, Samples]) -> None:
    played, echo, person = scene
    began = time.thread_time()
    subtracted(echo, played, np.zeros_like(person))
    cost = (time.thread_time() - began) / (echo.size / RATE)
    assert cost < 0.3  # s of a processor for each second
