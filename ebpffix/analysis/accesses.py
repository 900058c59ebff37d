"""What the programs of a unit do with its maps, seen from each program, so also in the functions that they call.

    accesses(unit) -> list[Access]         every map operation, once for each way that leads a program to it
    trace(node, through)                   an argument's value, out of a function's parameter
    running(unit) -> set[int]              the functions that programs are or come to, by `Node.decl`

A map, a key or a value may reach the operation as a parameter: `touch(&counts, &key)`. A function that no program comes
to counts for nothing. Of a function that is handed on as a callback the parameters are not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ebpffix.analysis.maps import map_decl
from ebpffix.analysis.programs import Program, Role, programs
from ebpffix.analysis.values import values
from ebpffix.fix import BCC
from ebpffix.frontend import MapCall, Node, Unit

_MOST = 4096  # ways to a map operation; a unit that has more is left alone


@dataclass(frozen=True, eq=False)
class Access:
    """A map operation as a program comes to it. `root` is the program's function, `program` None where that is one
    which a host may attach; `through` are the calls that lead from there to the operation, outermost first."""

    root: Node
    program: Program | None
    through: tuple[Node, ...]
    call: MapCall

    @property
    def role(self) -> Role:
        return self.program.role if self.program is not None else Role.OTHER

    @property
    def function(self) -> Node:
        """The function that the operation stands in."""
        return self.chain[-1][0]

    @cached_property
    def chain(self) -> list[tuple[Node, Node]]:
        """The functions from the program to the operation, each with the call in it that goes on; the last one's is
        the operation."""
        return [(n.function or self.root, n) for n in (*self.through, self.call.call)]

    @cached_property
    def map(self) -> Node:
        """The expression that names the map, at the place where a global object is given."""
        node, _ = trace(self.call.map, self.through)
        return node.address_of or node

    @property
    def decl(self) -> int:
        """The map's `Node.decl`; 0 where it cannot be told."""
        return map_decl(self.map)

    @cached_property
    def key(self) -> Node | None:
        """The key as it is given by the function that has it: `&tid`."""
        return trace(self.call.key, self.through)[0] if self.call.key is not None else None


def trace(node: Node, through: tuple[Node, ...]) -> tuple[Node, tuple[Node, ...]]:
    """The expression that a parameter stands for, casts aside, and the calls that lead to it: the argument that the
    last of `through` gives, as long as that is a parameter too. The expression itself for all else."""
    node = node.uncast
    while node.kind == "DECL_REF_EXPR" and through and (owner := node.function) is not None:
        names = [p.decl for p in owner.parameters]
        call = through[-1]
        if node.decl not in names or call.kind != "CALL_EXPR" or next(values(owner, node.decl), None) is not None:
            break
        index = names.index(node.decl)
        if index >= len(call.arguments):
            break
        node, through = call.arguments[index].uncast, through[:-1]
    return node, through


def accesses(unit: Unit) -> list[Access]:
    """The map operations of the unit's programs, in the order of the programs; none where there are too many ways."""
    found: list[Access] | None = unit.memo.get("accesses")
    if found is None:
        found = []
        for access in _walk(unit):
            found.append(access)
            if len(found) > _MOST:
                found = []
                break
        unit.memo["accesses"] = found
    return found


def running(unit: Unit) -> set[int]:
    """The functions that programs are, or come to."""
    ways, found = _ways(unit), set[int]()
    todo = [root for root, _ in _roots(unit)]
    while todo:
        function = todo.pop()
        if function.decl not in found:
            found.add(function.decl)
            todo += [callee for callee, _ in ways.get(function.decl, [])]
    return found


def _roots(unit: Unit) -> Iterator[tuple[Node, Program | None]]:
    known = programs(unit)
    yield from ((program.function, program) for program in known)
    if unit.dialect == BCC:  # a host attaches what it likes
        of_programs = {program.function.decl for program in known}
        for function in unit.functions:
            if function.decl not in of_programs and not function.is_static and not unit.mentions(function):
                yield function, None


def _walk(unit: Unit) -> Iterator[Access]:
    operations: dict[int, list[MapCall]] = {}
    for operation in unit.map_calls:
        if (owner := operation.call.function) is not None:
            operations.setdefault(owner.decl, []).append(operation)
    ways = _ways(unit)
    leading = _leading(ways, set(operations))

    def below(root: Node, program: Program | None, function: Node, through: tuple[Node, ...]) -> Iterator[Access]:
        for operation in operations.get(function.decl, []):
            yield Access(root, program, through, operation)
        above = {function.decl, *(n.function.decl for n in through if n.function is not None)}
        for callee, node in ways.get(function.decl, []):
            if callee.decl in leading - above:  # no recursion
                yield from below(root, program, callee, (*through, node))

    for root, program in _roots(unit):
        yield from below(root, program, root, ())


def _leading(ways: dict[int, list[tuple[Node, Node]]], found: set[int]) -> set[int]:
    """The functions that come to one of `found`, these among them."""
    while more := {f for f, calls in ways.items() if f not in found and any(c.decl in found for c, _ in calls)}:
        found |= more
    return found


def _ways(unit: Unit) -> dict[int, list[tuple[Node, Node]]]:
    """By function: the functions of the unit that it calls, each with the call, or with the name where it is handed on
    as a callback."""
    found: dict[int, list[tuple[Node, Node]]] = {}
    for function in unit.functions:
        seen = set()
        for name in unit.mentions(function):
            outer, owner = name.outer, name.function
            is_called = outer is not None and outer.kind == "CALL_EXPR" and outer.callee is name
            node = outer if is_called and outer is not None else name
            if owner is not None and (place := (node.path, node.start)) not in seen:
                seen.add(place)
                found.setdefault(owner.decl, []).append((function, node))
    return found
