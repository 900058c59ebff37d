"""From a step of the verifier's path to what a person wrote: the function, the statement, the expressions.

Line numbers are those of the compiler, in the text that was compiled; before Linux 6.8 a log has the line's text
alone, and then the first line with that text is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from ebpffix.frontend import Node, Unit
from ebpffix.kernel.helpers import helper
from ebpffix.repair.model import Refusal
from ebpffix.verify.logs import SourceLine
from ebpffix.verify.trace import Step


def line_of(unit: Unit, source: SourceLine | None) -> tuple[Path, int] | None:
    """The file of the run and the 1-based line; None for a line of a header outside of it."""
    if source is None:
        return None
    text = source.text.strip().encode()
    for path, file in unit.sources.items():
        lines = file.data.splitlines()
        # The compiler takes a line's text from the disk, where a candidate is not yet: the number alone counts.
        if source.line and name_in_log(path) == source.file.rpartition("/")[2] and source.line <= len(lines):
            return path, source.line
        if not source.line and text and (found := [n for n, line in enumerate(lines, 1) if line.strip() == text]):
            return path, found[0]
    return None


def name_in_log(path: Path) -> str:
    """A file's name as the place of a log's line has it; an @ would end it there."""
    return path.name.replace("@", "_")


def function_at(unit: Unit, path: Path, line: int) -> Node | None:
    """The function definition that a line stands in."""
    for function in unit.functions:
        source = unit.sources.get(function.path)
        body = function.body
        if source and body and function.path == path and source.line(body.start) <= line <= source.line(body.end - 1):
            return function
    return None


def statement_at(unit: Unit, step: Step | None) -> Node | None:
    """The innermost statement that the step's line is part of, by the column where that is known; of an `if` or a loop
    its head."""
    place = line_of(unit, step.source) if step else None
    function = function_at(unit, *place) if place else None
    if step is None or step.source is None or place is None or function is None or function.body is None:
        return None
    (path, line), source = place, unit.sources[place[0]]
    at = source.offset_of(line) + step.source.column - 1
    if step.source.column and (found := _innermost(function.body, path, lambda node: node.start <= at < node.end)):
        return found
    return _innermost(
        function.body, path, lambda node: source.line(node.start) <= line <= source.line(max(node.end - 1, node.start))
    )


def _innermost(body: Node, path: Path, holds: Callable[[Node], bool]) -> Node | None:
    """The innermost statement, no block, of which this holds."""
    found: Node | None = None
    for node in body.walk():
        if node.path != path or not node.is_statement or node.end <= node.start or node.kind == "COMPOUND_STMT":
            continue
        if holds(node) and (found is None or (found.start <= node.start and node.end <= found.end)):
            found = node
    return found


def expressions(unit: Unit, step: Step | None, *kinds: str) -> list[Node]:
    """The expressions of these kinds on the step's line, the nested ones behind those that hold them; those that a
    macro used there brings along are among them."""
    statement = statement_at(unit, step)
    place = line_of(unit, step.source) if step else None
    if statement is None or place is None:
        return []
    return [n for n in own(statement) if n.kind in kinds and _on_line(unit, n, *place)]


def _on_line(unit: Unit, node: Node, path: Path, line: int) -> bool:
    if node.from_macro_body or node.path != path:
        return True
    source = unit.sources[path]
    return source.line(node.start) <= line <= source.line(max(node.end - 1, node.start))


def own(statement: Node) -> Iterator[Node]:
    """A statement's nodes without those of the statements in it: of an `if` or a loop its head. What stands in
    `({ … })`, as macros have it, is part of the expression."""
    yield statement
    for child in statement.children:
        if statement.kind == "StmtExpr":
            yield from child.walk()
        elif not child.is_statement:
            yield from own(child)


def call_at(unit: Unit, step: Step | None, name: str) -> Node | None:
    """The call of a helper on the step's line; by the macro that hides it if need be, or the method that BCC makes it
    of."""
    calls = expressions(unit, step, "CALL_EXPR")
    wanted = helper(name)
    methods = (c for c in calls if wanted and wanted.operation and c.helper and c.helper.operation == wanted.operation)
    return next((c for c in calls if c.name == name), None) or next(methods, None)


def named_argument(refusal: Refusal) -> tuple[Node, int] | None:
    """The helper's call at which the verifier stopped, and the argument that its message names, by the number of the
    register that holds it (R1 is the first); None where it stopped at no call or names no argument of it."""
    step = refusal.step
    call = call_at(refusal.unit, step, step.call) if step and step.call else None
    register = next(iter(refusal.registers), 0)
    return (call, register) if call is not None and 1 <= register <= len(call.arguments) else None
