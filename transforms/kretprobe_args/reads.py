"""Where a return probe reads what held an argument on entry: parameters behind its context, and registers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ebpffix.analysis.programs import Program
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.machine import ARGUMENTS, SAVED

from .opening import body_of

RETURN_NAMES = frozenset("ret retval retv rc rv err error res result ret_val retcode status".split())


@dataclass(frozen=True)
class Read:
    """An argument's register, read: the bytes `start` to `end` of `function`, or of its whole parameter where
    `parameter` is one. `index` counts arguments from 1; 0 for a register that holds none."""

    function: Node
    start: int
    end: int
    index: int
    written: str  # as it stands there
    parameter: Node | None = None
    hidden: bool = False  # in the body of a macro

    @property
    def path(self) -> Path:
        return body_of(self.function).path


def reads_of(unit: Unit, program: Program) -> list[Read]:
    """What a return probe reads, itself and in the functions that it alone hands its context to."""
    found = [*parameter_reads(program), *register_reads(unit, program.function)]
    for _, helper in helper_calls(unit, program):
        if len(unit.mentions(helper)) == 1:
            found += register_reads(unit, helper)
    return found


def is_return_value(parameter: bytes) -> bool:
    """Whether a parameter's name says that it is the return value."""
    name = re.search(rb"(\w+)\s*\Z", parameter)
    return name is not None and name[1].decode() in RETURN_NAMES


def parameter_reads(program: Program) -> list[Read]:
    """The parameters of a return probe behind its context that it uses; the return value of BPF_KRETPROBE aside."""
    function, body = program.function, program.function.body
    parameters = function.parameters[1:]
    if program.macro is not None and "RETPROBE" in program.macro.name and parameters:
        named = [p for p in parameters if p.name in RETURN_NAMES]
        returned = named[0] if named else parameters[0] if len(parameters) == 1 else None
        parameters = [p for p in parameters if p is not returned]
    used = {n.decl for n in body.find("DECL_REF_EXPR")} if body is not None else set()
    return [
        Read(function, p.start, p.end, number, f"the parameter {p.name}", p)
        for number, p in enumerate(parameters, 1)
        if p.decl in used
    ]


def register_reads(unit: Unit, function: Node) -> list[Read]:
    """Where a function reads an argument's register through its pointer to struct pt_regs."""
    body = function.body
    contexts = _contexts(function)
    if body is None or not contexts:
        return []
    found = {(r.start, r.end): r for r in _written_reads(unit, function, [name for _, name in contexts])}
    decls = {decl for decl, _ in contexts}
    for node in body.find("MEMBER_REF_EXPR"):
        if node.name not in ARGUMENTS and node.name not in SAVED:
            continue
        owner = node.children[0].uncast if node.children else None
        if owner is None or owner.kind != "DECL_REF_EXPR" or owner.decl not in decls:
            continue
        if any(start <= node.start < end for start, end in found):
            continue  # what the macro there stands for
        text = node.text.decode("utf-8", "replace")
        index, hidden = ARGUMENTS.get(node.name, 0), not text.endswith(node.name)
        if hidden:
            around = unit.macros_around(node.path, node.start, node.start + 1)
            if not around or any(m.name.startswith("PT_REGS_") for m in around):
                continue
            text = unit.text(around[-1]).decode("utf-8", "replace")
        found[node.start, node.end] = Read(function, node.start, node.end, index, text, None, hidden)
    return [found[key] for key in sorted(found)]


def _written_reads(unit: Unit, function: Node, contexts: list[str]) -> Iterator[Read]:
    """The reads by macros that name the register. By text: libclang does not tell of a macro among the variable
    arguments of another."""
    body = body_of(function)
    code = unit.source_of(body).code
    for match in _reads_of(contexts).finditer(code, body.start, body.end):
        name = (match["register"] or b"").decode()
        index = int(match["number"]) if match["number"] else ARGUMENTS.get(name, 0)
        is_argument = match["number"] or name in ARGUMENTS or name in SAVED
        if (
            is_argument
            and not unit.in_directive(body.path, match.start())
            and not unit.inactive(body.path, match.start())
        ):
            yield Read(function, *match.span(), index, code[slice(*match.span())].decode("latin-1"))


def _reads_of(contexts: list[str]) -> re.Pattern[bytes]:
    names = "|".join(map(re.escape, contexts)).encode()
    context = rb"\(\s*(?:(?:%s)|\(\s*(?:%s)\s*\))\s*" % (names, names)
    return re.compile(
        rb"\bPT_REGS_PARM(?P<number>\d)(?:_CORE)?\s*" + context + rb"\)"
        rb"|\bBPF_(?:CORE|PROBE)_READ\s*" + context + rb",\s*(?P<register>\w+)\s*\)"
    )


def _contexts(function: Node) -> list[tuple[int, str]]:
    """The variables of a function that hold its pointer to the registers, as (Node.decl, name)."""
    first = next(iter(function.parameters), None)
    if first is None or "pt_regs" not in first.type.canonical.spelling:
        return []
    found = [(first.decl, first.name)]
    for variable in function.find("VAR_DECL"):
        value = variable.children[-1].uncast if variable.children else None
        if value is not None and value.kind == "DECL_REF_EXPR" and value.decl == first.decl:
            found.append((variable.decl, variable.name))
    return found


def helper_calls(unit: Unit, program: Program) -> Iterator[tuple[Node, Node]]:
    """The functions that a return probe hands its context to, as (call, definition)."""
    by_decl = {f.decl: f for f in unit.functions}
    contexts = {decl for decl, _ in _contexts(program.function)}
    seen: set[int] = set()
    for call in program.function.find("CALL_EXPR"):
        callee = call.callee
        definition = by_decl.get(callee.decl) if callee is not None and callee.kind == "DECL_REF_EXPR" else None
        first = call.arguments[0].uncast if call.arguments else None
        if definition is None or first is None or first.kind != "DECL_REF_EXPR" or first.decl not in contexts:
            continue
        if call.start not in seen:  # a macro's argument shows twice
            seen.add(call.start)
            yield call, definition
