"""Return probes (kretprobe, uretprobe) of a program, and where they read registers that held arguments on entry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ebpffix.analysis.programs import By, Kind, Program, Role, context, programs
from ebpffix.editing.settle import NoEdit
from ebpffix.editing.statements import delete_statement, statement_end
from ebpffix.fix import BCC, Edit
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.machine import ARGUMENTS, SAVED
from ebpffix.kernel.program_types import is_go

from .signature import Use
from .stash import body_of, head

RETURN_NAMES = frozenset("ret retval retv rc rv err error res result ret_val retcode status".split())

_CASTS = re.compile(rb"(?:\(\s*(?:const\s+)?(?:(?:struct|union|enum)\s+)?\w+(?:\s+\w+)*[\s*]*\)\s*)*\Z")
# Up to the value: the declaration of a variable and its name.
_DECLARED = re.compile(rb"([^=\n]*?\b(\w+))\s*=\s*(?:\([^()]*\)\s*)*")
_PURPOSE = re.compile(
    rb"(?i)on purpose|deliberate|intention|callee[- ]saved|still (?:has|holds|in)\b|survive|preserved"
)
_WRAPPER = re.compile(r"\A(?:__\w+?_)?(?:sys|compat_sys)_")


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


def return_probes(unit: Unit) -> Iterator[Program]:
    """The return probes of the files of the run, those of Go binaries aside."""
    for program in programs(unit):
        is_probe = program.kind in (Kind.FUNCTION, Kind.USER, Kind.SYSTEM_CALL)
        if unit.dialect == BCC and program.by is By.HOST:
            # Attached by the host program: it reads the return value, so it is a return probe.
            is_return = "pt_regs" in context(program.function) and _asks_for_result(unit, program)
        else:
            is_return = program.role is Role.RETURN
        if is_probe and is_return and not (program.kind is Kind.USER and is_go(program.target)):
            yield program


def _asks_for_result(unit: Unit, program: Program) -> bool:
    body = body_of(program.function)
    return any(body.start < m.start < body.end for m in unit.macros("PT_REGS_RC", path=body.path))


def is_syscall(program: Program) -> bool:
    """Whether the probed function is a system call, or its wrapper, whose arguments lie elsewhere."""
    return program.kind is Kind.SYSTEM_CALL or _WRAPPER.match(program.target) is not None


def entry_of(unit: Unit, program: Program) -> Node | None:
    """The entry probe of the same function, if the program has exactly one."""
    if unit.dialect == BCC:
        found = [f for f in unit.functions if f.name == f"kprobe__{program.target}"]
    else:
        section = entry_section(program)
        found = [p.function for p in programs(unit) if p.section == section]
    return found[0] if len(found) == 1 else None


def entry_section(program: Program) -> str:
    return program.section.replace("ret", "", 1)


def is_return_value(parameter: bytes) -> bool:
    """Whether a parameter's name says that it is the return value."""
    name = re.search(rb"(\w+)\s*\Z", parameter)
    return name is not None and name[1].decode() in RETURN_NAMES


# -- reads


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


# -- what a read is for


def casts_before(unit: Unit, read: Read) -> int:
    """The offset of the first of the casts that stand right before a read."""
    # `\Z` means the end of what is searched.
    match = _CASTS.search(unit.sources[read.path].code, body_of(read.function).start, read.start)
    return match.start() if match else read.start


def use_of(unit: Unit, read: Read) -> Use:
    """The type and the name that the program gives to what it reads."""
    if read.parameter is not None:
        return Use(read.parameter.type.spelling, read.parameter.name)
    code, start = unit.sources[read.path].code, casts_before(unit, read)
    target = re.compile(rb"(?<![\w.>])(\w+)\s*=\s*\Z").search(
        code, max(body_of(read.function).start, start - 200), start
    )
    if target:
        name = target[1].decode()
        variable = next((v for v in read.function.find("VAR_DECL") if v.name == name), None)
        if variable is not None:
            return Use(variable.type.spelling, name)
    cast = re.compile(rb"\(\s*(.*?)\s*\)").match(code, start, read.start)
    return Use(re.sub(r"\s*\*", " *", cast[1].decode(), count=1) if cast else "")


def declaration_of(unit: Unit, read: Read) -> tuple[bytes, bytes, Edit] | None:
    """Where a read is all that a variable is declared with, on lines of its own: the variable's name, its declaration,
    and the edit that takes it out."""
    source = unit.sources[read.path]
    statements = (s for s in read.function.find("DECL_STMT") if s.start <= read.start < statement_end(unit, s))
    statement = next(statements, None)
    if statement is None:
        return None
    end = statement_end(unit, statement)
    opening = _DECLARED.fullmatch(source.data, statement.start, read.start)
    variables = [v.name.encode() for v in read.function.find("VAR_DECL")]
    alone = (
        sum(c.kind == "VAR_DECL" for c in statement.children) == 1
        and not source.data[end : source.line_end(end)].strip()
    )
    if not alone or not opening or variables.count(opening[2]) != 1 or b"static" in opening[1]:
        return None
    if source.code[read.end : end].strip() != b";":
        return None
    try:
        return opening[2], opening[1], delete_statement(unit, statement)
    except NoEdit:
        return None


def on_purpose(unit: Unit, read: Read) -> bool:
    """Whether a comment on the line, right above it or above the function says that the read is meant as it is."""
    source, body = unit.sources[read.path], body_of(read.function)
    line, first = source.line(read.start), source.line(head(unit, read.function))
    for start, end in source.comments:
        if _PURPOSE.search(source.data, start, end):
            beside = source.line(start) <= line <= source.line(end - 1) + 1
            if beside or (source.line(start) >= first and end <= body.start):
                return True
    return False
