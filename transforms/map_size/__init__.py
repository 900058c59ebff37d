"""State how many entries a map holds.

What it does: gives BCC's map macros the size that they have anyway, `BPF_HASH(start, u32, u64, 10240)` for
`BPF_HASH(start, u32)`, key and value spelled out, where the program fills the map and never empties it; all such maps
of a file are one finding, and the others one line of advice. In libbpf's map definitions it adds the `max_entries` that
is missing. Where a variable given as key is smaller than the map's key, the key's type becomes that of the variable.

Why: BCC's BPF_HASH, BPF_PERCPU_HASH, BPF_LRU_HASH, BPF_LPM_TRIE, BPF_ARRAY and BPF_PERCPU_ARRAY hold 10240 entries
unless told, and nothing in the program says so. A hash that is full answers every new key with -E2BIG, which few
programs look at: the data is lost without a word (in an LRU map an old entry goes instead). A number in the source is
one that a reader can doubt. In libbpf there is no default: a map without entries cannot be made ("failed to create:
Invalid argument(-22)"), and the whole object does not load.

A key is read as long as the map's key is: of a `__u32` given for a `__u64` the four bytes behind it become part of the
key, whatever they hold, and the verifier refuses the program where they were never written.

Suggested, always. BCC: the object code is the same; that 10240 is right for this program is what nobody here knows.
For a cache BPF_LRU_HASH is often better than a bigger hash; never for what an entry probe leaves for a return probe,
because an evicted entry is a call that is never seen. libbpf: user space may set the size before it loads
(`bpf_map__set_max_entries`), and the number that is added is BCC's, or 256 KiB for a ring buffer.
Advice where a size is missing and cannot be put in: in a macro's body, or of a type whose size is not a matter of
taste (device, CPU, socket and program maps); where keys of several sizes are given; and, once a file, where a program
puts keys into a hash, nobody looks whether the update worked, and it can fill: one of 1024 entries or fewer from which
nothing in the file ever deletes, or one keyed by the address of a socket, a request or a bio that is not deleted where
that ends.

Left alone: a stated size, also one that a macro states; BPF_HISTOGRAM, BPF_STACK_TRACE, BPF_TABLE and all other macros
that demand a size; maps that have none (perf event arrays, storage of sockets, tasks, inodes and cgroups: there
max_entries must be 0, measured on 6.18); a map that a file of user space next to the program, or one folder up, sizes
or reuses: one that has both the map's name and such a call; maps of libbpf that a header defines.

Limits: a BCC hash can fill where the program makes entries and deletes none, under keys that do not run out: addresses,
structures, 64-bit numbers, threads and processes. An update of a bigger hash whose result is not looked at is no
finding: nearly every tracing program has one.
"""

from __future__ import annotations

from collections.abc import Iterator

from ebpffix.fix import BCC, LIBBPF, Fix
from ebpffix.frontend import Unit
from ebpffix.transform import Cure, Transform

from .defaults import DEFAULTS, defaults
from .full import silent_updates
from .keys import short_keys
from .missing import missing

TRANSFORM = Transform(
    name="map-size",
    pattern=9,
    dialects=(BCC, LIBBPF),
    triggers=(
        rb"\bBPF_(?:(?:PERCPU_|LRU_)?HASH|LPM_TRIE)\s*\((?:[^,;]*,){0,2}[^,;]*\)\s*;",
        rb"bpf_map_(?:lookup|update|delete)_elem\s*\(|\.\s*update\s*\(",
        rb"\bBPF_(?:PERCPU_)?ARRAY\s*\((?:[^,;]*,)?[^,;]*\)\s*;",
        rb"\{(?:(?!max_entries)[^{}])*__uint\s*\(\s*type\s*,"
        rb"(?!\s*BPF_MAP_TYPE_(?:PERF_EVENT_ARRAY|\w*STORAGE|STRUCT_OPS)\b)(?:(?!max_entries)[^{}])*\}\s*\w+\s*SEC\b",
    ),
    summary="map whose size is not stated: BCC's silent default, or none at all in libbpf",
    imperative="state the sizes of maps",
    neighbours=(".c", ".cc", ".cpp", ".h", ".hpp", ".go", ".rs", ".py"),
    shape="BCC's silent 10240 entries; a libbpf map without a size",
    suggested="the size stated; the key as wide as what is given",
    advice="a hash that can fill, unseen; a default",
    cures=(Cure("map-creation", r"failed to create.*: Invalid argument"),),
)


def find(unit: Unit) -> Iterator[Fix]:
    yield from silent_updates(unit)
    if unit.dialect == BCC:
        for path, source in unit.sources.items():
            yield from defaults(unit, source, unit.macros(*DEFAULTS, path=path))
        return
    yield from short_keys(unit)
    sizes = list(unit.neighbours(*TRANSFORM.neighbours))
    for variable in unit.declarations:
        # The user space of a header's maps can be anywhere.
        if variable.kind == "VAR_DECL" and variable.path == unit.path:
            yield from missing(unit, variable, sizes)
