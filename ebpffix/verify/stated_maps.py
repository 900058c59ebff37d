"""The maps that an object defines, as it states them: in the old form, in the section `maps`, which libbpf from 1.0 on
refuses, and in the new one, by BTF."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from ebpffix.kernel.btf import Btf, BtfError, Kind
from ebpffix.kernel.elf import Elf, NotElf
from ebpffix.kernel.map_types import BY_NAME
from ebpffix.verify.map_faults import Map

_PERF_EVENTS = BY_NAME["perf_event_array"].number
_DEVICES = (BY_NAME["devmap"].number, BY_NAME["devmap_hash"].number)
_READ_ONLY = 1 << 7  # BPF_F_RDONLY_PROG
_HEAD = "5I"  # what `struct bpf_map_def` and iproute2's `struct bpf_elf_map` both begin with


def old_maps(data: bytes) -> dict[str, Map]:
    """Those of the old form by the names of their symbols, those cut short left out; none of what is no object."""
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


def new_maps(data: bytes) -> dict[str, Map]:
    """Those of the new form by name; what a definition does not state is 0. None of what is no object with BTF."""
    try:
        elf = Elf(data)
        types = elf.body(elf.section(".BTF"))
        return dict(_new_maps(Btf(Path(".BTF"), types))) if types else {}
    except (NotElf, BtfError):
        return {}


def _new_maps(btf: Btf) -> Iterator[tuple[str, Map]]:
    for number in range(len(btf)):
        if btf.kind(number) is Kind.DATASEC and btf.name(number) == ".maps":
            for variable in btf.words(number)[2::3]:
                yield btf.name(variable), _stated(btf, btf.resolve(btf.target(variable)))


def _stated(btf: Btf, record: int) -> Map:
    """What the members of a definition say: `__uint(name, n)` is a pointer to an array of n, `__type(name, T)` one to
    a T."""
    found = dict.fromkeys(("type", "key_size", "value_size", "max_entries", "map_flags"), 0)
    for member in btf.members(record):
        pointer = btf.resolve(member.type)
        if btf.kind(pointer) is not Kind.PTR:
            continue  # the values of a map of maps
        target = btf.resolve(btf.target(pointer))
        if member.name in ("key", "value"):
            found[f"{member.name}_size"] = btf.size_of(target)
        elif member.name in found:
            found[member.name] = btf.array_length(target)
    return Map(*found.values())


def as_made(stated: Map, made: Map) -> Map:
    """A map as it is stated, as loader and kernel make it: a perf event array of no size has one entry a CPU, a device
    map is read-only to programs."""
    if stated.type == _PERF_EVENTS and not stated.entries:
        return stated._replace(entries=made.entries)
    return stated._replace(flags=stated.flags | _READ_ONLY) if stated.type in _DEVICES else stated
