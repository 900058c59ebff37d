"""When an update that writes back an entry may yet have been good for something."""

from __future__ import annotations

import re
from collections.abc import Callable

from ebpffix.analysis.maps import Map, map_decl
from ebpffix.analysis.provenance import maps
from ebpffix.editing.settle import NoEdit
from ebpffix.frontend import Unit

from .write_back import WriteBack

_CONDITIONAL = re.compile(rb"^[ \t]*#[ \t]*(?:if|elif|else)", re.MULTILINE)

# Of a map: what may have taken the entry away meanwhile, so that the update puts it back.
_OF_MAPS: tuple[tuple[Callable[[Unit, Map], bool], str], ...] = (
    (
        lambda unit, map_: map_.type is None,
        "the type of `{}` is not known here: in an LPM trie lookup may return another key's entry",
    ),
    (
        lambda unit, map_: map_.lru,
        "`{}` is an LRU map: the update puts back an entry that was evicted after the lookup",
    ),
    (
        lambda unit, map_: not map_.array and map_.shared,
        "`{}` is pinned or shared: the update puts back an entry that another program deleted",
    ),
    (
        lambda unit, map_: not map_.array and _deletes(unit, map_.decl),
        "the file deletes from `{}` too: the update puts back an entry deleted after the lookup",
    ),
)


def doubt(update: WriteBack) -> str:
    """Why an update is only perhaps redundant, in words; "" where there is no doubt. NoEdit for a function in a header
    that other programs call too, which were not asked."""
    unit = update.unit
    if unit.partial:
        return "the file was not wholly understood: a change of the map or the key may have gone unseen"
    path = update.update.call.path
    if path != unit.path and (update.is_handed_on or not map_decl(update.update.map)):
        if update.is_handed_on and path in unit.shared_with_programs:
            raise NoEdit("several programs include the header: look whether each hands it an entry that lookup gave")
        return f"another program that includes `{path.name}` may hand it something else"
    if any(_has_conditional_code(update, number) for number in range(len(update.ways))):
        return "an #if in the function leaves out code that may need the update"
    return next((why.format(m.name) for m in update.maps for applies, why in _OF_MAPS if applies(unit, m)), "")


def _has_conditional_code(update: WriteBack, number: int) -> bool:
    bodies = [leg.flow.function.body for leg in update.ways[number].legs]
    return any(b is None or _CONDITIONAL.search(update.unit.source_of(b).uncommented, b.start, b.end) for b in bodies)


def _deletes(unit: Unit, decl: int) -> bool:
    """Whether the program's files delete from a map, or from one that cannot be told."""
    for call in unit.map_calls:
        if "delete" in call.op or call.op == "pop":
            known = frozenset((map_decl(call.map),)) if map_decl(call.map) else maps(unit, call.map)
            if known is None or decl in known:
                return True
    return False
