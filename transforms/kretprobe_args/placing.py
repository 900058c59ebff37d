"""What stands in the place of a read once its argument comes out of a map.

placed(pair, group) -> Placed       NoEdit where a helper function cannot be handed the argument
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ebpffix.analysis.programs import Program
from ebpffix.editing.c import declared
from ebpffix.editing.settle import NoEdit
from ebpffix.editing.statements import numbered
from ebpffix.fix import Edit
from ebpffix.frontend import Unit

from .arguments import Argument, Group, Pair, argument, in_place
from .opening import body_of
from .reads import Read, helper_calls
from .uses import declaration_of

_IDENTIFIER = re.compile(rb"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Placed:
    """An argument as the return probe declares it, the edits that put it in the place of the reads, and those that take
    the declarations out which it replaces."""

    argument: Argument
    edits: tuple[Edit, ...] = ()
    deleted: tuple[Edit, ...] = ()


def placed(pair: Pair, group: Group) -> Placed:
    typed, read = argument(pair, group), group.reads[0]
    if len(group.reads) == 1 and read.parameter is not None:
        name = read.parameter.name.encode()
        declaration = declared(read.parameter.type.spelling.encode(), name)
        return Placed(replace(typed, name=name, declaration=declaration))
    if len(group.reads) == 1 and (taken := _taken_over(pair, read, typed)):
        return taken
    words = _words(pair.unit, pair.program, helpers=True)
    name = typed.name if typed.name not in words else numbered(typed.name + b"_arg", words)
    declaration = declared(typed.type, name)
    edits = in_place(pair, group, typed.type, name)
    for one in {id(r.function): r for r in group.reads}.values():
        edits += _handed_on(pair, one, name, declaration)
    return Placed(replace(typed, declaration=declaration), tuple(edits))


def _taken_over(pair: Pair, read: Read, typed: Argument) -> Placed | None:
    """The argument as a variable that the lookup can declare in the place of the read; None where the read is not all
    that a variable is declared with."""
    found, is_helper = declaration_of(pair.unit, read), read.function is not pair.program.function
    if found is None or (is_helper and found[0] in _words(pair.unit, pair.program)):
        return None
    name, declaration, edit = found
    if _is_elsewhere(pair, name.decode()):
        return None
    source = pair.unit.sources[read.path]
    if is_helper and source.data[: edit.start].rstrip().endswith(b"{"):
        blank = re.compile(rb"(?:[ \t]*\r?\n)*").match(source.data, edit.end)
        edit = Edit(edit.path, edit.start, blank.end() if blank else edit.end, b"")
    one = replace(typed, name=name, declaration=declaration)
    return Placed(one, tuple(_handed_on(pair, read, name, declaration)), (edit,))


def _is_elsewhere(pair: Pair, name: str) -> bool:
    """Whether the return probe calls something else so too: declared at its beginning, the variable would hide it."""
    function = pair.program.function
    named = {n.decl for n in function.find("DECL_REF_EXPR") if n.name == name}
    return bool(named - {n.decl for n in function.find("VAR_DECL") if n.name == name})


def _words(unit: Unit, program: Program, *, helpers: bool = False) -> set[bytes]:
    """The identifiers in the return probe, and in the helpers that it calls."""
    functions = [program.function, *([h for _, h in helper_calls(unit, program)] if helpers else [])]
    bodies = [body_of(f) for f in functions]
    return {w for b in bodies for w in _IDENTIFIER.findall(unit.source_of(b).code[b.start : b.end])}


def _handed_on(pair: Pair, read: Read, name: bytes, declaration: bytes) -> list[Edit]:
    """Where a helper reads the argument: the edits that give it the argument as one more parameter."""
    unit, program = pair.unit, pair.program
    if read.function is program.function:
        return []
    call = next(c for c, h in helper_calls(unit, program) if h is read.function)
    last = read.function.parameters[-1]
    places = [(last.path, last.end, declaration), (call.path, call.end - 1, name)]
    if any(path not in unit.sources or not unit.editable(path, at, at) for path, at, _ in places):
        raise NoEdit("a macro's body is in the way of one more parameter for the helper")
    return [Edit(path, at, at, b", " + text) for path, at, text in places]
