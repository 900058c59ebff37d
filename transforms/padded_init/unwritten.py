"""Which bits of an object were not written when it goes to a helper: the events of `escapes`, in the flow's order."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass

from ebpffix.analysis.flow import Flow, Step

from . import layout
from .escapes import Event, Object


@dataclass(frozen=True)
class Unwritten:
    """An escape, and bits of it: `never` are written on no path to it, `sometimes` not on every path. `text` are those
    among them that a string is put in, so that only what stands behind its end was not written."""

    event: Event
    never: int
    sometimes: int
    text: int


_Written = tuple[int, int]  # on every path, on some path


def unwritten(object_: Object, events: Sequence[Event], flow: Flow, start: Step, written: int) -> list[Unwritten]:
    """The escapes in source order, and the returns of the object's address, that come behind the step `start` and have
    bits that were not written. At `start` the object has the bits `written`. None where the order is not known."""
    if flow.opaque:
        return []
    done: dict[Step, list[Event]] = {}
    for event in events:
        if (step := flow.step(event.at)) is not None and step is not start:
            done.setdefault(step, []).append(event)
    reached = _reached(flow, done, start, written)
    text = functools.reduce(operator.or_, (event.text for event in events), 0)
    found = []
    for step in flow.steps:
        for event in done.get(step, ()) if step in reached else ():
            every, some = _after(reached[step], done[step])
            wanted = event.bits if event.to or event.returned else 0
            if not event.exact:  # how much of it is read cannot be told: perhaps only the members that were set
                wanted &= ~layout.data_bits(object_.type)
            if wanted & ~every:
                found.append(Unwritten(event, wanted & ~some, wanted & ~every, text & ~some))
    return found


def _reached(flow: Flow, done: dict[Step, list[Event]], start: Step, written: int) -> dict[Step, _Written]:
    """Of each step behind `start`: what is written before it."""
    before: dict[Step, _Written] = {}
    todo = [(start, (written, written))]
    while todo:
        step, (every, some) = todo.pop()
        for edge in step.next:
            if edge.to is start:
                continue
            known = before.get(edge.to)
            merged = (every, some) if known is None else (known[0] & every, known[1] | some)
            if merged != known:
                before[edge.to] = merged
                todo.append((edge.to, _after(merged, done.get(edge.to, ()))))
    return before


def _after(written: _Written, events: Sequence[Event]) -> _Written:
    bits = 0
    for event in events:
        bits |= 0 if event.to or event.returned else event.bits
    return written[0] | bits, written[1] | bits
