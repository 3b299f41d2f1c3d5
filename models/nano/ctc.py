"""Stage 1: the speech encoder alone, with CTC heads that are dropped afterwards.

Words at 80 ms a frame (nearly every word is one token), and phonemes after block 2 with two outputs a frame.
The phoneme head leads at first: the weight of the word head starts at 0.05 and grows.
"""

from __future__ import annotations

import functools
import random
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 # torch's own name for it
from numpy.typing import NDArray
from torch import Tensor, nn

from models.frontend import FrontEnd
from models.nano import corpus, network, rows, shape, speech
from models.nano import words as w

TAP: Final = 2
ALIGNED: Final = 0.12
"""From this part of the stage on, the phoneme head is good enough to align words."""
GROWN: Final = 0.42
"""From here on, words count in full."""
FRAMES: Final = 5_000  # a batch
TIED: Final = 10.0
"""The scale of scores that are products with embeddings, whose squares are about 1.1."""
NEAR: Final = 0.7
VARIED: Final = 0.5
"""The share of utterances that each change of `_vary` meets."""


class Heads(nn.Module):
    """The two CTC heads and their alphabets; class 0 is blank."""

    def __init__(self, front: FrontEnd, words: list[str]) -> None:
        super().__init__()
        espeak = speech.Espeak()
        phonemes = {word: espeak.phonemes(word) for word in words}
        ids = sorted({i for word in words for i in front.encode(f" {word}")})
        self.token_class = {i: n + 1 for n, i in enumerate(ids)}
        self.tokens = ids
        letters = sorted(set("".join(phonemes.values())))
        self.letter_class = {c: n + 1 for n, c in enumerate(letters)}
        self.phonemes = phonemes
        self.token_head = nn.Linear(shape.AUDIO_WIDTH, len(ids) + 1)
        self.letter_head = nn.Linear(shape.AUDIO_WIDTH, 2 * (len(letters) + 1))
        self._front = front
        self.word_classes = functools.lru_cache(None)(self._word_classes)

    def _word_classes(self, word: str) -> list[int]:
        """The classes of one word's tokens, nearly always one."""
        return [self.token_class[i] for i in self._front.encode(f" {word}")]

    def targets(self, text: str) -> tuple[list[int], list[int]]:
        """Word classes and phoneme classes of a text."""
        words = [c for word in text.split() for c in self.word_classes(word)]
        return words, [self.letter_class[c] for word in text.split() for c in self.phonemes[word]]

    def read(self, scores: Tensor, counts: Tensor) -> list[str]:
        """Greedy words of scores [batch, time, classes], of which `counts` int64 [batch] frames count."""
        out = []
        for best, count in zip(scores.argmax(-1).tolist(), counts.tolist(), strict=True):
            row = best[:count]
            kept = [c for n, c in enumerate(row) if c and (n == 0 or c != row[n - 1])]
            out.append(self._front.decode([self.tokens[c - 1] for c in kept]).strip())
        return out


class Tied:
    """CTC in the decoder's words: a class's score is how near what is projected is to its embedding."""

    def __init__(self, heads: Heads, table: Tensor) -> None:
        """`table` are the decoder's embeddings; its filler stands for blank."""
        self.heads = heads
        self.table = table.detach()[torch.tensor([shape.token_id(rows.BLANK), *heads.tokens])]

    def scores(self, projected: Tensor) -> Tensor:
        """Scores of classes of projected frames [..., width]."""
        return TIED * (projected.float() @ self.table.T)

    def distance(self, projected: Tensor, scores: Tensor, counts: Tensor) -> Tensor:
        """How far frames [batch, time, width] are from the embeddings that scores speak of, squared."""
        inside = torch.arange(projected.shape[1])[None] < counts[:, None]
        wanted = F.softmax(scores.detach().float(), -1) @ self.table
        return (projected - wanted)[inside].pow(2).sum(-1).mean()

    def loss(self, projected: Tensor, counts: Tensor, said: list[str]) -> dict[str, Tensor]:
        """CTC, and the distance from mixtures of embeddings."""
        scores = self.scores(projected)
        return {
            "word": ctc_loss(scores, counts, [self.heads.targets(text)[0] for text in said]),
            "near": NEAR * self.distance(projected, scores, counts),
        }


