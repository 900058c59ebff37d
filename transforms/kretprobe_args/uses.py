"""What a program does with what it reads: as what it takes it, where it puts it, and whether it means it."""

from __future__ import annotations

import re

from ebpffix.editing.settle import NoEdit
from ebpffix.editing.statements import delete_statement, statement_end
from ebpffix.fix import Edit
from ebpffix.frontend import Unit

from .opening import body_of, head
from .reads import Read
from .signature import Use

_CASTS = re.compile(rb"(?:\(\s*(?:const\s+)?(?:(?:struct|union|enum)\s+)?\w+(?:\s+\w+)*[\s*]*\)\s*)*\Z")
# Up to the value: the declaration of a variable and its name.
_DECLARED = re.compile(rb"([^=\n]*?\b(\w+))\s*=\s*(?:\([^()]*\)\s*)*")
_PURPOSE = re.compile(
    rb"(?i)on purpose|deliberate|intention|callee[- ]saved|still (?:has|holds|in)\b|survive|preserved"
)


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
