"""The edits that take an update out, with what does nothing without it: an if whose condition has no effect, a macro's
`do { … } while (0)` around it.

    removal(unit, call) -> list[Edit]         NoEdit where it cannot be done without harm
"""

from __future__ import annotations

import re

from ebpffix.editing.settle import NoEdit, first_of
from ebpffix.editing.statements import delete_statement, has_comment, in_block
from ebpffix.fix import Edit
from ebpffix.frontend import Node, Unit

from .turned import turned

_EFFECTS = frozenset("= += -= *= /= %= &= |= ^= <<= >>= ++ -- ++post --post".split())
_LABELS = ("LABEL_STMT", "CASE_STMT", "DEFAULT_STMT")
_HELD = "a macro holds it: take the update out by hand"
_ALL_THERE_IS = "it is all that stands behind a label or a condition: take the update out by hand"


def removal(unit: Unit, call: Node) -> list[Edit]:
    statement = call.statement
    owner = _idle(statement)
    if unit.macros_around(statement.path, statement.start, statement.end):
        return first_of(lambda: _with_macro(unit, statement, owner), lambda: _in_argument(unit, statement))
    if owner is not statement and not has_comment(unit, owner.path, owner.start, owner.end):
        return first_of(lambda: _cut(unit, owner), lambda: _cut(unit, statement))
    return _cut(unit, statement)


def _idle(statement: Node) -> Node:
    """The widest statement around one that does nothing else."""
    owner = statement
    while owner.parent is not None and _only_holds(owner.parent):
        owner = owner.parent
    return owner


def _only_holds(node: Node) -> bool:
    """Whether a statement does nothing but what the one in it does."""
    match node.kind:
        case "COMPOUND_STMT":
            holder = node.parent.kind if node.parent is not None else ""
            return len(node.children) == 1 and holder in ("IF_STMT", "DO_STMT")
        case "IF_STMT":
            return len(node.children) == 2 and not _acts(node.children[0])
        case "DO_STMT":
            return node.children[1].constant == 0
    return False


def _acts(condition: Node) -> bool:
    return any(node.kind == "CALL_EXPR" or node.operator in _EFFECTS for node in condition.walk())


def _cut(unit: Unit, statement: Node) -> list[Edit]:
    if in_block(statement):
        outer = statement.parent
        is_branch = outer is not None and len(outer.children) == 1
        if outer is not None and is_branch:
            return first_of(lambda: turned(unit, outer), lambda: [delete_statement(unit, statement)])
        return [delete_statement(unit, statement)]
    return first_of(
        lambda: turned(unit, statement), lambda: _without_else(unit, statement), lambda: _emptied(unit, statement)
    )


def _emptied(unit: Unit, statement: Node) -> list[Edit]:
    """Leave the semicolon: an empty statement as what an if with an else does, or behind a label that no statement
    follows to which it could belong."""
    start, end = statement.start, statement.end
    source, label = unit.source_of(statement), statement.parent
    if label is not None and label.kind in _LABELS and label.parent is not None:
        following = next((n for n in label.parent.children if n.start >= end), None)
        if following is not None and following.kind != "DECL_STMT":
            between = source.data[end : following.start]
            if between.strip() == b";" and following.kind in _LABELS and b"\n" in between:
                start, end = source.line_start(start), source.line_start(following.start)
            elif between.strip() == b";":
                end = following.start
    if statement.kind != "CALL_EXPR" or has_comment(unit, statement.path, start, end):
        raise NoEdit(_ALL_THERE_IS)
    if not unit.editable(statement.path, start, end):
        raise NoEdit("a macro's body is in the way: take the update out by hand")
    return [Edit(statement.path, start, end, b"")]


def _without_else(unit: Unit, branch: Node) -> list[Edit]:
    """Cut ` else …` off an if whose else branch is `branch`."""
    owner = branch.parent
    if owner is None or owner.kind != "IF_STMT" or len(owner.children) != 3 or branch is not owner.children[2]:
        raise NoEdit(_ALL_THERE_IS)
    source = unit.source_of(branch)
    end = branch.end
    if branch.kind != "COMPOUND_STMT":
        match = re.compile(rb"\s*;").match(source.code, end)
        end = match.end() if match else end
    start = source.code.rfind(b"else", owner.start, branch.start)
    begin = len(source.data[:start].rstrip())
    if start < 0 or has_comment(unit, branch.path, begin, end) or not unit.editable(branch.path, begin, end):
        raise NoEdit("a comment or a macro's body is in the way: take the update out by hand")
    return [Edit(branch.path, begin, end, b"")]


# -- in a macro's argument


def _with_macro(unit: Unit, statement: Node, owner: Node) -> list[Edit]:
    """Take the macro out with it, where all that it makes does nothing else."""
    siblings = owner.parent.children if owner.parent is not None else []
    argument = _argument(unit, statement)
    is_whole = sum((n.path, n.start) == (owner.path, owner.start) for n in (owner.parent, *siblings) if n) == 1
    inside = unit.macros_around(owner.path, owner.start, owner.end)
    if argument is None or not is_whole or [(m.start, m.end) for m in inside] != [(owner.start, owner.end)]:
        raise NoEdit(_HELD)
    return [delete_statement(unit, owner)]


def _in_argument(unit: Unit, statement: Node) -> list[Edit]:
    """Take it out of an argument that holds more, used once by a macro that does nothing else with its text."""
    macro, *more = unit.macros_around(statement.path, statement.start, statement.end)
    argument, function = _argument(unit, statement), statement.function
    if more or argument is None or function is None or not in_block(statement):
        raise NoEdit(_HELD)
    here = (statement.path, statement.start, statement.end)
    times = sum((n.path, n.start, n.end) == here for n in function.find(statement.kind))
    definitions = [n.text for n in unit.root.children if n.kind == "MACRO_DEFINITION" and n.name == macro.name]
    if times != 1 or not definitions or any(not text or b"#" in text for text in definitions):
        raise NoEdit(_HELD)
    edit = delete_statement(unit, statement)
    start, end = argument
    data = unit.sources[edit.path].data
    left = data[start : edit.start] + data[edit.end : end]
    if edit.start < start or edit.end > end or not left.strip(b" \t\r\n;{}()"):
        raise NoEdit(_HELD)
    return [edit]


def _argument(unit: Unit, statement: Node) -> tuple[int, int] | None:
    """The argument of the outermost macro that a statement is written in."""
    macro = unit.macros_around(statement.path, statement.start, statement.end)[0]
    return next((a for a in macro.args if a[0] <= statement.start and statement.end <= a[1]), None)
