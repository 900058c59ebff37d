"""Say of what types a map's key and value are, not only how long they are.

What it does: `__uint(key_size, sizeof(struct flow))` becomes `__type(key, struct flow)`, and for the value likewise.

Why: with the types in the object's BTF, `bpftool map dump` prints the members by their names, skeletons know what goes
in and out, and locks, timers and kernel pointers may be in a value. The map itself is the same: of the same type and
sizes, so that one that is pinned already is still found to be it.

Since: libbpf 0.0.4 (that of Linux 5.3) and clang 10, as BTF-defined maps themselves; Linux 4.18 knows the types of
maps, for an older one libbpf leaves them out. User space changes nothing.

Safe where the size is `sizeof(T)`: the code is the same, and so is the map. Suggested where it is a number, and all
keys (or values) that the file hands to the map are of one type of that size, which is declared before the map.

Left alone: a map of which only the key or only the value would get a type, for the kernel takes both or none; maps
that take no types (of programs, perf events, devices, CPUs, sockets, stacks and other maps); an array whose key is an
enumeration, a trie whose key is no structure: the kernel refuses the types of these, and libbpf makes the map without
them. Sizes out of macros and sums; inner maps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ebpffix.analysis.map_members import Measured, may_be_typed, used_type
from ebpffix.analysis.maps import defined_number, stated
from ebpffix.fix import LIBBPF, Edit, Fix, Safety
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.map_types import BY_NUMBER
from ebpffix.transform import Transform

TRANSFORM = Transform(
    name="map-types",
    pattern=0,
    group="modernise",
    dialects=(LIBBPF,),
    triggers=(rb"__uint\s*\(\s*(?:key|value)_size\b",),
    summary="map definition that has the sizes of key and value, and not their types",
    imperative="state the types of maps' keys and values",
    shape="`__uint(key_size, sizeof(T))`",
    safe="`__type(key, T)`",
    suggested="a number, by what the file hands to the map",
)


@dataclass(frozen=True)
class _Size:
    """A member that states a size: its node, and what it measures, if that is known. `is_used` says that the type is
    that of the map's uses."""

    member: Node
    measured: Measured | None
    is_used: bool = False


def find(unit: Unit) -> Iterator[Fix]:
    for variable in unit.declarations:
        members = stated(unit, variable)
        number = defined_number(variable, "type") if members else None
        if number is not None:
            yield from _of_map(unit, variable, members, number)


def _of_map(unit: Unit, variable: Node, members: dict[str, Node], number: int) -> Iterator[Fix]:
    sizes: dict[str, _Size] = {}
    for what in ("key", "value"):
        member = members.get(f"{what}_size")
        if member is not None:
            sizes[what] = _size(unit, variable, what, member)
        elif what not in members:
            return
    for what, size in sizes.items():
        given = size.measured
        if given is None or not may_be_typed(BY_NUMBER.get(number), what, given) or size.member.from_macro_body:
            return
    if not sizes or not unit.declared.has("__type"):
        return
    names = " and ".join(f"`{size.measured.text.decode()}`" for size in sizes.values() if size.measured is not None)
    message = f"`{variable.name}` states sizes where types say more: {names}"
    edits = [
        Edit(
            size.member.path,
            size.member.start,
            size.member.end,
            b"__type(%s, %s)" % (what.encode(), size.measured.text),
        )
        for what, size in sizes.items()
        if size.measured is not None
    ]
    is_sure = not any(size.is_used for size in sizes.values())
    reason = "" if is_sure else "the types are those that this file hands to the map"
    at = next(iter(sizes.values())).member
    yield Fix(at, message, Safety.SAFE if is_sure else Safety.SUGGESTED, edits, reason)


def _size(unit: Unit, variable: Node, what: str, member: Node) -> _Size:
    """What a `__uint(key_size, …)` measures."""
    value = next(iter(member.children), None)
    if value is None or not member.text.startswith(b"__uint"):
        return _Size(member, None)
    size = value.integer
    if size is not None and value.text.isdigit():
        return _Size(member, used_type(unit, variable, what, size), is_used=True)
    return _Size(member, Measured.of(value))
