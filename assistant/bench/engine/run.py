"""Measures: some rounds, and in each one all contenders side by side, section by section."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack

from assistant.bench.engine.findings import Findings
from assistant.bench.engine.plan import LOAD, LONGEST, MEMORY, SECTIONS, Contender, Plan, Section
from assistant.bench.engine.process import Peer
from assistant.engine import memory
from models.errors import EngineError

Say = Callable[[str, float], None]
_TWICE = 2.2
"""A model's files take up to twice their size: as they are mapped, and packed for the kernels."""


def measure(plan: Plan, say: Say) -> Findings:
    """Run the plan; ``say(what, share done)`` tells progress. Ctrl-C ends it with what was found so far.

    Contenders that fail are left out from then on, with the reason.
    """
    findings = Findings(plan)
    try:
        for number in range(plan.rounds):
            _round(plan, findings, number, say)
            findings.rounds += 1
    except KeyboardInterrupt:
        findings.stopped = True
    return findings


def groups(contenders: Sequence[Contender], free: int) -> list[list[Contender]]:
    """Who is in memory at the same time: all of them, or one after the other where that is too much."""
    needed = sum(_TWICE * one.files + one.kv_bytes * LONGEST for one in contenders)
    return [list(contenders)] if needed <= free else [[one] for one in contenders]


def _round(plan: Plan, findings: Findings, number: int, say: Say) -> None:
    """One round; who comes first changes from round to round."""
    present = [one for one in plan.contenders if one.name not in findings.failed]
    turned = [*present[number % len(present) :], *present[: number % len(present)]]
    for group in groups(turned, memory.free()):
        with ExitStack() as stack:
            peers = [stack.enter_context(Peer(one, plan.threads)) for one in group]
            try:
                _sections(peers, plan, findings, number, say)
            except BaseException:
                for peer in peers:
                    peer.kill()
                raise


def _sections(peers: list[Peer], plan: Plan, findings: Findings, number: int, say: Say) -> None:
    def each(what: str, chosen: Iterable[Peer], share: float, action: str, **arguments: int) -> None:
        for peer in [peer for peer in chosen if peer.contender.name not in findings.failed]:
            name = peer.contender.name
            done = (number + share) / plan.rounds
            say(f"round {number + 1} of {plan.rounds}: {what}, {name}", done)
            try:
                value = peer.ask(action, **arguments)
            except EngineError as error:
                findings.failed[name] = str(error)
            else:
                findings.add(name, what, value)

    steps: list[Section] = list(SECTIONS)
    total = len(steps) + 2
    each(LOAD, peers, 0, "load")
    each("warm-up", peers, 1 / total, "warm")
    for at, section in enumerate(steps, 2):
        if section.kinds == ("aside",):  # what comes now loads more than a language model
            each(MEMORY, peers, at / total, "memory")
        taking = [peer for peer in peers if peer.contender.kind in section.kinds]
        each(section.key, taking, at / total, section.action, **section.arguments)
