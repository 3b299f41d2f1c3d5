"""Sampling and the repetition guard, held against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from assistant.engine.protocol import GenerateOptions
from assistant.engine.sampling import RepetitionGuard, Sampler


def softmax(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    values = np.exp((logits.astype(np.float64) - logits.max()) / temperature)
    chances: NDArray[np.float64] = values / values.sum()
    return chances


def test_greedy_takes_the_likeliest() -> None:
    logits = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    assert Sampler(GenerateOptions())(logits) == logits.argmax()


def test_sampling_has_the_right_distribution() -> None:
    logits = np.array([2.0, 1.0, 0.5, -1.0, -4.0], np.float32)
    sampler = Sampler(GenerateOptions(temperature=0.7, seed=5))
    counts = np.bincount([sampler(logits) for _ in range(8_000)], minlength=5) / 8_000
    np.testing.assert_allclose(counts, softmax(logits, 0.7), atol=0.025)


@given(st.integers(0, 1000), st.floats(0.05, 1.0), st.floats(0.3, 3.0))
def test_only_the_nucleus_is_sampled(seed: int, top_p: float, temperature: float) -> None:
    random = np.random.default_rng(seed)
    logits = (3 * random.standard_normal(50)).astype(np.float32)
    chances = softmax(logits, temperature)
    order = np.argsort(-chances)
    size = int(np.argmax(np.cumsum(chances[order]) >= top_p - 1e-9)) + 1
    sampler = Sampler(GenerateOptions(temperature=temperature, top_p=top_p, seed=seed))
    assert {sampler(logits) for _ in range(60)} <= set(order[: size + 1].tolist())
    if size == 1:
        assert sampler(logits) in order[:2]


def test_a_small_nucleus_is_reached_whole() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    sampler = Sampler(GenerateOptions(temperature=1, top_p=0.79))
    assert {sampler(logits) for _ in range(500)} == {0, 1}
    sampler = Sampler(GenerateOptions(temperature=1, top_p=0.81))
    assert {sampler(logits) for _ in range(500)} == {0, 1, 2}


@pytest.mark.parametrize("period", [1, 2, 5, 40, 64])
def test_a_loop_is_noticed_when_it_is_one(period: int) -> None:
    guard = RepetitionGuard(4)
    for token in range(1000, 1100):  # no loop
        assert not guard.push(token)
    needed = max(4 * period, 32)
    told = [guard.push(i % period) for i in range(needed)]
    assert told == [False] * (needed - 1) + [True]


def test_what_is_no_loop_passes() -> None:
    random = np.random.default_rng(1)
    guard = RepetitionGuard(4)
    assert not any(guard.push(int(t)) for t in random.integers(0, 3, 2000))
    assert not any(RepetitionGuard(0).push(7) for _ in range(500))
    guard = RepetitionGuard(8)
    assert not any(guard.push(0) for _ in range(31))  # a row of zeros
    assert guard.push(0)
