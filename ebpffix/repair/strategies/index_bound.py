"""An index or an offset has no proven limit.

The value is tested right before it is used, in one variable, so that the compiler cannot test one copy and use another:

    if (i >= 16)
        return 0;
    count[i]++;

Only what would have been outside of the array leaves there.
"""

from __future__ import annotations

from collections.abc import Iterator

from ebpffix.editing.c import barrier
from ebpffix.editing.hoist import Place
from ebpffix.editing.hoist import place as evaluated
from ebpffix.fix import Edit, Span
from ebpffix.frontend import Node
from ebpffix.repair import locate, place, scalar
from ebpffix.repair.model import Candidate, Effect, Refusal, Strategy

STRATEGY = Strategy(
    "index-bound",
    r"outside of the (?:allowed memory|array|map)|unbounded memory access|min value is negative|variable-offset|"
    r"math between \w+ pointer and register|invalid access to map value|value .* makes \w+ pointer be out of bounds",
    "Tests an index before it is used",
    20,
)


def propose(refusal: Refusal) -> Iterator[Candidate]:
    """A test of each index that the refused value was made with, nearest first; then with a barrier."""
    done: set[tuple[int, bool]] = set()
    for kept in (False, True):
        for position in _steps(refusal):
            step = refusal.trace.steps[position]
            statement = locate.statement_at(refusal.unit, step)
            nodes = locate.expressions(refusal.unit, step, "ARRAY_SUBSCRIPT_EXPR", "BINARY_OPERATOR")
            for node, array, index in _indexed(nodes):
                if statement is None or (node.start, kept) in done:
                    continue
                done.add((node.start, kept))
                yield from _in_condition(refusal, statement, array, index)
                yield from _bounded(refusal, statement, node, array, index, kept=kept)


def _steps(refusal: Refusal) -> list[int]:
    """The step that was refused, and those that its value comes from."""
    trace = refusal.trace
    last = len(trace.steps) - 1
    return [last, *(p for r in refusal.registers[:1] for p in trace.chain(r))] if trace.steps else []


def _indexed(nodes: list[Node]) -> Iterator[tuple[Node, Node, Node]]:
    """`a[i]` and `a + i` as (the whole, array, index)."""
    for node in nodes:
        if node.kind == "ARRAY_SUBSCRIPT_EXPR":
            yield node, node.children[0], node.children[1]
        elif node.operator == "+":
            left, right = node.children
            yield (node, left, right) if left.type.is_pointer else (node, right, left)


def _in_condition(refusal: Refusal, statement: Node, array: Node, index: Node) -> Iterator[Candidate]:
    """The loop that counts the index ends at the array's end too."""
    unit, limit = refusal.unit, scalar.limit_of(refusal.unit, array)
    loop = next((n for n in statement.ancestors if n.kind in ("FOR_STMT", "WHILE_STMT")), None)
    if limit is None or loop is None or not scalar.is_variable(index):
        return
    name = index.uncast.text
    for node in locate.own(loop):
        counts = node.operator in ("<", "!=") and node.operands[0].uncast.text == name
        if counts and unit.editable(node.path, node.start, node.end):
            edit = Edit(node.path, node.end, node.end, b" && " + name + b" < " + limit[0])
            says = f"the loop ends at {limit[0].decode()}, the end of {array.bare.text.decode(errors='replace')}"
            yield Candidate((edit,), Effect.EXACT, says, Span(node.path, node.start, node.end))
            return


def _bounded(
    refusal: Refusal, statement: Node, node: Node, array: Node, index: Node, *, kept: bool
) -> Iterator[Candidate]:
    unit, limit = refusal.unit, scalar.limit_of(refusal.unit, array)
    if limit is None or index.constant is not None or statement.kind in ("FOR_STMT", "WHILE_STMT", "DO_STMT"):
        return
    target = place.standing(statement)
    made = scalar.held(unit, index, statement, b"index")
    if made is None:
        return
    condition = scalar.too_big(made.name, limit[0], made.unsigned)
    at = Span(node.path, node.start, node.end)
    exact = target is statement and evaluated(node, statement) is Place.ONCE
    lines = [*made.lines, *([barrier(made.name)] if kept else [])]
    for action in place.leaving(unit, target):
        guard = [b"if (" + condition + b")", place.step(unit, target) + action]
        if edits := place.before(unit, target, [*lines, *guard]):
            says = f"where {index.text.decode(errors='replace')} is not below {limit[0].decode()}: `{action.decode()}`"
            effect = Effect.EXACT if exact else Effect.EARLY
            yield Candidate((*edits, *made.edits), effect, says, at, fallback=kept)
