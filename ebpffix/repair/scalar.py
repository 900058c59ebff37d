"""Bounds of numbers: how a limit is written for an expression, and a variable that holds it once."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ebpffix.editing.hoist import Place
from ebpffix.editing.hoist import place as evaluated
from ebpffix.editing.statements import local_name
from ebpffix.fix import Edit
from ebpffix.frontend import Node, Unit

_NAME = re.compile(rb"[A-Za-z_]\w*\Z")
_UNSIGNED = frozenset("UCHAR USHORT UINT ULONG ULONGLONG BOOL CHAR_U".split())


@dataclass(frozen=True)
class Held:
    """An expression in a variable: its name, what must stand in front of the statement for that, and the edits that
    put the name where the expression stood."""

    name: bytes
    lines: tuple[bytes, ...]
    edits: tuple[Edit, ...]
    unsigned: bool


def is_unsigned(node: Node) -> bool:
    return node.type.kind in _UNSIGNED


def is_variable(node: Node) -> bool:
    """Whether an expression is the name of a local variable or a parameter, so that what is tested is what is used."""
    bare = node.uncast
    if bare.kind != "DECL_REF_EXPR" or not _NAME.match(bare.text):
        return False
    target = bare.declaration
    return target is not None and target.kind in ("VAR_DECL", "PARM_DECL")


def held(unit: Unit, node: Node, statement: Node, wanted: bytes) -> Held | None:
    """The variable for an expression that a statement uses: itself where it is one, else a new one that takes its value
    in front of the statement. None where the value is another there."""
    bare = node.uncast
    if is_variable(node):
        return Held(bare.text, (), (), is_unsigned(bare))
    return copied(unit, node, statement, wanted)


def copied(unit: Unit, node: Node, statement: Node, wanted: bytes) -> Held | None:
    """A new variable of 64 bits without sign for an expression; None where the value is another in front of the
    statement."""
    function = statement.function
    if function is None or evaluated(node, statement) is Place.FIXED or not node.text:
        return None
    if not unit.editable(node.path, node.start, node.end):
        return None
    name = local_name(unit, function, wanted, ())
    line = b"__u64 " + name + b" = " + node.text + b";"
    return Held(name, (line,), (Edit(node.path, node.start, node.end, name),), True)


def too_big(name: bytes, limit: bytes, unsigned: bool) -> bytes:
    """The condition under which a value is no index below `limit`."""
    above = name + b" >= " + limit
    return above if unsigned else name + b" < 0 || " + above


def limit_of(unit: Unit, array: Node) -> tuple[bytes, int] | None:
    """How the number of an array's elements is written: as the declaration has it where that is a name, else the
    number; None where it is no array of known length."""
    count = array.bare.type.length
    if count is None:
        return None
    declared = array.bare.declaration
    if declared is not None:
        text = unit.text(declared)
        match = re.search(rb"\[\s*([A-Z_][A-Z0-9_]*)\s*\]", text)
        if match:
            return match[1], count
    return b"%d" % count, count
