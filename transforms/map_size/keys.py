"""Keys that are smaller than what the map reads."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.analysis.accesses import Access, accesses
from ebpffix.analysis.maps import describe
from ebpffix.editing.settle import Made, NoEdit, settle
from ebpffix.fix import Edit, Fix
from ebpffix.frontend import Node, Unit

_STATED = re.compile(rb"__type\s*\(\s*key\s*,\s*([^()]*?)\s*\)")
_OPERATIONS = ("lookup", "update", "delete")


def short_keys(unit: Unit) -> Iterator[Fix]:
    """One finding for each map of libbpf that gets a variable for its key which is smaller."""
    by_map: dict[int, list[Access]] = {}
    for access in accesses(unit):
        if access.decl and access.call.op in _OPERATIONS and access.key is not None:
            by_map.setdefault(access.decl, []).append(access)
    for uses in by_map.values():
        definition = uses[0].map.declaration
        stated = definition.type.member("key") if definition is not None else None
        known = describe(unit, uses[0].map)
        if definition is None or stated is None or known is None or known.type is None or not known.type.is_hash:
            continue
        size = stated.type.pointee.size
        short = [u for u in uses if 0 < _size(u) < size]
        if short:
            yield _finding(unit, definition, size, uses, short[0])


def _variable(access: Access) -> Node | None:
    """The variable whose address is the key: one of its own, no part of a structure or array."""
    variable = access.key.address_of if access.key is not None else None
    is_plain = variable is not None and variable.kind == "DECL_REF_EXPR" and not variable.type.is_array
    return variable if is_plain else None


def _size(access: Access) -> int:
    variable = _variable(access)
    return variable.type.size if variable is not None else 0


def _finding(unit: Unit, definition: Node, size: int, uses: list[Access], short: Access) -> Fix:
    variable = _variable(short)
    assert variable is not None
    given = _size(short)
    return settle(
        short.call.call,
        f"the key of `{definition.name}` has {size} bytes, and `{variable.name}` {given}: the {size - given} behind it "
        "are read as part of the key",
        lambda: Made(
            [_retyped(unit, definition, uses, variable)],
            "; the fix gives the map the type of the variable",
            f"if user space reads `{definition.name}`, its keys change too",
        ),
        "; make the variable as wide as the key, or the key as narrow as the variable",
    )


def _retyped(unit: Unit, definition: Node, uses: list[Access], variable: Node) -> Edit:
    if any(_size(use) != variable.type.size for use in uses):
        raise NoEdit("other keys of this map have another size")
    if describe(unit, uses[0].map) is None or definition.path not in unit.sources:
        raise NoEdit("the map is defined elsewhere")
    source = unit.sources[definition.path]
    stated = re.compile(rb"__type\s*\(\s*key\s*,\s*([^()]*?)\s*\)").search(
        source.code, definition.start, definition.end
    )
    if stated is None or not unit.editable(definition.path, stated.start(1), stated.end(1)):
        raise NoEdit("the definition is not written with __type(key, …) here")
    if definition.path in unit.shared_with_user_space:
        raise NoEdit("user space includes the header that defines the map")
    type_ = re.sub(r"\b(?:const|volatile)\s+", "", variable.type.spelling).encode()
    return Edit(definition.path, *stated.span(1), type_)
