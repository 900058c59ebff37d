"""Where the clearing of a local variable and its assignments go: behind its declaration, or for an assignment."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ebpffix.editing import statements as edits
from ebpffix.editing.settle import NoEdit
from ebpffix.fix import Edit
from ebpffix.frontend import Node, Unit

from . import initialiser
from .escapes import Event

_NO_PLACE = "it stands where no statement can be put behind it"


def cleared(unit: Unit, declaration: Node, events: Sequence[Event], line: bytes) -> list[Edit]:
    """An object declared without a value: cleared behind the declarations that it stands among."""
    statement = declaration.statement
    if any(event.at.statement is statement for event in events):
        raise NoEdit("the declaration itself uses the object")
    if _in_switch(statement):
        raise NoEdit("it is declared in a switch, where a jump would pass by the clearing")
    return edits.after(unit, _last_declaration(statement, declaration), [line])


def moved(unit: Unit, declaration: Node, opening: int, lines: Sequence[bytes]) -> list[Edit]:
    """The list whose brace stands at `opening` taken out of the declaration, and its lines put behind it."""
    source, statement = unit.source_of(declaration), declaration.statement
    end = initialiser.closing(source, opening)
    sign = source.code.rfind(b"=", declaration.start, opening)
    start = len(source.code[:sign].rstrip())
    others = [c for c in statement.children if c is not declaration and c.start >= end]
    overtaken = any(n.kind == "CALL_EXPR" or _reads(n, declaration) for c in others for n in c.walk())
    if sign < 0 or overtaken or edits.has_comment(unit, declaration.path, start, opening) or _in_switch(statement):
        raise NoEdit(_NO_PLACE)
    placed = edits.after(unit, _last_declaration(statement, declaration, quiet=True), lines)
    if not unit.editable(declaration.path, start, end):
        raise NoEdit("a macro holds the initialiser")
    if not placed[0].text.startswith((b"\n", b"\r\n")) and any(b"//" in line or line[:1] == b"#" for line in lines):
        raise NoEdit("a comment to the end of the line would swallow what stands behind it")
    return [Edit(declaration.path, start, end, b""), *(_at_margin(unit, edit) for edit in placed)]


def replaced(unit: Unit, assignment: Node, lines: Sequence[bytes]) -> list[Edit]:
    """The assignment of a compound literal, as the lines."""
    source, start = unit.source_of(assignment), assignment.start
    semicolon = re.compile(rb"\s*;").match(source.code, assignment.end)
    end = semicolon.end() if semicolon else 0
    if not assignment.is_statement or not edits.in_block(assignment) or not unit.editable(assignment.path, start, end):
        raise NoEdit(_NO_PLACE)
    edit = Edit(assignment.path, start, end, (source.newline + source.indent(start)).join(lines))
    return [_at_margin(unit, edit)]


def _at_margin(unit: Unit, edit: Edit) -> Edit:
    """An edit whose directives begin at the margin."""
    newline = unit.sources[edit.path].newline
    text = re.sub(re.escape(newline) + rb"[ \t]+#", lambda _: newline + b"#", edit.text)
    return Edit(edit.path, edit.start, edit.end, text)


def _in_switch(statement: Node) -> bool:
    block = statement.parent
    return block is not None and block.parent is not None and block.parent.kind == "SWITCH_STMT"


def _last_declaration(statement: Node, declaration: Node, *, quiet: bool = False) -> Node:
    """The last of the declarations that follow one without a gap and do not mention the object; `quiet`: and whose
    values do not depend on anything that the object's initialiser may do."""
    siblings = statement.parent.children if statement.parent else [statement]
    last = statement
    for sibling in siblings[siblings.index(statement) + 1 :]:
        mentions = any(n.decl == declaration.decl for n in sibling.find("DECL_REF_EXPR"))
        if sibling.kind != "DECL_STMT" or mentions or sibling.from_macro_body:
            break
        if quiet and not initialiser.is_constant(sibling):
            break
        last = sibling
    return last


def _reads(node: Node, declaration: Node) -> bool:
    """Whether a node is a mention of an object that does more than take its address."""
    parent = node.parent
    address = parent is not None and parent.kind == "UNARY_OPERATOR" and parent.operator == "&"
    return node.decl == declaration.decl and not address
