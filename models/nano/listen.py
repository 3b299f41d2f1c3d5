"""Stage 4: speech into the decoder.

Base decoder and encoder stay frozen; the speech adapter and the speech projector learn to write down, to
translate and to answer what was said.
"""

from __future__ import annotations

import random
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from models import prompts
from models.frontend import FrontEnd
from models.nano import corpus, ctc, network, phrases, rows, shape, speech, texts
from models.nano.wer import word_errors

JOINED: Final = 0.4
"""The share of rows without tools that are one long recording, made of several clips one after the other."""
AGAIN: Final = 0.3
"""The share of these in which the last clip is one of those before: the words don't tell how far one is."""
LONGEST: Final = 3000
"""Frames of such a recording, 30 s."""


def silence(front: FrontEnd, rng: random.Random, count: int) -> list[corpus.Utterance]:
    """Clips in which nobody speaks."""
    out = []
    for _ in range(count):
        frames = front.clip(speech.unspoken(rng), speech.UNSPOKEN_RATE).audio_embeds[0].astype(np.float16)
        out.append(corpus.Utterance(frames, "", "silence", texts.NOTHING))
    return out


_FREE: Final = {"command": 0.0, "talk": 0.7, "silence": 0.5, "question": 0.1}
_FREE_TOOLS: Final = {
    **_FREE,
    "command": 0.85,
    "outside": 0.9,
    "general": 0.5,
    "row": 0.3,
    "long": 0.3,
    "phrase": 0.3,
}
"""How often a clip of each kind comes without an instruction, so that the reply is up to the model."""
_TRANSLATED: Final = {"phrase": 0.7, "general": 0.04, "row": 0.02, "command": 0.02}
"""How often a clip that comes with one is to be translated."""


def joined(writer: rows.Writer, rng: random.Random, clips: list[tuple[int, corpus.Utterance]]) -> rows.Row:
    """A row that transcribes clips one after the other as one recording."""
    made = rows.Row()
    text = " ".join(clip.text for _, clip in clips)
    writer.turn(made, [*(rows.Gap(number) for number, _ in clips), prompts.TRANSCRIBE], text)
    made.slip(rng)
    return made


def _translate(writer: rows.Writer, made: rows.Row, rng: random.Random, gap: rows.Gap, text: str) -> None:
    """A turn that translates what is in the phrase book, and says of other texts that it can't."""
    phrase = phrases.BY_ENGLISH.get(text)
    known = phrases.LANGUAGES if phrase else prompts.LANGUAGES[1:]
    language = rng.choice(known)
    translated = phrase.translation(language) if phrase else texts.NO_TRANSLATION
    if rng.random() < 0.75:
        asked, reply = prompts.transcribe_and_translate(language), f"{text}{prompts.SEPARATOR}{translated}"
    else:
        asked, reply = prompts.translate(language), translated
    writer.turn(made, [gap, asked], reply)


def row(
    writer: rows.Writer, rng: random.Random, clips: list[tuple[int, corpus.Utterance]], context: str
) -> rows.Row:
    """A row of one turn for each clip; clips come with their number in the batch."""
    made = rows.Row()
    for number, clip in clips:
        gap = rows.Gap(number)
        free = _FREE_TOOLS if context == "tools" else _FREE
        if rng.random() < free.get(clip.kind, 0.06):
            writer.turn(made, [gap], clip.reply or texts.ABOUT)
        elif rng.random() < _TRANSLATED.get(clip.kind, 0.0):
            _translate(writer, made, rng, gap, clip.text)
        elif rng.random() < 0.02:
            writer.turn(made, [gap, prompts.SUMMARIZE], texts.NO_SUMMARY)
        else:
            writer.turn(made, [gap, prompts.TRANSCRIBE], clip.text or clip.reply)
            made.slip(rng)
    return made


