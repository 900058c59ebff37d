"""A packet pointer passes through a 32-bit variable, and is a plain number afterwards.

`__u32 start = ctx->data;` and what is derived from it become `unsigned long`, so that the pointer stays one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.fix import Edit, Span
from ebpffix.frontend import Node
from ebpffix.repair import locate
from ebpffix.repair.model import Candidate, Effect, Refusal, Strategy

STRATEGY = Strategy(
    "truncated-pointer",
    r"pointer arithmetic with|32-bit pointer arithmetic|invalid mem access '(?:scalar|inv)'|partial copy of pointer",
    "Gives a pointer a variable that is wide enough",
    6,
)
_FROM_CONTEXT = re.compile(rb"->\s*data(?:_end|_meta)?\b")
_NARROW = re.compile(rb"(?:const\s+)?(?:unsigned(?:\s+int)?|int|(?:__)?[us]32|uint32_t)(?=\s+\w)")


def propose(refusal: Refusal) -> Iterator[Candidate]:
    """All 32-bit variables of the function that hold packet addresses, at once."""
    unit = refusal.unit
    statement = locate.statement_at(unit, refusal.step)
    function = statement.function if statement is not None else None
    if function is None:
        return
    held: set[int] = set()
    found: list[Node] = []
    for node in function.find("VAR_DECL"):
        value = node.initialiser
        if value is None or node.type.size != 4:
            continue
        derived = any(n.kind == "DECL_REF_EXPR" and n.decl in held for n in value.walk())
        if derived or _FROM_CONTEXT.search(value.text):
            held.add(node.decl)
            found.append(node)
    edits = []
    for node in found:
        match = _NARROW.match(node.text)
        if match and unit.editable(node.path, node.start, node.start + match.end()):
            edits.append(Edit(node.path, node.start, node.start + match.end(), b"unsigned long"))
    if edits:
        says = f"{', '.join(n.name for n in found)} hold{'s' * (len(found) == 1)} a pointer, in 64 bits"
        yield Candidate(tuple(edits), Effect.EXACT, says, Span(found[0].path, found[0].start, found[0].end))
