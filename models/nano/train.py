"""Trains the nano model: `python -m models.nano.train --out build/nano` runs every stage.

Stages are limited by the processor's time, not by steps, so that a slower machine gives a weaker model, not a
longer wait; `--minutes` sets it. A stage saves every two minutes and, started again, goes on where it was.
After `models.nano.shipped`, stages begin with the shipped model's weights.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from models import prompts
from models.frontend import FrontEnd
from models.nano import corpus, ctc, drawing, listen, network, record, rows, see, speech, texts, vision, words
from models.nano.run import Run
from models.nano.wer import word_errors


def _speech_feed(
    out: Path, rng: random.Random, more: list[corpus.Utterance] | None = None
) -> Iterator[list[corpus.Utterance]]:
    """Batches without end, also of `more`; shards that appear meanwhile are taken up after each pass."""
    data = list(more or [])
    known: set[Path] = set()
    while True:
        for path in sorted((out / "speech").glob("*.npz")):
            if path not in known:
                known.add(path)
                data += corpus.read_shard(path)
        yield from ctc.batches(data, rng)


def _rng(out: Path, stage: str) -> random.Random:
    """What a stage's data are drawn from: the same in every run; a resumed stage goes on with new data."""
    path = out / f"{stage}.pt"
    steps = torch.load(path, weights_only=True)["steps"] if path.exists() else 0
    return random.Random(f"{stage} {steps}")


def stage_speech(out: Path, minutes: float) -> None:
    """The speech encoder with CTC."""
    front = FrontEnd(out / "front")
    model = network.build()
    heads = ctc.Heads(front, ctc.vocabulary())
    ctc.set_statistics(model, corpus.read_shard(out / "speech" / "0000.npz"))
    encoder = model.model.embed_tokens_extend.audio_embed.encoder
    held = _held_out_speech(out, front)
    rng = _rng(out, "speech")

    started = _start(out, "speech", encoder=encoder)
    run = Run(out, "speech", minutes, {"encoder": encoder, "heads": heads})

    def loss(batch: list[corpus.Utterance], progress: float) -> dict[str, Tensor]:
        if started:
            encoder.requires_grad_(run.steps >= HEADS_ALONE)
            progress = ctc.GROWN + (1 - ctc.GROWN) * progress
        return ctc.loss(model, heads, batch, rng, progress)

    run.train(
        [(list(encoder.parameters()), 1.4e-3 if started else 2e-3), (list(heads.parameters()), 2e-3)],
        _speech_feed(out, rng),
        loss,
        lambda: _word_errors(model, heads, held, heads.token_head),
    )


