"""The stack is too small for a local object: 512 bytes, shared by all functions on the call path.

The object moves into a per-CPU array of one entry; the variable becomes a pointer to it:

    struct event *e = bpf_map_lookup_elem(&event_buffer, &zero);
    if (!e)
        return 0;
    __builtin_memset(e, 0, sizeof(*e));
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.editing.statements import fresh_name, local_name, statement_end
from ebpffix.fix import Edit, Span
from ebpffix.frontend import Node
from ebpffix.repair import place
from ebpffix.repair.model import Candidate, Effect, Refusal, Strategy

STRATEGY = Strategy("big-object", r"stack (?:size|depth)|stack limit", "Moves a big local object into a map", 10)
_LEAST = 64  # bytes: what is smaller is not worth a lookup
_MAP = b"""struct {
\t__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
\t__uint(max_entries, 1);
\t__type(key, __u32);
\t__type(value, %s);
} %s SEC(".maps");
"""


def propose(refusal: Refusal) -> Iterator[Candidate]:
    """The local structs, the biggest first."""
    unit = refusal.unit
    found = [
        (node, function)
        for function in unit.functions
        for node in function.find("VAR_DECL")
        if node.type.is_record and node.type.size >= _LEAST and node.is_local
    ]
    for node, function in sorted(found, key=lambda pair: -pair[0].type.size):
        if edits := _moved(refusal, node, function):
            says = f"{node.name}, {node.type.size} bytes, lies in a per-CPU map"
            yield Candidate(tuple(edits), Effect.EXACT, says, Span(node.path, node.start, node.end))


def _moved(refusal: Refusal, node: Node, function: Node) -> list[Edit] | None:
    unit, statement = refusal.unit, node.statement
    kind = re.match(rb"(?:const\s+)?((?:struct|union)\s+\w+|\w+)\s+%s\b" % node.name.encode(), node.text)
    value = node.initialiser
    zeroed = value is not None and re.fullmatch(rb"\{\s*0?\s*\}", value.text) is not None
    alone = [c for c in statement.children if c.kind == "VAR_DECL"] == [node]
    action = place.leave(unit, node)
    if kind is None or action is None or not alone or (value is not None and not zeroed):
        return None
    name = node.name.encode()
    map_name = fresh_name(unit, node, name + b"_buffer")
    defined = _defined(refusal, function, _MAP % (kind[1], map_name))
    zero = local_name(unit, function, b"zero", ())
    if defined is None or not unit.editable(statement.path, statement.start, statement.end):
        return None
    lines = [
        b"__u32 " + zero + b" = 0;",
        kind[1] + b" *" + name + b" = bpf_map_lookup_elem(&" + map_name + b", &" + zero + b");",
        b"if (!" + name + b")",
        place.step(unit, node) + action,
        *([b"__builtin_memset(" + name + b", 0, sizeof(*" + name + b"));"] if zeroed else []),
    ]
    source = unit.source_of(node)
    glue = source.newline + source.indent(statement.start)
    edits = [defined, Edit(node.path, statement.start, statement_end(unit, statement), glue.join(lines))]
    used = _uses(refusal, node, function)
    return [*edits, *used] if used is not None else None


def _defined(refusal: Refusal, function: Node, text: bytes) -> Edit | None:
    """The map in front of the function that uses it, behind what its type is made of."""
    source, body = refusal.unit.source_of(function), function.body
    if body is None:
        return None
    end = max(source.code.rfind(b"}", 0, body.start), source.code.rfind(b";", 0, body.start))
    at = source.line_end(end) if end >= 0 else 0
    step = place.step(refusal.unit, function)
    lines = text.replace(b"\t", step).splitlines()
    return Edit(function.path, at, at, source.newline.join([b"", *lines, b""]))


def _uses(refusal: Refusal, node: Node, function: Node) -> list[Edit] | None:
    """Every use of the object through the pointer; None where one is written in a macro."""
    unit, edits = refusal.unit, []
    for use in function.find("DECL_REF_EXPR"):
        if use.decl != node.decl:
            continue
        if not unit.editable(use.path, use.start, use.end):
            return None
        outer = use.outer
        code = unit.source_of(use).code
        if outer is not None and outer.kind == "MEMBER_REF_EXPR" and not outer.arrow:
            dot = code.index(b".", use.end)
            edits.append(Edit(use.path, use.end, dot + 1, b"->"))
        elif outer is not None and outer.kind == "UNARY_OPERATOR" and outer.operator == "&":
            edits.append(Edit(use.path, outer.start, use.start, b""))
        else:
            edits.append(Edit(use.path, use.start, use.start, b"*"))
    return list(dict.fromkeys(edits))
