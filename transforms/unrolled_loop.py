"""Leave a bounded loop a loop.

What it does: removes `#pragma unroll` (and `#pragma clang loop unroll(full)`) in front of a loop that ends after a
number of rounds that stands in the source.

Why: up to Linux 5.2 the verifier took no loops at all, so they were written out by the compiler: a program grew with
each round, and the compiler may refuse ("loop not unrolled"). Since then a loop whose end the verifier can see is fine,
the program is smaller, and its log is about one body.

Since: Linux 5.3; any libbpf and clang. Where the target kernel is older the pragma stays. From 6.4 on `bpf_for` makes
loops of any length that the verifier goes through once.

Suggested: the verifier still walks through each round, and in a loop it knows less of what was a constant before. See
what `--verify` says.

Left alone: a loop whose end the source does not state, that changes its counter, or that is unrolled by fewer rounds
than it has; one in which the counter chooses a member of the program's context or stands in a CO-RE read, where it must
be a constant; `while` loops; a pragma out of a macro.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.fix import LIBBPF, Edit, Fix, Safety
from ebpffix.frontend import Node, Unit
from ebpffix.transform import Transform

TRANSFORM = Transform(
    name="unrolled-loop",
    pattern=0,
    group="modernise",
    dialects=(LIBBPF,),
    triggers=(rb"#\s*pragma\s+(?:clang\s+loop\s+)?unroll\b",),
    summary="loop that is unrolled for kernels before 5.3",
    imperative="leave bounded loops to the verifier",
    kernel="from 5.3 on",
    shape="`#pragma unroll` over a bounded loop",
    suggested="the loop",
)

_SINCE, _BPF_FOR = (5, 3), (6, 4)
_PRAGMA = re.compile(
    rb"#[ \t]*pragma[ \t]+(?:clang[ \t]+loop[ \t]+unroll[ \t]*\([ \t]*(?:full|enable)[ \t]*\)"
    rb"|unroll(?:[ \t]*\(?[ \t]*(\d+)[ \t]*\)?)?)[ \t]*(?:\r?\n|\Z)"
)
_REASON = "the verifier knows less of what the counter was before; see whether the program still loads"


def find(unit: Unit) -> Iterator[Fix]:
    if unit.target_kernel < _SINCE:
        return
    for function in unit.functions:
        for marked in function.find("UNEXPOSED_STMT"):
            loop = next((c for c in marked.children if c.kind == "FOR_STMT"), None)
            if loop is not None and marked.path == loop.path:
                yield from _of_loop(unit, function, marked, loop)


def _of_loop(unit: Unit, function: Node, marked: Node, loop: Node) -> Iterator[Fix]:
    source = unit.source_of(marked)
    line = source.line_start(marked.start)
    pragma = _PRAGMA.match(source.data, marked.start)
    if pragma is None or source.data[line : marked.start].strip() or source.data[pragma.end() : loop.start].strip():
        return
    rounds, counter = _rounds(loop)
    if rounds == 0 or (pragma[1] and int(pragma[1]) < rounds) or _must_be_constant(unit, function, loop, counter):
        return
    message = f"the loop of {rounds} rounds need not be unrolled"
    if unit.target_kernel >= _BPF_FOR:
        message += "; for a long one there is `bpf_for`"
    edit = Edit(marked.path, line, pragma.end(), b"")
    yield Fix(loop, message, Safety.SUGGESTED, [edit], _REASON)


def _rounds(loop: Node) -> tuple[int, int]:
    """How often a loop goes round at most, and its counter's `Node.decl`; (0, 0) where the source does not say."""
    parts = loop.operands
    if len(parts) != 4 or parts[1].kind != "BINARY_OPERATOR":
        return 0, 0
    start, condition, step, body = parts
    counter, first = _start(start)
    left, right = condition.operands
    by, last, compare = _step(step, counter), right.constant, condition.operator
    if not counter or left.decl != counter or first is None or last is None or not by:
        return 0, 0
    if any(n.decl == counter for node in body.walk() for n in _written(node)):
        return 0, 0
    if abs(last) >= 1 << (8 * left.type.size - 1):  # the counter would begin again before it is there
        return 0, 0
    way = last + {"<=": 1, ">=": -1}.get(compare, 0) - first
    ends = {"<": by > 0, "<=": by > 0, ">": by < 0, ">=": by < 0, "!=": way % by == 0}
    return (-(-way // by), counter) if ends.get(compare) and way * by > 0 else (0, 0)


def _start(start: Node) -> tuple[int, int | None]:
    """What `int i = 0` or `i = 0` sets, and to which number."""
    declared = [n for n in start.walk() if n.kind == "VAR_DECL"]
    made = (declared[0] if len(declared) == 1 else start).assignment
    return (made[0].decl, made[1].constant) if made is not None else (0, None)


def _step(step: Node, counter: int) -> int:
    """By how much the counter goes on each round; 0 where that is not known."""
    target = step.written
    if target is None or target.decl != counter:
        return 0
    if step.operator.strip("post") in ("++", "--"):
        return 1 if "+" in step.operator else -1
    amount = step.children[1].constant if step.operator in ("+=", "-=") else None
    return 0 if amount is None else amount if step.operator == "+=" else -amount


def _written(node: Node) -> Iterator[Node]:
    """What a node writes, or hands out the address of."""
    for target in (node.written, node.address_of if node.kind == "UNARY_OPERATOR" else None):
        if target is not None:
            yield target


def _must_be_constant(unit: Unit, function: Node, loop: Node, counter: int) -> bool:
    """Whether the counter stands where only a constant will do."""
    context = next((p.decl for p in function.parameters), 0)
    for node in loop.find("DECL_REF_EXPR"):
        if node.decl != counter:
            continue
        for outer in node.ancestors:
            if outer is loop:
                break
            if outer.kind == "ARRAY_SUBSCRIPT_EXPR" and any(n.decl == context for n in outer.children[0].walk()):
                return True
            if outer.kind == "CALL_EXPR" and ("core_" in outer.name or "preserve_access" in outer.name):
                return True
        if any("CORE_READ" in m.name for m in unit.macros_around(node.path, node.start, node.end)):
            return True
    return any(n.kind == "ASM_STMT" or "builtin_constant_p" in n.name for n in loop.walk())