@torch.no_grad()
def _word_errors(
    model: Any, heads: ctc.Heads, held: list[corpus.Utterance], score: Callable[[Tensor], Tensor]
) -> dict[str, Any]:
    """Word error rates by kind; `score` gives the scores of classes of encoded frames."""
    errors: dict[str, list[int]] = {}
    for batch in ctc.batches(held, random.Random(0)):
        frames, lengths = ctc.pad(batch)
        read = heads.read(score(network.hear(model, frames, lengths)[0]), -(-lengths // 8))
        for utterance, text in zip(batch, read, strict=True):
            pair = errors.setdefault(utterance.kind, [0, 0])
            pair[0] += word_errors(utterance.text, text)
            pair[1] += len(utterance.text.split())
    return {f"wer_{kind}": round(a / b, 4) for kind, (a, b) in errors.items()}


WARM: Final = 0.05
"""The part of `join` in which a new projector alone learns to say in embeddings what the head reads."""
QUIET: Final = 600
"""Clips of noise and music without a word in `join` and in `listen`."""


def stage_join(out: Path, minutes: float) -> None:
    """The speech encoder and its projector into the decoder's words: CTC tied to the embeddings."""
    front = FrontEnd(out / "front")
    model = network.build()
    heads = ctc.Heads(front, ctc.vocabulary())
    encoder = model.model.embed_tokens_extend.audio_embed.encoder
    projector = network.speech_projector(model, vision=False)
    _load(out, "language", decoder=network.decoder(model))
    tied = ctc.Tied(heads, model.model.embed_tokens.weight)
    started = _start(out, "join", encoder=encoder, projector=projector)
    if not started or (out / "speech.pt").exists():
        _load(out, "speech", encoder=encoder, heads=heads)
    held = _held_out_speech(out, front)
    rng = _rng(out, "join")
    quiet = listen.silence(front, rng, QUIET)

    def loss(batch: list[corpus.Utterance], progress: float) -> dict[str, Tensor]:
        frames, lengths = ctc.pad(batch, rng)
        counts = -(-lengths // 8)
        warm = not started and progress < WARM
        with torch.set_grad_enabled(not warm):
            encoded, _ = network.hear(model, frames, lengths)
        projected = network.project_speech(model, encoded, vision=False)
        if warm:
            return {"warm": tied.distance(projected, heads.token_head(encoded), counts)}
        return tied.loss(projected, counts, [utterance.text for utterance in batch])

    Run(out, "join", minutes, {"encoder": encoder, "projector": projector}).train(
        [(list(encoder.parameters()), 5e-4), (list(projector.parameters()), 1e-3)],
        _speech_feed(out, rng, quiet),
        loss,
        lambda: _word_errors(
            model, heads, held, lambda x: tied.scores(network.project_speech(model, x, vision=False))
        ),
    )


SHORT_UNTIL: Final = 0.4
"""The part of `language` with short rows without a context, if it begins from nothing."""
NOISE: Final = 0.05
"""The most noise on the decoder's inputs: what encoders say is never quite the embedding of a word."""
HEADS_ALONE: Final = 300
"""Steps in which new heads learn to read a trained encoder before it goes on."""


def _start(out: Path, stage: str, **modules: nn.Module) -> bool:
    """Puts the shipped weights into modules, if `models.nano.shipped` wrote them; tells whether it did."""
    path = out / f"{stage}.start.pt"
    if path.exists():
        state = torch.load(path, weights_only=True)
        for name, module in modules.items():
            module.load_state_dict(state[name])
    return path.exists()


def _held_out_speech(out: Path, front: FrontEnd) -> list[corpus.Utterance]:
    """Held-out utterances in held-out voices, for the curves (the final report makes its own)."""
    path = out / "held.npz"
    if not path.exists():
        corpus.make_shard(front, speech.Espeak(), 0, path, split="eval", count=240)
    return corpus.read_shard(path)


def stage_language(out: Path, minutes: float) -> None:
    """The decoder alone, on typed turns; no adapter."""
    model = network.build()
    writer = rows.Writer(FrontEnd(out / "front"))
    rng = _rng(out, "language")
    decoder = network.decoder(model)

    started = _start(out, "language", decoder=decoder)
    run = Run(out, "language", minutes, {"decoder": decoder})
    if started:
        _freeze(decoder[0])  # the encoders speak in these embeddings

    def feed() -> Iterator[tuple[rows.Context, list[rows.Row]]]:
        while True:
            if not started and run.progress < SHORT_UNTIL:  # copying is found sooner so
                for batch in rows.bucket(
                    [rows.short_row(writer, rng, run.progress) for _ in range(400)], rng
                ):
                    yield "none", batch
                continue
            context: rows.Context = rng.choices(("tools", "plain", "none"), (50, 30, 20))[0]
            made = [rows.typed_row(writer, rng, "train", context) for _ in range(120)]
            for batch in rows.bucket(made, rng):
                yield context, batch

    def loss(batch: tuple[rows.Context, list[rows.Row]], progress: float) -> dict[str, Tensor]:
        context, made = batch
        prefix = rows.run_context(model, writer, context, None)
        noise = rng.uniform(0, NOISE) if started or progress > SHORT_UNTIL else 0.0
        return {f"loss_{context}": rows.score(model, made, prefix, [], None, noise=noise).loss}

    def measure() -> dict[str, Any]:
        return language_scores(model, writer)

    run.train(
        [(list(decoder.parameters()), 6e-4 if started else 1.5e-3)],
        feed(),
        loss,
        measure,
        (_matrices(decoder[1]), 1e-3) if started else None,
    )


@torch.no_grad()
def language_scores(model: Any, writer: rows.Writer, count: int = 24) -> dict[str, float]:
    """Exact replies to held-out typed turns, by kind."""
    rng = random.Random(5)
    prefix = rows.run_context(model, writer, "tools", None)
    found: dict[str, float] = {}
    makers: dict[str, Callable[[rows.Row], None]] = {}
    for number, tool in enumerate(prompts.TOOLS):

        def command(row: rows.Row, number: int = number) -> None:
            asked = texts.command(rng, "eval", number)
            writer.turn(row, [texts.typed(rng, asked)], asked.call)

        makers[tool["name"]] = command

    def repeat(row: rows.Row, count: int) -> None:
        text = " ".join(rng.choices(words.ALL, k=count))
        writer.turn(row, ["hear:", *rows.stretched(writer, rng, text), prompts.TRANSCRIBE], text)

    for length in (8, 20, 60):
        makers[f"repeat {length}"] = functools.partial(repeat, count=length)

    def heard(row: rows.Row) -> None:
        asked = texts.command(rng, "eval")
        writer.turn(row, ["hear:", *rows.stretched(writer, rng, asked.text)], asked.call)

    makers["heard"] = heard
    makers["translation"] = lambda row: rows.translation_turn(writer, row, rng, "eval")
    makers["deaf"] = lambda row: rows.deaf_turn(writer, row, rng, "eval")
    makers["picture"] = lambda row: rows.picture_turns(writer, row, rng, whole=False)
    makers["outside"] = lambda row: rows.outside_turn(writer, row, rng, "eval")
    for name, make in makers.items():
        made = [rows.Row() for _ in range(count)]
        for row in made:
            make(row)
        exact = rows.score(model, made, prefix, [], None).exact
        found[name] = round(sum(exact) / count, 3)
    return found


def stage_vision(out: Path, minutes: float) -> None:
    """The vision encoder with classifiers of cells."""
    model = network.build()
    heads = vision.Heads()
    used = network.tower(model)
    rng = _rng(out, "vision")
    started = _start(out, "vision", tower=used)
    run = Run(out, "vision", minutes, {"tower": used, "heads": heads})

    def loss(batch: list[drawing.Rendered], progress: float) -> dict[str, Tensor]:
        alone = started and run.steps < vision.HEADS_ALONE
        return vision.loss(model, heads, batch, progress, frozen=alone)

    run.train(
        [(list(used.parameters()), 8e-4 if started else 1e-3), (list(heads.parameters()), 1.5e-3)],
        vision.feed(rng, lambda: run.progress),
        loss,
        lambda: vision.scores(model, heads),
        (_matrices(used[1:]), 3e-3),
    )


def _matrices(module: nn.Module) -> list[nn.Parameter]:
    return [p for p in module.parameters() if p.ndim == 2]


def _load(out: Path, stage: str, **modules: nn.Module) -> None:
    """Puts the saved state of a finished stage into modules."""
    path = out / f"{stage}.pt"
    if not path.exists():
        raise SystemExit(f"The stage {stage} comes first: {path} is missing.")
    state = torch.load(path, weights_only=True)
    for name, module in modules.items():
        module.load_state_dict(state[name])


def _freeze(*modules: nn.Module) -> None:
    for module in modules:
        module.requires_grad_(requires_grad=False)


def stage_listen(out: Path, minutes: float) -> None:
    """Speech through the adapter into the frozen decoder."""
    front = FrontEnd(out / "front")
    writer = rows.Writer(front)
    model = network.build()
    encoder = model.model.embed_tokens_extend.audio_embed.encoder
    decoder = network.decoder(model)
    lora, projector = network.Lora(model.model.layers), network.speech_projector(model, vision=False)
    started = _start(out, "listen", lora=lora)
    _load(out, "join", encoder=encoder, projector=projector)
    _load(out, "language", decoder=decoder)
    _freeze(decoder, encoder)
    held = _held_out_speech(out, front)[:60]
    rng = _rng(out, "listen")
    quiet = listen.silence(front, rng, QUIET)
    parts = listen.Listener(model, lora, writer, front)
    Run(out, "listen", minutes, {"lora": lora, "projector": projector}).train(
        [(list(lora.parameters()), 6e-4 if started else 2e-3), (list(projector.parameters()), 1e-4)],
        _speech_feed(out, rng),
        lambda batch, _: parts.loss([*batch, *rng.sample(quiet, 2)], rng),
        lambda: parts.scores(held),
    )


def stage_see(out: Path, minutes: float) -> None:
    """Pictures, and speech about them, through the vision adapter into the frozen decoder."""
    front = FrontEnd(out / "front")
    model = network.build()
    part = model.model.embed_tokens_extend
    used, decoder, encoder = network.tower(model), network.decoder(model), part.audio_embed.encoder
    lora, heard = network.Lora(model.model.layers), network.speech_projector(model, vision=True)
    _load(out, "vision", tower=used)
    _load(out, "join", encoder=encoder, projector=heard)
    _load(out, "language", decoder=decoder)
    _freeze(decoder, used, encoder)
    seen, separators = network.picture_projector(model), network.separators(model)
    _start(out, "see", lora=lora, seen=seen, separators=separators)
    rng = _rng(out, "see")
    voices = see.Voices(model, see.questions(front, speech.Espeak(), rng, see.VOICES))
    held = see.Voices(model, _held_out_questions(out, front))
    gallery = see.Gallery(model, rng)
    gallery.add(see.FIRST)
    for _ in range(see.PAGES):
        gallery.add_page()
    viewer = see.Viewer(model, lora, rows.Writer(front))
    modules: dict[str, nn.Module] = {"lora": lora, "heard": heard, "seen": seen, "separators": separators}
    Run(out, "see", minutes, modules).train(
        [([p for module in modules.values() for p in module.parameters()], 1e-3)],
        itertools.repeat(None),
        lambda _, progress: viewer.loss(gallery, voices, rng, progress),
        lambda: viewer.scores(held),
    )


def _held_out_questions(out: Path, front: FrontEnd) -> list[corpus.Utterance]:
    """Every question about pictures three times in held-out voices."""
    path = out / "questions.npz"
    if not path.exists():
        corpus.make_questions(front, speech.Espeak(), path)
    return corpus.read_shard(path)


STAGES: Final[dict[str, tuple[Callable[[Path, float], None], float]]] = {
    "speech": (stage_speech, 70),
    "language": (stage_language, 65),
    "join": (stage_join, 35),
    "vision": (stage_vision, 65),
    "listen": (stage_listen, 80),
    "see": (stage_see, 50),
}
SHARDS: Final = 120  # of 500 utterances


def main() -> None:
    """Runs one stage or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", choices=STAGES)
    parser.add_argument("--out", type=Path, default=Path("build/nano"))
    parser.add_argument("--minutes", type=float, help="for the stage, or for each")
    options = parser.parse_args()
    torch.set_num_threads(1)
    corpus.prepare(options.out, SHARDS)
    for name in [options.stage] if options.stage else STAGES:
        run, minutes = STAGES[name]
        run(options.out, options.minutes or minutes)
        record.write(options.out, list(STAGES))


if __name__ == "__main__":
    main()