def vocabulary() -> list[str]:
    """Every word that is ever spoken, templates included."""
    rng = random.Random(11)
    kinds = [kind for kind in corpus.KINDS if kind != "long"]
    said = [corpus.spoken(rng, "train", kind)[0] for kind in kinds for _ in range(6000)]
    return sorted({word for text in (*said, *w.ALL) for word in text.split()})


def batches(
    data: list[corpus.Utterance], rng: random.Random, frames: int = FRAMES
) -> list[list[corpus.Utterance]]:
    """Batches of similar length with about `frames` frames each, in random order."""
    order = sorted(data, key=lambda u: len(u.frames) + rng.uniform(-20, 20))
    out: list[list[corpus.Utterance]] = [[]]
    longest = 0
    for utterance in order:
        longest = max(longest, len(utterance.frames))
        if out[-1] and longest * (len(out[-1]) + 1) > frames:
            out.append([])
            longest = len(utterance.frames)
        out[-1].append(utterance)
    rng.shuffle(out)
    return out


def pad(batch: list[corpus.Utterance], rng: random.Random | None = None) -> tuple[Tensor, Tensor]:
    """Frames [batch, longest, 80] and lengths; with `rng`, SpecAugment and other changes."""
    lengths = torch.tensor([len(u.frames) for u in batch])
    frames = np.zeros((len(batch), int(lengths.max()), 80), np.float32)
    for row, utterance in zip(frames, batch, strict=True):
        part = row[: len(utterance.frames)]
        part[:] = utterance.frames
        if rng is None:
            continue
        _vary(part, rng)
        mean = float(part.mean())
        for _ in range(2):
            width = rng.randint(0, 12)
            low = rng.randint(0, 80 - width)
            part[:, low : low + width] = mean
            width = rng.randint(0, min(15, len(part) // 12))
            start = rng.randint(0, len(part) - width)
            part[start : start + width] = mean
    return torch.from_numpy(frames), lengths


def _vary(frames: NDArray[np.float32], rng: random.Random) -> None:
    """Frames as if of a larger or smaller mouth, another microphone, and a voice from a statistical model."""
    if rng.random() < VARIED:
        frames[:] = frames @ _stretched(rng.uniform(0.93, 1.07))
    if rng.random() < VARIED:
        bands = np.linspace(-1, 1, 80)
        frames += rng.gauss(0, 0.5) * bands + rng.gauss(0, 0.5) * np.cos(2 * np.pi * (bands + rng.random()))
    if rng.random() < VARIED / 2:  # such voices change more slowly
        reach = rng.randint(1, 2)
        around = np.pad(frames, ((reach, reach), (0, 0)), "edge")
        frames[:] = sum(around[at : at + len(frames)] for at in range(2 * reach + 1)) / (2 * reach + 1)


def _stretched(factor: float) -> NDArray[np.float32]:
    """A matrix [80, 80] that takes each mel band from `factor` times its frequency."""
    highest = 1127 * np.log1p(8000 / 700)
    hertz = 700 * np.expm1(np.arange(1, 81) * highest / 81 / 1127)
    places = np.clip(1127 * np.log1p(factor * hertz / 700) * 81 / highest - 1, 0, 79)
    shares = np.maximum(0, 1 - np.abs(np.arange(80)[:, None] - places))
    return np.asarray(shares, np.float32)


def loss(
    model: Any, heads: Heads, batch: list[corpus.Utterance], rng: random.Random, progress: float
) -> dict[str, Tensor]:
    """The losses of one batch; `progress` 0…1 sets their weights.

    Phonemes come first, alone. Word CTC alone would stay on a plateau of blanks for long and empty the upper
    blocks, so at first the end of each word, as the phoneme head aligns it, is told directly.
    """
    frames, lengths = pad(batch, rng)
    encoded, tapped = network.hear(model, frames, lengths, TAP)
    assert tapped is not None
    tokens = -(-lengths // 8)
    wanted = [heads.targets(u.text) for u in batch]
    words = heads.token_head(encoded)
    letters = heads.letter_head(tapped).view(len(batch), -1, len(heads.letter_class) + 1)
    losses = {"letter": ctc_loss(letters, 2 * tokens, [p for _, p in wanted])}
    if progress < ALIGNED:
        return losses
    losses["letter"] = 0.4 * losses["letter"]
    grown = min(1.0, (progress - ALIGNED) / (GROWN - ALIGNED))
    losses["word"] = (0.05 + 0.95 * grown) * ctc_loss(words, tokens, [t for t, _ in wanted])
    if grown < 1:
        scores = F.log_softmax(letters.detach().float(), -1).numpy()
        places: list[tuple[int, int, int]] = []
        for row, (utterance, (_, sounds)) in enumerate(zip(batch, wanted, strict=True)):
            ends = align(scores[row, : 2 * int(tokens[row])], sounds)
            at = 0
            for word in utterance.text.split():
                at += len(heads.phonemes[word])
                ids = heads.word_classes(word)
                if ends is not None and len(ids) == 1:
                    places.append((row, min(int(ends[at - 1]) // 2, int(tokens[row]) - 1), ids[0]))
        if places:
            index = torch.tensor(places)
            losses["end"] = (1 - 0.8 * grown) * F.cross_entropy(words[index[:, 0], index[:, 1]], index[:, 2])
    return losses


def align(scores: NDArray[np.float32], labels: list[int]) -> NDArray[np.int64] | None:
    """The last frame of each label on the best CTC path; `scores` log-probabilities [frames, classes].

    None if there are too few frames for the labels.
    """
    states = np.zeros(2 * len(labels) + 1, np.int64)
    states[1::2] = labels
    skip = np.zeros(states.size, bool)
    skip[3::2] = states[3::2] != states[1:-2:2]
    best = np.full(states.size, -1e9, np.float32)
    best[:2] = scores[0, states[:2]]
    steps = np.zeros((len(scores), states.size), np.int8)
    for frame in range(1, len(scores)):
        one = np.concatenate(([-1e9], best[:-1]))
        two = np.where(skip, np.concatenate(([-1e9, -1e9], best[:-2])), -1e9)
        choices = np.stack((best, one, two))
        steps[frame] = choices.argmax(0)
        best = choices.max(0) + scores[frame, states]
    state = states.size - 1 - int(best[-2] > best[-1])
    if best[state] < -1e8:
        return None
    ends = np.full(len(labels), -1, np.int64)
    for frame in range(len(scores) - 1, -1, -1):
        if state % 2 and ends[state // 2] < 0:
            ends[state // 2] = frame
        state -= int(steps[frame, state])
    return ends


def ctc_loss(logits: Tensor, lengths: Tensor, targets: list[list[int]]) -> Tensor:
    """CTC loss of logits [batch, time, classes] of which `lengths` count, each row divided by its targets."""
    return F.ctc_loss(
        F.log_softmax(logits, -1).transpose(0, 1),
        torch.tensor([c for t in targets for c in t], dtype=torch.long),
        lengths,
        torch.tensor([len(t) for t in targets]),
        zero_infinity=True,
    )


def set_statistics(model: Any, data: list[corpus.Utterance]) -> None:
    """Sets the encoder's global mean and inverse deviation from some of the data."""
    frames = np.concatenate([u.frames[::5].astype(np.float32) for u in data[:2000]])
    part = model.model.embed_tokens_extend.audio_embed.encoder.encoder_embedding
    part.global_mean.copy_(torch.from_numpy(frames.mean(0)))
    part.global_invstd.copy_(torch.from_numpy(1 / frames.std(0)))


def load(folder: Path, limit: int | None = None) -> list[corpus.Utterance]:
    """All utterances of the shards that exist now."""
    shards = sorted((folder / "speech").glob("*.npz"))[:limit]
    return [u for path in shards for u in corpus.read_shard(path)]
