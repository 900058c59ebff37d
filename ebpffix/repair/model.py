"""What the parts of a repair hand on: a refusal, a candidate for its cure, and the strategy that proposes it."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from ebpffix.fix import Edit, Span
from ebpffix.frontend import Unit
from ebpffix.verify.trace import Step, Trace


class Effect(enum.StrEnum):
    """What a repair does to the runs of a program that were fine, the least first."""

    EXACT = "exact"  # nothing: only what the verifier could not prove is left out
    EARLY = "early"  # some leave earlier than they had to
    CHANGING = "value-changing"  # some get other values

    @property
    def rank(self) -> int:
        """0 for the least."""
        return list(Effect).index(self)


@dataclass(frozen=True)
class Candidate:
    """One proposal: edits that are made together, and in one sentence what is different then. `at` is where the proof
    was lost, which is seldom where the verifier noticed. A `fallback` is tried where nothing else helped."""

    edits: tuple[Edit, ...]
    effect: Effect
    says: str
    at: Span | None = None
    fallback: bool = False
    strategy: str = ""


@dataclass(frozen=True)
class Refusal:
    """A refused program: the unit that it is compiled from, the verifier's message (without statistics) and path."""

    unit: Unit
    program: str
    section: str
    message: str
    trace: Trace

    @cached_property
    def registers(self) -> list[int]:
        """The registers that the message names, in order."""
        return [int(n) for n in re.findall(r"\bR(\d+)\b", self.message)]

    @property
    def step(self) -> Step | None:
        return self.trace.last


@dataclass(frozen=True)
class Strategy:
    """The facts of one strategy: `when` is a regex over the messages that it has a cure for, `order` its place among
    others (those that go to the origin come first)."""

    name: str
    when: str
    summary: str
    order: int = 50


Proposer = Callable[[Refusal], Iterator[Candidate]]
