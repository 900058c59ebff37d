"""What the kernel's map types are like: the one place that says so.

    BY_NUMBER[1], BY_NAME["hash"]     a row of the table
    bcc_type("perf_output")           the row that BCC's name of a type means

Source: the kernel's include/uapi/linux/bpf.h, each type's `map_alloc_check`, and BCC's src/cc/frontends/clang.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Shape(Enum):
    """How a map's entries are found."""

    HASH = "hash"  # by a key; entries come and go
    ARRAY = "array"  # by a number; all entries exist from the start
    TRIE = "trie"  # by the longest prefix: lookup may find another key's entry
    DESCRIPTORS = "descriptors"  # by a number: programs, maps, cgroups, perf events
    REDIRECT = "redirect"  # by a number or key: devices, CPUs, sockets
    STACKS = "stacks"
    QUEUE = "queue"  # in an order; no keys
    RING = "ring"  # no entries; max_entries is its size in bytes
    STORAGE = "storage"  # by an object of the kernel; max_entries must be 0
    CGROUP_STORAGE = "cgroup storage"  # by the cgroup that the program is attached to; max_entries must be 0
    STRUCT = "struct"  # one table of functions
    ARENA = "arena"  # pages, not entries


@dataclass(frozen=True)  # no slots: BCC's Python may be 3.9
class MapType:
    """A row: `number` is that of enum bpf_map_type, `name` its enumerator in small letters, `since` the first kernel
    that has it, `words` what a person calls it."""

    number: int
    name: str
    since: tuple[int, int]
    words: str
    shape: Shape
    key: int | None  # bytes that a key must have; 0 for none, None for any
    per_cpu: bool = False
    lru: bool = False

    @property
    def needs_max_entries(self) -> bool:
        """Whether the kernel makes no such map without max_entries; the storage maps must not have any."""
        return self.shape not in (Shape.STORAGE, Shape.CGROUP_STORAGE, Shape.STRUCT)

    @property
    def needs_size_in_source(self) -> bool:
        """Whether max_entries must be in the definition: for a perf event array libbpf takes the number of CPUs."""
        return self.needs_max_entries and self.name != "perf_event_array"

    @property
    def in_place(self) -> bool:
        """Whether lookup gives a pointer to the entry itself, so that what is written through it is in the map."""
        return self.shape in (Shape.HASH, Shape.ARRAY, Shape.TRIE, Shape.STORAGE, Shape.CGROUP_STORAGE) and not (
            self.name.endswith("_of_maps")
        )

    @property
    def is_hash(self) -> bool:
        """Whether it is a hash of values, be it LRU or per CPU."""
        return self.shape is Shape.HASH and self.in_place

    @property
    def is_array(self) -> bool:
        """Whether it is an array of values: its entries always exist, and cannot be deleted."""
        return self.shape is Shape.ARRAY

    @property
    def operations(self) -> frozenset[str]:
        """What a program may do with it by `bpf_map_OPERATION_elem`."""
        if self.shape is Shape.QUEUE:
            return _BLOOM if self.name == "bloom_filter" else _QUEUE
        if self.shape in (Shape.HASH, Shape.TRIE):
            return _KEYED if self.in_place else frozenset(("lookup",))
        if self.shape is Shape.ARRAY:
            return _INDEXED
        return _OTHERS.get(self.name, frozenset())


_KEYED = frozenset(("lookup", "update", "delete", "lookup_percpu"))
_INDEXED = frozenset(("lookup", "update", "lookup_percpu"))
_QUEUE = frozenset(("push", "pop", "peek"))
_BLOOM = frozenset(("push", "peek"))
_OTHERS = {
    **dict.fromkeys(("array_of_maps", "xskmap", "devmap", "devmap_hash", "cpumap"), frozenset(("lookup",))),
    **dict.fromkeys(("sockmap", "sockhash"), frozenset(("lookup", "update", "delete"))),
    "stack_trace": frozenset(("lookup", "delete")),
}

_ROWS = """
1  3.19 hash                            hash    -  hash
2  3.19 array                           array   4  array
3  4.2  prog_array                      descriptors 4 program array
4  4.3  perf_event_array                descriptors 4 perf event array
5  4.6  percpu_hash                     hash    -  per-CPU hash
6  4.6  percpu_array                    array   4  per-CPU array
7  4.6  stack_trace                     stacks  4  stack trace map
8  4.8  cgroup_array                    descriptors 4 cgroup array
9  4.10 lru_hash                        hash    -  LRU hash
10 4.10 lru_percpu_hash                 hash    -  LRU per-CPU hash
11 4.11 lpm_trie                        trie    -  LPM trie
12 4.12 array_of_maps                   descriptors 4 array of maps
13 4.12 hash_of_maps                    hash    -  hash of maps
14 4.14 devmap                          redirect 4 device map
15 4.14 sockmap                         redirect 4 socket map
16 4.15 cpumap                          redirect 4 CPU map
17 4.18 xskmap                          redirect 4 XSK map
18 4.18 sockhash                        redirect - socket hash
19 4.19 cgroup_storage                  cgroup_storage - old cgroup storage
20 4.19 reuseport_sockarray             redirect 4 reuseport socket array
21 4.20 percpu_cgroup_storage           cgroup_storage - per-CPU cgroup storage
22 4.20 queue                           queue   0  queue
23 4.20 stack                           queue   0  stack
24 5.2  sk_storage                      storage 4  socket storage
25 5.4  devmap_hash                     redirect 4 device hash
26 5.6  struct_ops                      struct  4  struct_ops
27 5.8  ringbuf                         ring    0  ring buffer
28 5.10 inode_storage                   storage 4  inode storage
29 5.11 task_storage                    storage 4  task storage
30 5.16 bloom_filter                    queue   0  Bloom filter
31 6.1  user_ringbuf                    ring    0  user ring buffer
32 6.2  cgrp_storage                    storage 4  cgroup storage
33 6.9  arena                           arena   0  arena
"""


def _row(line: str) -> MapType:
    number, since, name, shape, key, words = line.split(None, 5)
    major, _, minor = since.partition(".")
    return MapType(
        int(number),
        name,
        (int(major), int(minor)),
        words,
        Shape(shape.replace("_", " ")),
        None if key == "-" else int(key),
        per_cpu="percpu" in name,
        lru=name.startswith("lru_"),
    )


BY_NUMBER = {row.number: row for row in map(_row, _ROWS.strip().splitlines())}
BY_NAME = {row.name: row for row in BY_NUMBER.values()}
HASH, PERCPU_HASH = BY_NAME["hash"], BY_NAME["percpu_hash"]

# BCC's names of types, where they are not the enumerator's.
_BCC = {
    "histogram": "hash",  # an array where its keys are int, which the macro does not show
    "prog": "prog_array",
    "perf_output": "perf_event_array",
    "perf_array": "perf_event_array",
    "ringbuf_output": "ringbuf",
    "stacktrace": "stack_trace",
    "stack_trace_buildid": "stack_trace",
}


def bcc_type(name: str) -> MapType | None:
    """The type that BPF_TABLE("name", …) or BPF_NAME(…) makes; None for a name that BCC does not have."""
    return BY_NAME.get(_BCC.get(name, name))
