"""One run of the bot: read what the host has, plan, act; and once more where the host refused something."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ebpffix.bot.http import TRIES, Problem, Unsure
from ebpffix.bot.plan import Action, Flavour, State, plan
from ebpffix.bot.validate import Report


class Host(Protocol):
    @property
    def flavour(self) -> Flavour: ...

    def read(self) -> State: ...

    def act(self, action: Action, commit: str) -> Mapping[str, str] | None:
        """Carry out one action. None if it was done whole, else what was refused, by fingerprint (perhaps nothing):
        then the host must be read and planned for anew. Unsure if nobody knows."""


@dataclass(frozen=True)
class Outcome:
    """`moved` is the head that the host has instead of the report's; empty if it is that."""

    actions: int
    refused: Mapping[str, str]
    moved: str = ""


def review(host: Host, report: Report, sleep: Callable[[float], None]) -> Outcome:
    """Bring the host to what the report says. Problem if that cannot be."""
    refused: dict[str, str] = {}
    done = 0
    for attempt in range(TRIES):
        state = host.read()
        if state.head_sha != report.head_sha:
            return Outcome(done, refused, state.head_sha)
        try:
            again = False
            for action in plan(report, state, host.flavour, refused):
                more = host.act(action, report.head_sha)
                done += 1
                if more is not None:
                    refused |= more
                    again = True
                    break
        except Unsure:
            if attempt == TRIES - 1:
                raise
            again = True
        if not again:
            return Outcome(done, refused)
        sleep(2.0 ** (attempt + 1))
    raise Problem(f"the host refused something else each of {TRIES} times; see what it has, and run it again")
