"""Map definitions of libbpf without max_entries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ebpffix.analysis.maps import defined_number
from ebpffix.editing.settle import Made, NoEdit, settle
from ebpffix.fix import Edit, Fix
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.map_types import BY_NUMBER, MapType, Shape
from ebpffix.sources.source import Source

# The size to add where one is as good as another: BCC's, and 256 KiB for a ring buffer.
_ADDED = {
    **dict.fromkeys((Shape.HASH, Shape.ARRAY, Shape.TRIE, Shape.STACKS, Shape.QUEUE), b"10240"),
    Shape.RING: b"256 * 1024",
}
_SIZED_BY_USER_SPACE = re.compile(
    rb"set_max_entries|map__resize|set_map_max_entries|\bMaxEntries\b|map__reuse_fd|\breuse_(?:fd|pinned_map)\b"
)


def missing(unit: Unit, variable: Node, neighbours: Sequence[bytes]) -> Iterator[Fix]:
    """The finding for a map definition without max_entries; `neighbours` are the files of user space next to it."""
    number, source = defined_number(variable, "type"), unit.sources.get(variable.path)
    if number is None or variable.is_extern or variable.type.member("max_entries") is not None:
        return
    known = BY_NUMBER.get(number)
    if source is None or (known is not None and not known.needs_size_in_source):
        return
    name = variable.name
    if any(_sizes(text, name) for text in neighbours):
        return
    message = f"map `{name}` has no max_entries: it cannot be made (-EINVAL), and nothing of the object loads"

    def made() -> Made:
        size = _size(known)
        doubt = f"{size.decode()} is a guess, and user space may set the size before it loads the object"
        return Made([_added(unit, source, variable, size)], "; the fix adds one", doubt)

    yield settle(variable, message, made)


def _size(type_: MapType | None) -> bytes:
    """The size to give a map of a type. NoEdit where that depends on what the program does with it."""
    if type_ is None or type_.name.endswith("_of_maps") or type_.shape not in _ADDED:
        raise NoEdit("how many entries it needs is not known here: add `__uint(max_entries, …)` by hand")
    return _ADDED[type_.shape]


def _added(unit: Unit, source: Source, variable: Node, size: bytes) -> Edit:
    """A line behind the one that states the type."""
    typed = re.compile(rb"__uint\s*\(\s*type\s*,[^()]*\)\s*;").search(source.code, variable.start, variable.end)
    if typed is None or not unit.editable(variable.path, typed.start(), typed.end()):
        raise NoEdit("a macro's body holds the definition: add `__uint(max_entries, …)` by hand")
    line = b"__uint(max_entries, " + size + b");"
    before = source.data[source.line_start(typed.start()) : typed.start()]
    glue = b" " if before.strip(b" \t") else source.newline + before
    return Edit(variable.path, typed.end(), typed.end(), glue + line)


def _sizes(text: bytes, name: str) -> bool:
    """Whether a file of user space gives sizes to maps, and knows this one."""
    return bool(_SIZED_BY_USER_SPACE.search(text) and re.search(rb"\b%s\b" % name.encode(), text))
