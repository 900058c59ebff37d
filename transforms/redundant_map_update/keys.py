"""Keys that differ: one that looks like a typing error of the other, and one under which nothing was found before."""

from __future__ import annotations

from ebpffix.analysis.flow import Effect, same_expression
from ebpffix.analysis.maps import map_decl
from ebpffix.analysis.provenance import LOOKUPS
from ebpffix.frontend import Node

from .write_back import WriteBack


def mistyped(update: WriteBack) -> Node | None:
    """The lookup's key, where it looks much like the update's and the entry was changed in between; None else."""
    if len(update.ways) != 1 or len(update.ways[0].legs) != 1:
        return None
    (leg,), other = update.ways[0].legs, update.ways[0].lookup.key
    names = [key.address_of if key is not None else None for key in (other, update.key)]
    one, two = names
    if one is None or two is None or {one.kind, two.kind} != {"DECL_REF_EXPR"}:
        return None
    same_type = one.type.canonical.spelling == two.type.canonical.spelling
    writes = [u for u in leg.flow.uses(leg.pointer) if u.through and u.effect is Effect.WRITE]
    is_changed = bool(leg.flow.within(writes, leg.between))
    return other if same_type and is_changed and _alike(one.name, two.name) else None


def _alike(one: str, other: str) -> bool:
    """Whether one name is the other with a letter or two more, less or different."""
    a, b = sorted((one, other), key=len)
    if b.startswith(a) and len(b) - len(a) <= 2:
        return True
    if len(a) == len(b):
        return sum(x != y for x, y in zip(a, b, strict=True)) <= 1 + (len(a) > 5)
    return len(b) - len(a) == 1 and any(b[:i] + b[i + 1 :] == a for i in range(len(b)))


def missed(update: WriteBack) -> Node | None:
    """Another key under which the pointer was looked up before, in the same map: a fallback whose result the update was
    perhaps meant to store under the key that was missed."""
    flow = update.ways[0].legs[-1].flow
    for change in flow.changes(update.pointer.decl):
        step = flow.step(change.node)
        given = flow.given(step, update.pointer.decl) if step is not None else None
        lookup = update.entries.operation(given) if given is not None else None
        if lookup is None or lookup.op not in LOOKUPS or lookup.key is None:
            continue
        if map_decl(lookup.map) == map_decl(update.update.map) and not same_expression(lookup.key, update.key):
            return lookup.key
    return None
