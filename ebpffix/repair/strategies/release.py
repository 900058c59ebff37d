"""Something that was acquired is still held on a path to the end.

The call that acquired it is named by the verifier; what it returned is given back before the return of the path that
leaks: a socket by `bpf_sk_release`, a reservation of a ring buffer by `bpf_ringbuf_discard`, a lock by its unlock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.fix import Span
from ebpffix.frontend import Node
from ebpffix.kernel.helpers import GIVEN_BACK_TO
from ebpffix.repair import locate, place
from ebpffix.repair.model import Candidate, Effect, Refusal, Strategy

STRATEGY = Strategy(
    "release",
    r"Unreleased reference|reference leak|reference has not been|lock-ed region|missing \w*unlock|spin_lock|"
    r"rcu_read_lock-ed",
    "Gives back what is held before a return",
    10,
)
_LOCKS = {"bpf_spin_lock": "bpf_spin_unlock", "bpf_rcu_read_lock": "bpf_rcu_read_unlock"}
_ALLOCATED = re.compile(r"alloc_insn=(\d+)")


def propose(refusal: Refusal) -> Iterator[Candidate]:
    """The release in front of each return behind the acquiring call, those at the path's end first."""
    found = _acquired(refusal)
    if found is None:
        return
    call, given = found
    function = call.function
    if function is None or not given:
        return
    text, variable = given
    for node in _returns(refusal, function, call):
        mentions = any(n.kind == "DECL_REF_EXPR" and n.name.encode() == variable for n in node.walk())
        if mentions or _is_null_there(node, variable):
            continue
        step = place.step(refusal.unit, node)
        for lines in ([text], [b"if (" + variable + b")", step + text]):
            if len(lines) == 2 and b"&" + variable in text:
                continue  # no pointer, so it is never NULL
            if edits := place.before(refusal.unit, node, lines):
                says = f"{text.decode(errors='replace')} before this return"
                yield Candidate(tuple(edits), Effect.EXACT, says, Span(call.path, call.start, call.end))


def _acquired(refusal: Refusal) -> tuple[Node, tuple[bytes, bytes] | None] | None:
    """The acquiring call, with the statement that releases and the variable that it names."""
    trace = refusal.trace
    match = _ALLOCATED.search(refusal.message)
    position = trace.at(int(match[1])) if match else None
    if position is None:
        known = (n for n in range(len(trace.steps) - 1, -1, -1) if trace.steps[n].call in _LOCKS)
        position = next(known, None)
    if position is None:
        return None
    name = trace.steps[position].call
    call = locate.call_at(refusal.unit, trace.steps[position], name)
    if call is None:
        return None
    if name in _LOCKS:
        argument = call.arguments[0].text if call.arguments else b""
        root = re.search(rb"[A-Za-z_]\w*", argument)
        return call, (_LOCKS[name].encode() + b"(" + argument + b");", b"&" + root[0] if root else b"")
    release = GIVEN_BACK_TO.get(name, "").encode()
    flags = b", 0" if b"ringbuf" in release else b""
    if name.endswith("_dynptr"):
        argument = call.arguments[-1].text
        return call, (release + b"(" + argument + flags + b");", argument.lstrip(b"& "))
    variable = _variable(call)
    return call, (release + b"(" + variable + flags + b");", variable) if release and variable else None


def _variable(call: Node) -> bytes:
    outer = call.outer
    while outer is not None and outer.kind == "CSTYLE_CAST_EXPR":
        outer = outer.outer
    if outer is not None and outer.kind == "VAR_DECL":
        return outer.name.encode()
    if outer is not None and outer.kind == "BINARY_OPERATOR" and outer.operator == "=":
        return outer.children[0].text
    return b""


def _returns(refusal: Refusal, function: Node, call: Node) -> list[Node]:
    """The returns behind a call; those that the path's last steps stand in first, the nearest to the call first."""
    unit, trace = refusal.unit, refusal.trace
    every = [n for n in function.find("RETURN_STMT") if n.start > call.start]
    last: list[Node] = []
    for step in reversed(trace.steps[-8:]):
        statement = locate.statement_at(unit, step)
        if statement is not None:
            last += [n for n in every if statement.start <= n.start < statement.end and n not in last]
    return [*last, *(n for n in every if n not in last)]


def _is_null_there(node: Node, variable: bytes) -> bool:
    """Whether a return stands under a test that the variable is NULL."""
    tests = re.compile(rb"!\s*\(?%s\b(?!\s*(?:->|\[))|\b%s\s*==\s*(?:NULL|0)" % (variable, variable))
    for above in node.ancestors:
        body = above.body if above.kind == "IF_STMT" else None
        if body is not None and body.start <= node.start < body.end and tests.search(above.children[0].text):
            return True
    return False
