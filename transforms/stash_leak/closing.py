"""Where the delete goes, on each path on which an entry stays.

behind_lookup(leak), at_skipping(leak) -> list[Edit]       NoEdit where one of the paths cannot be closed
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ebpffix.analysis.flow import Effect, Step, Use
from ebpffix.analysis.values import values
from ebpffix.editing.c import declared
from ebpffix.editing.settle import NoEdit, first_of
from ebpffix.editing.statements import after, before
from ebpffix.fix import Edit
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.helpers import THREAD_ID

from .paths import Leak


def behind_lookup(leak: Leak) -> list[Edit]:
    """The delete once behind the last use, else in front of each return that leaks."""
    for use in leak.uses:
        gets = use.effect is Effect.PASS and use.call is not None and _is_own_pointer(use.call)
        if use.effect is Effect.ESCAPE or gets:
            raise NoEdit("the pointer to the entry is kept elsewhere too, where it may be used after the delete")
    return first_of(lambda: _behind_last_use(leak), lambda: _at_each(leak, leak.leaving))


def at_skipping(leak: Leak) -> list[Edit]:
    """The delete in front of each return that comes before the lookup."""
    return _at_each(leak, leak.skipping)


def _is_own_pointer(call: Node) -> bool:
    """Whether a function of the program gets the entry and can give the pointer back."""
    target = call.declaration
    if target is None or call.name.startswith(("bpf_", "__builtin_")):
        return False
    return call.type.is_pointer


def _behind_last_use(leak: Leak) -> list[Edit]:
    flow = leak.flow
    used = {s for u in leak.uses if (s := flow.step(u.node)) is not None}
    last = [s for s in used if not flow.reachable(s) & used]
    node = last[0].node if len(last) == 1 else None
    if (
        node is None
        or leak.deletes & flow.reachable(leak.step)
        or flow.exit in flow.reachable(leak.step, last, leak.absent)
    ):
        raise NoEdit("no place is behind the last use on all paths")
    statement = node.statement
    if statement.kind.endswith("_STMT") and statement.kind != "DECL_STMT":
        raise NoEdit("the last use is a condition, or the return itself")
    while (following := _next(statement)) is not None and following.kind == "DECL_STMT":
        statement = following
    return after(leak.unit, statement, _lines(leak, last[0], statement))


def _at_each(leak: Leak, steps: list[Step]) -> list[Edit]:
    edits: list[Edit] = []
    used = {leak.flow.step(u.node) for u in leak.uses}
    for step in steps:
        node = step.node
        if node is None:
            raise NoEdit("a path leaves the function where no statement stands")
        lines, at_return = _lines(leak, step, node), node.kind == "RETURN_STMT"
        if step in used and at_return:
            raise NoEdit("the value that is returned needs the entry")
        made = _before_return(leak.unit, node, lines) if at_return else _at_the_end(leak, lines)
        edits += [edit for edit in made if edit not in edits]
    return edits


def _at_the_end(leak: Leak, lines: list[bytes]) -> list[Edit]:
    body = leak.function.body
    if body is None or not body.children:
        raise NoEdit("the function has no statement to put it behind")
    return after(leak.unit, body.children[-1], lines)


def _before_return(unit: Unit, node: Node, lines: list[bytes]) -> list[Edit]:
    parent = node.parent
    labelled = parent is not None and parent.kind in ("LABEL_STMT", "CASE_STMT", "DEFAULT_STMT")
    if not labelled or parent is None or parent.parent is None or parent.parent.kind != "COMPOUND_STMT":
        return before(unit, node, lines)
    source = unit.source_of(node)
    indent = source.data[source.line_start(node.start) : node.start]
    if indent.strip(b" \t") or not unit.editable(node.path, node.start, node.end):
        raise NoEdit("it stands behind a label on one line, or in a macro's body")
    return [Edit(node.path, node.start, node.start, b"".join(line + source.newline + indent for line in lines))]


def _next(statement: Node) -> Node | None:
    siblings = statement.parent.children if statement.parent is not None else []
    at = next((i for i, s in enumerate(siblings) if s is statement), len(siblings))
    return siblings[at + 1] if at + 1 < len(siblings) else None


# -- the statement


@dataclass(frozen=True)
class _Delete:
    """A statement that deletes the entry, and the local variables that it needs."""

    text: bytes
    names: tuple[Node, ...]


def _lines(leak: Leak, step: Step, place: Node) -> list[bytes]:
    """The statements that delete the entry at a place: as its lookup names it, or as it is deleted elsewhere."""
    made = list(_deletes(leak))
    if not made:
        raise NoEdit("a macro's body holds the lookup, or its key is written over several lines")
    for delete in made:
        if all(_holds(leak, name, step, place) for name in delete.names):
            return [delete.text]
    for delete in made:
        if len(delete.names) == 1 and (again := _again(delete.names[0], place)):
            return [again, delete.text]
    raise NoEdit("the key may have changed since the lookup, or is out of scope")


def _deletes(leak: Leak) -> Iterator[_Delete]:
    call, operation = leak.given, leak.lookup.call
    key, owner = operation.key, operation.map.text
    if call is operation.call and key is not None and key.text and owner and b"\n" not in key.text:
        names = tuple(n for n in operation.call.find("DECL_REF_EXPR") if n.is_local)
        if call.method:
            yield _Delete(owner + b".delete(" + key.text + b");", names)
        else:
            yield _Delete(b"bpf_map_delete_elem(" + call.arguments[0].text + b", " + key.text + b");", names)
    for step in leak.deletes:
        node = step.node.uncast if step.node is not None else None
        if node is not None and node.kind == "CALL_EXPR" and node.text and b"\n" not in node.text:
            yield _Delete(node.text + b";", tuple(n for n in node.find("DECL_REF_EXPR") if n.is_local))


def _holds(leak: Leak, name: Node, step: Step, place: Node) -> bool:
    """Whether a variable has at a step the value that it had in the lookup, on whatever path, and is in scope."""
    flow = leak.flow
    writes = [u for u in flow.changes(name.decl) if not _reads_key(leak, u)]
    declaration = next((u.node for u in writes if u.node.kind == "VAR_DECL"), None)
    if declaration is not None:
        if not _in_scope(declaration, place):
            return False
        if declaration.initialiser is None:
            writes = [u for u in writes if u.node is not declaration]
    elif all(p.decl != name.decl for p in flow.function.parameters):
        return False
    elif not writes:
        return True
    steps = [flow.step(u.node) for u in writes]
    between = flow.between(leak.step, step)
    return bool(steps) and all(s is not None and flow.dominates(s, step) and s not in between for s in steps)


def _in_scope(declaration: Node, place: Node) -> bool:
    block = declaration.parent.parent if declaration.parent is not None else None
    return block is not None and declaration.path == place.path and declaration.start < place.start < block.end


def _again(name: Node, place: Node) -> bytes:
    """The statement that gives a variable its value anew, where that is the thread's id and nothing else; b"" else."""
    function = name.function
    given = list(values(function, name.decl)) if function is not None else []
    declaration = next((v for v in function.find("VAR_DECL") if v.decl == name.decl), None) if function else None
    if len(given) != 1 or declaration is None or name.type.is_record or b"\n" in given[0].text or not given[0].text:
        return b""
    calls = list(given[0].find("CALL_EXPR"))
    if not calls or any(c.name != THREAD_ID for c in calls) or any(n.is_local for n in given[0].find("DECL_REF_EXPR")):
        return b""
    if place.kind != "RETURN_STMT" or any(n.name == name.name for n in place.find("DECL_REF_EXPR")):
        return b""
    if _in_scope(declaration, place):
        return name.name.encode() + b" = " + given[0].text + b";"
    if declaration.parent is not None and declaration.parent.parent is place.parent:
        return b""  # declared behind the place, in the same block
    return declared(declaration.type.spelling.encode(), name.name.encode()) + b" = " + given[0].text + b";"


def _reads_key(leak: Leak, use: Use) -> bool:
    """Whether a use hands the key's address to a map operation, which reads it."""
    call = use.call
    if call is None or use.effect is not Effect.PASS:
        return False
    method = call.method in ("lookup", "delete", "update")
    ours = {(n.path, n.start) for a in leak.stash.all for n in a.through}
    return method or call.name.startswith("bpf_map_") or (call.path, call.start) in ours
