"""The verifier cannot show that a loop ends, or walks it for too long.

The loop gets a constant limit, tested on every round:

    for (int i = 0; i < 256 && (p + 1 <= end); i++)

A run that went on for longer ends there: that changes what it does, so it is only suggested. The greatest of a few
limits that the verifier takes is kept.
"""

from __future__ import annotations

from collections.abc import Iterator

from ebpffix.editing.statements import local_name
from ebpffix.fix import Edit, Span
from ebpffix.frontend import Node
from ebpffix.repair import locate, place
from ebpffix.repair.model import Candidate, Effect, Refusal, Strategy

STRATEGY = Strategy(
    "loop-bound",
    r"infinite loop|back-edge|too large|too complex|loop is not|too many states",
    "Gives a loop a constant limit",
    30,
)
_LIMITS = (1024, 256, 64, 16)
_STEPS = 64  # of the path's end whose lines may be the loop's


def propose(refusal: Refusal) -> Iterator[Candidate]:
    """A limit for each loop that the end of the path runs in, the innermost first."""
    for loop in _loops(refusal):
        for limit in _LIMITS:
            edits = _while(refusal, loop, limit) if loop.kind == "WHILE_STMT" else _for(refusal, loop, limit)
            if edits:
                says = f"the loop ends after {limit} rounds"
                at = Span(loop.path, loop.start, loop.start + 3)
                yield Candidate(tuple(edits), Effect.CHANGING, says, at, fallback=limit != _LIMITS[0])


def _loops(refusal: Refusal) -> list[Node]:
    found: list[Node] = []
    for step in reversed(refusal.trace.steps[-_STEPS:]):
        statement = locate.statement_at(refusal.unit, step)
        for node in (statement, *statement.ancestors) if statement is not None else ():
            if node.kind in ("FOR_STMT", "WHILE_STMT") and all(node.start != n.start for n in found):
                found.append(node)
    return found


def _while(refusal: Refusal, loop: Node, limit: int) -> list[Edit] | None:
    unit, condition = refusal.unit, loop.children[0]
    body, function = loop.body, loop.function
    if body is None or function is None or not unit.editable(loop.path, loop.start, body.start):
        return None
    source = unit.source_of(loop)
    name = local_name(unit, function, b"i", ())
    text = condition.text if condition.constant is None else b""
    if not text and condition.constant is None:
        return None
    head = b"for (int %s = 0; %s < %d%s; %s++)" % (name, name, limit, b" && (" + text + b")" if text else b"", name)
    end = source.code.rfind(b")", loop.start, body.start) + 1
    return [Edit(loop.path, loop.start, end, head)] if end > 0 else None


def _for(refusal: Refusal, loop: Node, limit: int) -> list[Edit] | None:
    """A counter of its own, tested beside the condition that is there."""
    unit, function = refusal.unit, loop.function
    conditions = [n for n in loop.children[:-1] if n.kind == "BINARY_OPERATOR" and n.operator in ("<", "<=", "!=", ">")]
    if function is None or len(conditions) != 1:
        return None
    condition = conditions[0]
    if not unit.editable(condition.path, condition.start, condition.end):
        return None
    name = local_name(unit, function, b"rounds", ())
    counter = place.before(unit, loop, [b"int " + name + b" = 0;"])
    text = b" && " + name + b"++ < %d" % limit
    return [*counter, Edit(condition.path, condition.end, condition.end, text)] if counter else None
