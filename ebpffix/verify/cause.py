"""Where the proof was lost: mostly not where the verifier noticed.

The lookup whose result may be NULL, the check that is too short, the helper that moved the packet, the call that
acquired what leaks, the value without limits. Told from the path that a log has, so of a whole log only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ebpffix.verify.explain import STALE_PACKET, Explanation
from ebpffix.verify.logs import SourceLine
from ebpffix.verify.trace import Step, Trace

_REGISTER = re.compile(r"\bR(\d+)\b")
_ALLOCATED = re.compile(r"alloc_insn=(\d+)")
_MOVED = "may have moved the packet here"
_LIMITS = re.compile(r"unbounded|min value is negative|outside of the allowed|variable-offset|zero-sized|math between")


@dataclass(frozen=True)
class Cause:
    """A step of the path and what it has to do with the refusal, in words that go on after the line. `explanation` is
    of the class that the path shows, where the message alone cannot."""

    words: str
    source: SourceLine
    explanation: Explanation | None = None


def cause(message: str, trace: Trace) -> Cause | None:
    """The cause of a refusal; None where the path does not show it, or it is the refused line itself."""
    step, words = _cause(message, trace)
    last = trace.last
    if step is None or step.source is None or (last is not None and last.source == step.source):
        return None
    return Cause(words, step.source, STALE_PACKET if words.endswith(_MOVED) else None)


def _cause(message: str, trace: Trace) -> tuple[Step | None, str]:
    if match := _ALLOCATED.search(message):
        position = trace.at(int(match[1]))
        return _step(trace, position), f"{_called(trace, position)} acquired it here"
    named = _REGISTER.search(message)
    if named is None or not trace.steps:
        return None, ""
    register = int(named[1])
    if "or_null" in message or "NULL" in message:
        position = next((n for n in trace.chain(register) if trace.steps[n].call), None)
        return _step(trace, position), f"{_called(trace, position)} gave it here; test the result right behind the call"
    if "access to packet" in message:
        position = trace.last_check(register)
        return _step(trace, position), "this check does not reach so far"
    if "invalid mem access" in message and (position := trace.moved_by(register)) is not None:
        return _step(trace, position), f"{_called(trace, position)} {_MOVED}"
    if _LIMITS.search(message):
        position = next((n for n in trace.chain(register) if _is_origin(trace.steps[n])), None)
        return _step(trace, position), "the value without limits comes from here"
    return None, ""


def _is_origin(step: Step) -> bool:
    """Whether a value that is no pointer to a map begins here: a load from memory, or what a helper returned."""
    if step.call:
        return "lookup" not in step.call and "reserve" not in step.call
    return "= *(" in step.text and "(r10 " not in step.text


def _step(trace: Trace, position: int | None) -> Step | None:
    return None if position is None else trace.steps[position]


def _called(trace: Trace, position: int | None) -> str:
    return f"{trace.steps[position].call}()" if position is not None and trace.steps[position].call else "a call"