def make_rows(
    writer: rows.Writer, rng: random.Random, batch: list[corpus.Utterance], context: str
) -> list[rows.Row]:
    """Rows that use each clip of the batch once: alone, in two turns, or several as one recording."""
    out: list[rows.Row] = []
    numbered = list(enumerate(batch))
    rng.shuffle(numbered)
    while numbered:
        if context != "tools" and rng.random() < JOINED:
            room = max(1, LONGEST // max(len(clip.frames) for _, clip in numbered))
            several = numbered[: min(room, rng.randint(2, 8))]
            if all(clip.text for _, clip in several):
                numbered = numbered[len(several) :]
                if rng.random() < AGAIN and len(several) < room:
                    several.append(rng.choice(several))
                out.append(joined(writer, rng, several))
                continue
        take = 2 if rng.random() < 0.15 else 1
        out.append(row(writer, rng, numbered[:take], context))
        numbered = numbered[take:]
    return out


class Listener:
    """The model with its speech adapter."""

    def __init__(self, model: Any, lora: network.Lora | None, writer: rows.Writer, front: FrontEnd) -> None:
        self._model, self._lora = model, lora
        self._writer, self._front = writer, front

    def loss(self, batch: list[corpus.Utterance], rng: random.Random) -> dict[str, Tensor]:
        """The losses of one batch of clips."""
        model = self._model
        frames, lengths = ctc.pad(batch, rng)
        tokens = -(-lengths // 8)
        with torch.no_grad():
            encoded, _ = network.hear(model, frames, lengths)
        projected = network.project_speech(model, encoded, vision=False)
        features = [p[:n] for p, n in zip(projected, tokens.tolist(), strict=True)]
        context: rows.Context = rng.choices(("tools", "plain", "none"), (62, 30, 8))[0]
        prefix = rows.run_context(model, self._writer, context, self._lora)
        made = make_rows(self._writer, rng, batch, context)
        return {context: rows.score(model, made, prefix, features, self._lora).loss}

    @torch.no_grad()
    def read(
        self, asked: list[int | rows.Gap | str], features: list[Tensor], prefix: network.Prefix | None
    ) -> str:
        """Greedy decoding of the reply to one turn, at most 200 tokens."""
        model = self._model
        made = rows.Row()
        self._writer.turn(made, asked, "")
        items = [features[i.index] if isinstance(i, rows.Gap) else i for i in made.items[: min(made.answers)]]
        out: list[int] = []
        hidden, cache = network.decode(model, network.embed_rows(model, [items]), self._lora, prefix)
        table = model.model.embed_tokens.weight
        for _ in range(200):
            best = int((hidden[0, -1] @ table.T).argmax())
            if best in self._front.stop_ids:
                break
            out.append(best)
            hidden, cache = network.decode(model, table[best][None, None], self._lora, cache)
        return self._front.decode([i for i in out if i < shape.FIRST_SPECIAL]).strip()

    @torch.no_grad()
    def scores(self, held: list[corpus.Utterance]) -> dict[str, Any]:
        """Word error rate by kind in the plain context, and exact calls, refusals and translations."""
        plain = rows.run_context(self._model, self._writer, "plain", self._lora)
        tools = rows.run_context(self._model, self._writer, "tools", self._lora)
        errors: dict[str, list[int]] = {}
        exact: dict[str, list[int]] = {}
        for clip in held:
            encoded, _ = network.hear(self._model, *ctc.pad([clip]))
            features = [network.project_speech(self._model, encoded, vision=False)[0]]
            heard = self.read([rows.Gap(0), prompts.TRANSCRIBE], features, plain)
            pair = errors.setdefault(clip.kind, [0, 0])
            pair[0] += word_errors(clip.text, heard)
            pair[1] += len(clip.text.split())
            if clip.kind in {"command", "outside"}:
                said = self.read([rows.Gap(0)], features, tools)
                self._count(exact, clip.kind, said == clip.reply)
            if clip.text in phrases.BY_ENGLISH:
                asked = prompts.transcribe_and_translate("German")
                said = self.read([rows.Gap(0), asked], features, plain)
                self._count(exact, "translation", said == phrases.BY_ENGLISH[clip.text].both("German"))
        found = {f"wer_{kind}": round(a / max(1, b), 4) for kind, (a, b) in errors.items()}
        return {**found, **{name: f"{right}/{count}" for name, (right, count) in exact.items()}}

    @staticmethod
    def _count(sums: dict[str, list[int]], name: str, right: bool) -> None:
        pair = sums.setdefault(name, [0, 0])
        pair[0] += right
        pair[1] += 1
