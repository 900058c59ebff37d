"""The edits that make a result signed: its declaration, or one test of it. NoEdit where they cannot be made.

retyped(unit, function, variable, b"int") -> Edit    `u32 n` becomes `int n`
cast(use, b"int") -> Edit                            `r.len < 0` becomes `(int)r.len < 0`
with_zero(use) -> Edit                               `n > 64` becomes `n <= 0 || n > 64`, `n <= 64` becomes `n > 0 && …`
"""

from __future__ import annotations

import re

from ebpffix.analysis.provenance import is_evaluated
from ebpffix.editing.settle import NoEdit
from ebpffix.editing.statements import has_comment, in_block
from ebpffix.fix import Edit
from ebpffix.frontend import Node, Unit

from .uses import Use

_TYPE = re.compile(
    rb"(?:unsigned(?:\s+(?:char|short|int|long))*|size_t|_*u(?:8|16|32|64)|uint(?:8|16|32|64)?(?:_t)?)\b"
)
_SIZES = {b"int": 4, b"long": 8}
_NO_DECLARATION = "its declaration declares others too, or stands in a macro"
_IN_MACRO = "a macro's body holds the test"


def retyped(unit: Unit, function: Node, variable: Node, better: bytes) -> Edit:
    """The declaration of a local variable with a better type: alone, or the last of several, which then stands
    alone."""
    statement = next((s for s in function.find("DECL_STMT") if any(c.decl == variable.decl for c in s.children)), None)
    if statement is None or statement.path not in unit.sources:
        raise NoEdit(_NO_DECLARATION)
    source, name = unit.sources[statement.path], re.escape(variable.name.encode())
    declared = [c for c in statement.children if c.kind == "VAR_DECL"]
    if len(declared) == 1:
        alone = re.compile(rb"(?:const\s+)?(" + _TYPE.pattern + rb")\s+" + name + rb"\b")
        match, text = alone.match(source.code, statement.start), better
    elif declared[-1].decl == variable.decl and in_block(statement) and _TYPE.match(statement.text):
        match = re.compile(rb"(\s*,\s*)" + name + rb"\b").match(source.code, declared[-2].end)
        text = b";" + source.newline + source.indent(statement.start) + better + b" "
    else:
        raise NoEdit(_NO_DECLARATION)
    if variable.type.size != _SIZES[better] and _is_measured(function, variable):
        raise NoEdit("its address or its size is used, and it would be another size")
    if match is None or not unit.editable(statement.path, *match.span(1)):
        raise NoEdit(_NO_DECLARATION)
    if has_comment(unit, statement.path, *match.span(1)):
        raise NoEdit("a comment in its declaration would be lost")
    return Edit(statement.path, *match.span(1), text)


def _is_measured(function: Node, variable: Node) -> bool:
    for node in function.find("DECL_REF_EXPR"):
        outer = node.outer
        if node.decl == variable.decl and outer is not None and (outer.address_of is node or not is_evaluated(node)):
            return True
    return False


def cast(use: Use, better: bytes) -> Edit:
    """The value in a test as a signed number."""
    if use.node.operator not in ("<", "<=", ">", ">=", "==", "!="):
        raise NoEdit("the test compares it with nothing")
    node = next(c for c in use.node.children if c.bare is use.value)
    if not use.node.unit.editable(node.path, node.start, node.end):
        raise NoEdit(_IN_MACRO)
    return Edit(node.path, node.start, node.start, b"(" + better + b")")


def with_zero(use: Use) -> Edit:
    """A test for 0 and less in front of one for too much."""
    test, unit = use.node, use.node.unit
    alone = test.outer is not None and test.outer.kind == "IF_STMT" and test.parent is test.outer
    if not alone or test.operands[0] is not use.value or use.value.operator == "=":
        raise NoEdit("the test is part of a larger one")
    if not unit.editable(test.path, test.start, test.end):
        raise NoEdit(_IN_MACRO)
    guard = b"%s <= 0 || " if test.operator in (">", ">=") else b"%s > 0 && "
    return Edit(test.path, test.start, test.start, guard % use.value.text)
