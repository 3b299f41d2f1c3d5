"""aside bench engine: what it draws from values, the shapes that it builds, and a run with a tiny package."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import gguf
import psutil
import pytest
from command import Aside
from engine_package import small_package

from assistant.bench.engine import gguf_model, prepare
from assistant.bench.engine.chart import draw
from assistant.bench.engine.cost import graph_cost
from assistant.bench.engine.findings import Aim, Findings
from assistant.bench.engine.plan import (
    DECODE,
    DECODE_ADAPTED,
    EXTEND,
    LOAD,
    MEMORY,
    SECTIONS,
    Contender,
    Plan,
)
from assistant.bench.engine.prepare import (
    ASIDE,
    GENAI,
    LLAMA,
    MACHINE,
    REFERENCE,
    SHIPPED,
    package_contenders,
)
from assistant.bench.engine.run import groups, measure
from assistant.bench.engine.table import report
from models import package
from models.export.tokenizer import special_ids
from models.random_weights import REAL, RandomCheckpoint, proportional

OTHER = LLAMA["Q4_0"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_package(tmp_path_factory.mktemp("bench") / "small")


def synthetic(share: float = 1.0) -> Findings:
    """Two rounds, the second on a machine that is twice as slow; Aside writes 10 tokens a second."""
    ours = Contender(
        ASIDE, "aside", about="int4", bytes_per_token=10**9, kv_bytes=10**5, operations=10**9, files=10**9
    )
    theirs = replace(ours, name=OTHER, kind="llama")
    findings = Findings(Plan([Contender(MACHINE, "machine"), ours, theirs], 2, 2, share), rounds=2)
    for slow in (1, 2):
        findings.add(MACHINE, "memory read", 20 / slow)
        findings.add(MACHINE, "int8 products", 400 / slow)
        for name, factor in ((ASIDE, 1.0), (OTHER, 2.0)):
            for section in SECTIONS:
                if "llama" in section.kinds:
                    findings.add(name, section.key, slow * factor * section.amount / 10)
        findings.add(ASIDE, DECODE_ADAPTED, slow * 24 / 8)
        findings.add(ASIDE, MEMORY, 1.12e9)
    return findings


def test_ratios_are_taken_within_a_round_and_shares_of_the_limit_from_the_same_run() -> None:
    findings = synthetic()
    assert findings.ratio((OTHER, DECODE), (ASIDE, DECODE)) == pytest.approx(2)
    assert findings.rate(ASIDE, DECODE) == pytest.approx(10 / 1.5)
    ours = findings.plan.contenders[1]
    assert findings.limit(ours, DECODE) == pytest.approx(15)  # 15 GB/s, 1 GB a token
    assert findings.limit(ours, "decode at 1,000") == pytest.approx(15 / 1.1)
    assert findings.limit(ours, "prefill 512") == pytest.approx(300)
    assert findings.share(ours, DECODE) == pytest.approx(10 / 1.5 / 15)
    verdicts = {aim.what: aim.verdict for aim in findings.aims()}
    assert verdicts[f"decode, times {OTHER}"] == "met"
    assert verdicts["decode, of the limit"] == "missed"
    assert verdicts["decode with the speech adapter, of without"] == "missed"
    assert verdicts["40 tokens on 1,000, times alone"] == "met"
    assert verdicts["peak memory, times files and KV"] == "met"
    assert verdicts["speech, 30 s, of fp32"] == "not measured"
    findings.add(OTHER, DECODE, 4.8 * 5)
    best = Findings(replace(findings.plan, best=True), findings.values)
    assert best.rate(ASIDE, DECODE) == pytest.approx(10)
    assert best.share(ours, DECODE) == pytest.approx(0.5)
    assert best.ratio((OTHER, DECODE), (ASIDE, DECODE)) == pytest.approx(2)
    assert Aim("", 0.5, 0.5, least=False).verdict == "met"


def test_the_table_and_the_picture_are_scaled_to_the_real_size() -> None:
    findings = synthetic(share=0.125)
    findings.failed["x"] = "llama.cpp failed: it is broken."
    words = report(findings, {"processor": "abacus"})
    row = next(line for line in words.splitlines() if line.startswith("| decode, tokens/s"))
    assert [cell.strip() for cell in row.split("|")[2:4]] == ["0.8 44 %", "0.4 22 % ×2.00"]
    assert "Left out: llama.cpp failed" in words
    assert "processor: abacus" in words
    texts = [node.text for node in ElementTree.fromstring(draw(findings)).iter() if node.text]
    assert {"decode", "0.8", OTHER, "Tokens a second, 2 threads, scaled from 0.125 of the depth"} <= set(
        texts
    )
    assert json.loads(json.dumps(findings.as_json({})))["contenders"][1]["sections"][DECODE]["values"] == [
        2.4,
        4.8,
    ]


def test_the_gguf_file_has_the_real_shape() -> None:
    listed = gguf_model.tensors(REAL, "Q4_0")
    weights = sum(math.prod(t.shape) for t in listed if len(t.shape) == 2)
    assert weights == 200064 * 3072 + 32 * 3072 * (5120 + 3072 + 16384 + 8192)
    layers = sum(t.bytes for t in listed if t.format == "Q4_0")
    assert layers * 8 == pytest.approx(4.5 * (weights - 200064 * 3072))
    assert {t.name: t.shape for t in listed}["blk.31.ffn_down.weight"] == (3072, 8192)


def test_the_gguf_file_can_be_read(tmp_path: Path) -> None:
    config = replace(proportional(REAL, 1), layers=1, hidden_size=256, intermediate_size=256, vocab_size=512)
    out = gguf_model.write(config, "Q4_K", tmp_path / "x.gguf")
    found = {t.name: tuple(int(n) for n in t.shape) for t in gguf.GGUFReader(out).tensors}
    assert found == {t.name: t.shape[::-1] for t in gguf_model.tensors(config, "Q4_K")}


def test_a_shorter_model_keeps_the_proportions() -> None:
    config = proportional(REAL, 4)
    assert (config.layers, config.hidden_size, config.vision.layers) == (4, 3072, 4)
    assert config.vocab_size == pytest.approx(200064 / 8, rel=0.01)
    assert special_ids(config.vocab_size)[config.eos_token_ids[0]] == "<|end|>"
    assert max(config.vision.image_token_id, config.audio.audio_token_id) < config.vocab_size
    assert proportional(REAL, 32) is REAL
    assert RandomCheckpoint(config).rows("model.embed_tokens.weight", 0, 1).shape == (1, 3072)


def test_a_token_costs_its_weights(small: Path) -> None:
    cost = graph_cost(small / "phi-4-mm-text.onnx")
    matrices = 2 * 128 * ((4 + 2 * 2) * 32 + 128 + 2 * 256 + 256)
    assert cost.operations == 2 * matrices
    norms = (2 * 2 + 1) * 128
    assert cost.bytes - 4 * (matrices + 320 * 128 + norms) == pytest.approx(0, abs=2000)  # and constants


def test_all_are_in_memory_at_once_if_they_fit() -> None:
    pair = [Contender(name, "llama", files=10**9) for name in "ab"]
    assert groups(pair, 10**10) == [pair]
    assert groups(pair, 10**9) == [[pair[0]], [pair[1]]]


def test_a_run_with_a_tiny_package(small: Path) -> None:
    info = package.check(small)
    contenders = [
        *package_contenders(info),
        Contender(SHIPPED, "encoders", str(small)),
        Contender(REFERENCE, "encoders", str(small)),
        Contender(OTHER, "llama", str(small / "missing.gguf")),
    ]
    told: list[float] = []
    findings = measure(Plan(contenders, 1, 1), lambda _, done: told.append(done))
    assert list(findings.failed) == [OTHER]  # not installed, or no such file: the others go on
    for section in SECTIONS:
        for one in contenders[:-1]:
            found = findings.of(one.name, section.key)
            assert len(found) == (one.kind in section.kinds), (one.name, section.key)
            assert all(value > 0 for value in found)
    for name in (ASIDE, GENAI):
        assert len(findings.of(name, LOAD)) == 1
        assert (findings.median(name, MEMORY) or 0) > 50e6
        assert (findings.rate(name, EXTEND) or 0) > 0
    assert told == sorted(told)
    assert "| decode, tokens/s" in report(findings, {})
    assert not workers()


def test_ctrl_c_ends_the_contenders_and_keeps_what_was_found(small: Path) -> None:
    def interrupt(what: str, _: float) -> None:
        if "prefill 40" in what:
            raise KeyboardInterrupt

    findings = measure(Plan(package_contenders(package.check(small))[1:2], 3, 1), interrupt)
    assert findings.stopped
    assert (findings.rounds, list(findings.values[ASIDE])) == (0, [LOAD, "warm-up"])
    assert not workers()
    assert "Aside" in report(findings, {})


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aside = Aside(tmp_path, tmp_path)
    complaint = aside("bench", "engine", "--json", tmp_path / "none" / "x.json").complaint()
    assert "can't be written" in complaint
    assert "--layers" in aside("bench", "engine", "--layers", "0").complaint()
    monkeypatch.setattr("shutil.disk_usage", lambda _: replace_free(1e9))
    with pytest.raises(prepare.NoSpaceError, match=r"needs \d+ GB"):
        prepare.prepare(REAL, tmp_path / "bench", 1, 1)
    assert not (tmp_path / "bench").exists()


def workers() -> list[psutil.Process]:
    """The benchmark's processes that are still there."""
    children = psutil.Process().children()
    return [child for child in children if "assistant.bench.engine.worker" in child.cmdline()]


def replace_free(size: float) -> object:
    """What `shutil.disk_usage` gives, with so many bytes free."""
    return type("Usage", (), {"free": size})()
