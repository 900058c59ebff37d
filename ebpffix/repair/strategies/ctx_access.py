"""A member of the context is read with another size, or from its middle.

The whole member is read, and the part taken from the value: `*(__u64 *)&skb->mark` becomes `skb->mark`,
`*(__u16 *)((char *)&ctx->m + 1)` becomes `(__u16)(ctx->m >> 8)`. Bytes that lie in the next member are not there any
more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.fix import Edit, Span
from ebpffix.repair import locate
from ebpffix.repair.model import Candidate, Effect, Refusal, Strategy

STRATEGY = Strategy("ctx-access", r"invalid bpf_context access", "Reads a member of the context whole", 10)
_PART = re.compile(
    rb"\*\s*\(\s*(?P<type>[\w ]+?)\s*\*\s*\)\s*"
    rb"(?:&\s*(?P<whole>\w+\s*->\s*\w+)"
    rb"|\(\s*\([\w ]+\*\s*\)\s*&\s*(?P<part>\w+\s*->\s*\w+)\s*\+\s*(?P<offset>\d+)\s*\))"
)


def propose(refusal: Refusal) -> Iterator[Candidate]:
    """The dereferences on the refused line that go through a cast of a member's address."""
    unit = refusal.unit
    for node in locate.expressions(unit, refusal.step, "UNARY_OPERATOR"):
        match = _PART.fullmatch(node.text) if node.operator == "*" else None
        if match is None or not unit.editable(node.path, node.start, node.end):
            continue
        if match["whole"]:
            text, says = match["whole"], f"reads {match['whole'].decode()} alone, and nothing behind it"
        else:
            shift = int(match["offset"]) * 8
            text = b"(%s)(%s >> %d)" % (match["type"], match["part"], shift)
            says = f"takes bits {shift} and up of {match['part'].decode()}"
        edit = Edit(node.path, node.start, node.end, text)
        yield Candidate((edit,), Effect.CHANGING, says, Span(node.path, node.start, node.end))
