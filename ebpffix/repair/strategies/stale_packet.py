"""A packet pointer from before a helper that moves the packet.

Behind `bpf_skb_pull_data`, `bpf_skb_store_bytes`, `bpf_xdp_adjust_head` and their like every packet pointer is a plain
number. Behind the call they are read again from the context, what is used is derived again, and checked again:

    data = (void *)(long)skb->data;
    data_end = (void *)(long)skb->data_end;
    ip = data + sizeof(struct ethhdr);
    if ((void *)(ip + 1) > data_end)
        return TC_ACT_OK;

Where the helper moved the head, another layout may be meant: that is only suggested.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.analysis.provenance import pointer
from ebpffix.fix import Span
from ebpffix.frontend import Node
from ebpffix.repair import locate, packet, place
from ebpffix.repair.model import Candidate, Effect, Refusal, Strategy

STRATEGY = Strategy(
    "stale-packet",
    r"invalid mem access '(?:scalar|inv)|type=(?:scalar|inv)",
    "Reads the packet's pointers again behind a helper that moves it",
    5,
)
_LAYOUT = re.compile(r"adjust|change_head|change_proto|vlan|encap")


def propose(refusal: Refusal) -> Iterator[Candidate]:
    """Reload and check behind the call that moved the packet."""
    unit, trace = refusal.unit, refusal.trace
    use = locate.statement_at(unit, refusal.step)
    position = trace.moved_by(refusal.registers[0]) if refusal.registers else None
    if use is None or position is None or (function := use.function) is None:
        return
    name = trace.steps[position].call
    moved = _statement(refusal, locate.call_at(unit, trace.steps[position], name), function)
    if moved is None:
        return
    nodes = locate.expressions(unit, refusal.step, *packet.ACCESS, "CALL_EXPR")
    for variable in _pointers(nodes):
        if not (lines := _derived(function, variable, moved)):
            continue
        end = packet.end_of(unit, use)
        if end and (again := _definition(function, end, moved)):
            lines.insert(1, again)
        action = place.leave(unit, use)
        if end is None or action is None:
            continue
        past = b"(void *)(" + variable + b" + 1)"
        check = [b"if (" + past + b" > " + end + b")", place.step(unit, use) + action]
        edits = place.after(unit, moved, [*lines, *check])
        if edits:
            effect = Effect.CHANGING if _LAYOUT.search(name) else Effect.EXACT
            says = f"the packet is looked at again behind {name}(); where it is too short then: `{action.decode()}`"
            yield Candidate(tuple(edits), effect, says, Span(moved.path, moved.start, moved.end))


def _statement(refusal: Refusal, call: Node | None, function: Node) -> Node | None:
    """The statement of a function that makes the call, itself or through another function."""
    while call is not None:
        if call.function is not None and call.function.decl == function.decl:
            return place.standing(call.statement)
        around = call.function
        callers = refusal.unit.mentions(around) if around is not None else []
        call = next((c.outer for c in callers if c.outer is not None and c.outer.kind == "CALL_EXPR"), None)
    return None


def _pointers(nodes: list[Node]) -> list[bytes]:
    """The local pointers that expressions go through, or give to a helper."""
    found: dict[bytes, None] = {}
    for node in nodes:
        for each in node.arguments if node.kind == "CALL_EXPR" else [pointer(node)]:
            name = each.uncast if each is not None else None
            if name is not None and name.kind == "DECL_REF_EXPR" and name.type.is_pointer:
                found[name.text] = None
    return list(found)


def _derived(function: Node, variable: bytes, moved: Node) -> list[bytes]:
    """The assignments that make a pointer anew, the first from the context; none if it does not come from there."""
    lines: list[bytes] = []
    todo, seen = variable, set[bytes]()
    while todo not in seen:
        seen.add(todo)
        line = _definition(function, todo, moved)
        if line is None:
            return []
        lines.insert(0, line)
        if re.search(rb"->\s*data\b", line):
            return lines
        names = re.findall(rb"[A-Za-z_]\w*", line.partition(b"=")[2])
        locals_ = {n.name.encode() for n in function.find("VAR_DECL") if n.type.is_pointer}
        todo = next((n for n in names if n in locals_ and n not in seen), todo)
    return []


def _definition(function: Node, variable: bytes, moved: Node) -> bytes | None:
    """The last assignment to a variable in front of a statement, as a statement of its own."""
    value: bytes | None = None
    for node in function.find("VAR_DECL", "BINARY_OPERATOR"):
        if node.start >= moved.start:
            break
        if node.kind == "VAR_DECL" and node.name.encode() == variable and b"=" in node.text and node.children:
            value = node.children[-1].text
        elif node.operator == "=" and node.children[0].text == variable:
            value = node.children[1].text
    return variable + b" = " + value + b";" if value else None
