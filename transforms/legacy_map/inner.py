"""Maps in maps of iproute2, where numbers say which map is in which: `id` is a map's own, `inner_id` names the inner
one, and the inner one's `inner_idx` is the place that it has in the outer one."""

from __future__ import annotations

from collections.abc import Sequence

from ebpffix.editing.settle import NoEdit
from ebpffix.editing.statements import numbered
from ebpffix.fix import Edit

from .definition import Definition
from .rewrite import rewritten

_NOWHERE = 0xFFFFFFFF  # -1 as the member holds it: an inner map that is in no outer one from the start


def is_of_maps(one: Definition) -> bool:
    return one.map_type is not None and one.map_type.name.endswith("_of_maps")


def outer_of(one: Definition, others: Sequence[Definition]) -> Definition | None:
    """The map whose inner map this one is."""
    own = one.constant("id")
    return next((o for o in others if own and is_of_maps(o) and o.constant("inner_id") == own), None)


def nested(outer: Definition, others: Sequence[Definition]) -> list[Edit]:
    """The edits for an outer map and its inner one, which change together. NoEdit where that cannot be said."""
    number = outer.constant("inner_id")
    if not number:
        # The loader gives it the inner map, as it did: the new form needs to say no more.
        return rewritten(outer)
    found = [one for one in others if one.constant("id") == number]
    if len(found) != 1:
        raise NoEdit("its inner map is not to be found")
    (inner,) = found
    if inner.constant("pinning"):
        raise NoEdit(f"its inner map `{inner.name}` is pinned, which libbpf does with none")
    if (inner.variable.path, inner.variable.start) > (outer.variable.path, outer.variable.start):
        raise NoEdit(f"its inner map `{inner.name}` is defined behind it")
    taken = {n.name.encode() for n in outer.unit.root.children if n.kind in ("STRUCT_DECL", "UNION_DECL", "ENUM_DECL")}
    tag = numbered(b"inner_map", taken)
    place = inner.constant("inner_idx")
    slot = b"" if place in (-1, _NOWHERE) else b" .values = { [%d] = &%s } " % (place, inner.name.encode())
    return [*rewritten(inner, tag=tag), *rewritten(outer, b"struct " + tag, slot=slot)]
