"""A pointer that may be NULL is used without a test.

A lookup or an allocation can fail; what it returned must be tested on every path to its use. The test goes behind the
call, or behind the assignment that reaches the use:

    v = bpf_map_lookup_elem(&map, &key);
    if (!v)
        return 0;

Where nothing but the use happens in between, this leaves out only what would have read address 0. Where the use is one
statement among others, it alone can be skipped: `if (v) v->n++;`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ebpffix.editing.statements import in_block, statement_end
from ebpffix.fix import Edit, Span
from ebpffix.frontend import Node, Unit
from ebpffix.repair import locate, place
from ebpffix.repair.model import Candidate, Effect, Refusal, Strategy

STRATEGY = Strategy(
    "null-check",
    r"_or_null'|_or_null expected|or_null prohibited|[Pp]ossibly NULL|null-check it first|NULL pointer",
    "Tests what a lookup or an allocation returned",
    10,
)


def propose(refusal: Refusal) -> Iterator[Candidate]:
    """A test behind the call that made the pointer, then one around the use."""
    unit, trace = refusal.unit, refusal.trace
    for register in refusal.registers[:1]:
        for position in trace.chain(register):
            step = trace.steps[position]
            if step.call and (call := locate.call_at(unit, step, step.call)):
                yield from _behind(refusal, call)
                return
    yield from _parameters(refusal)


def _behind(refusal: Refusal, call: Node) -> Iterator[Candidate]:
    unit = refusal.unit
    use = locate.statement_at(unit, refusal.step)
    for name, statement in _assigned(unit, call):
        action = place.leave(unit, statement)
        edits = place.guard_behind(unit, statement, b"!" + name, action) if action else None
        if edits and action:
            exact = use is not None and _follows(statement, use)
            text = name.decode(errors="replace")
            says = f"where {text} is NULL, `{action.decode()}`"
            at = Span(call.path, call.start, call.end)
            yield Candidate(tuple(edits), Effect.EXACT if exact else Effect.EARLY, says, at)
        if use is not None and use is not statement:
            yield from _around(unit, use, name)


def _assigned(unit: Unit, call: Node) -> Iterator[tuple[bytes, Node]]:
    """What the result of a call becomes: the variable's name and the statement that sets it; of a function that returns
    it, what its callers set."""
    outer = call.outer
    while outer is not None and outer.kind == "CSTYLE_CAST_EXPR":
        outer = outer.outer
    if outer is None:
        return
    if outer.kind == "VAR_DECL":
        yield outer.name.encode(), outer.statement
    elif outer.kind == "BINARY_OPERATOR" and outer.operator == "=":
        yield outer.children[0].text, outer.statement
    elif outer.kind == "RETURN_STMT" and (function := outer.function) is not None:
        for caller in unit.mentions(function):
            if caller.outer is not None and caller.outer.kind == "CALL_EXPR":
                yield from _assigned(unit, caller.outer)


def _follows(statement: Node, use: Node) -> bool:
    """Whether the use is the next statement of the block: then nothing else is skipped by leaving."""
    block = statement.parent
    if block is None or use.parent is not block:
        return False
    return use in block.children and block.children.index(use) == block.children.index(statement) + 1


def _around(unit: Unit, use: Node, name: bytes) -> Iterator[Candidate]:
    """The use alone skipped."""
    source = unit.source_of(use)
    end = statement_end(unit, use)
    if use.kind in ("DECL_STMT", "RETURN_STMT", "IF_STMT") or not in_block(use):
        return
    if source.code.count(b"\n", use.start, end) or not unit.editable(use.path, use.start, end):
        return
    step = place.step(unit, use)
    text = b"if (" + name + b")" + source.newline + source.indent(use.start) + step
    says = f"where {name.decode(errors='replace')} is NULL, this statement is skipped"
    yield Candidate((Edit(use.path, use.start, use.start, text),), Effect.EXACT, says, Span(use.path, use.start, end))


def _parameters(refusal: Refusal) -> Iterator[Candidate]:
    """A parameter of a function that is verified by itself may be NULL."""
    unit = refusal.unit
    use = locate.statement_at(unit, refusal.step)
    function = use.function if use is not None else None
    if use is None or function is None or function.body is None or not function.body.children:
        return
    for parameter in function.find("PARM_DECL"):
        used = any(n.kind == "DECL_REF_EXPR" and n.decl == parameter.decl for n in locate.own(use))
        action = place.leave(unit, use)
        if used and action and (edits := place.guard(unit, use, b"!" + parameter.name.encode(), action)):
            says = f"where {parameter.name} is NULL, `{action.decode()}`"
            yield Candidate(tuple(edits), Effect.EXACT, says, Span(use.path, use.start, use.end))
