"""The maps that an object defines in the old form, in the section `maps`: libbpf from 1.0 on refuses it."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ebpffix.kernel.elf import Elf, NotElf
from ebpffix.kernel.map_types import BY_NAME
from ebpffix.verify.map_faults import Map

_PERF_EVENTS = BY_NAME["perf_event_array"].number
_DEVICES = (BY_NAME["devmap"].number, BY_NAME["devmap_hash"].number)
_READ_ONLY = 1 << 7  # BPF_F_RDONLY_PROG
_HEAD = "5I"  # what `struct bpf_map_def` and iproute2's `struct bpf_elf_map` both begin with


def old_maps(data: bytes) -> dict[str, Map]:
    """The definitions by the names of their symbols, those cut short left out; none of what is no object."""
    try:
        return dict(_old_maps(Elf(data)))
    except NotElf:
        return {}


def _old_maps(elf: Elf) -> Iterator[tuple[str, Map]]:
    for symbol in elf.symbols:
        place = elf.place(symbol.section)
        if symbol.name and (place == "maps" or place.startswith("maps/")):
            record = elf.body(elf.sections[symbol.section])[symbol.value :][: symbol.size]
            if len(record) >= struct.calcsize(_HEAD):
                yield symbol.name, Map(*struct.unpack_from(elf.order + _HEAD, record))


def as_made(old: Map, made: Map) -> Map:
    """A definition of the old form as loader and kernel make it: a perf event array of no size has one entry a CPU, a
    device map is read-only to programs."""
    if old.type == _PERF_EVENTS and not old.entries:
        return old._replace(entries=made.entries)
    return old._replace(flags=old.flags | _READ_ONLY) if old.type in _DEVICES else old
