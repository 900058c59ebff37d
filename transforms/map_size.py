"""State how many entries a map holds.

What it does: gives BCC's map macros the size that they have anyway, `BPF_HASH(start, u32, u64, 10240)` for
`BPF_HASH(start, u32)`, key and value spelled out; all maps of a file are one finding. In libbpf's map definitions it
adds the `max_entries` that is missing.

Why: BCC's BPF_HASH, BPF_PERCPU_HASH, BPF_LRU_HASH, BPF_LPM_TRIE, BPF_ARRAY and BPF_PERCPU_ARRAY hold 10240 entries
unless told, and nothing in the program says so. A hash that is full answers every new key with -E2BIG, which few
programs look at: the data is lost without a word (in an LRU map an old entry goes instead). A number in the source is
one that a reader can doubt. In libbpf there is no default: a map without entries cannot be made ("failed to create:
Invalid argument(-22)"), and the whole object does not load.

Suggested, always. BCC: the object code is the same; that 10240 is right for this program is what nobody here knows.
For a cache BPF_LRU_HASH is often better than a bigger hash; never for what an entry probe leaves for a return probe,
because an evicted entry is a call that is never seen. libbpf: user space may set the size before it loads
(`bpf_map__set_max_entries`), and the number that is added is BCC's, or 256 KiB for a ring buffer.
Advice where a size is missing and cannot be put in: in a macro's body, or of a type whose size is not a matter of
taste (device, CPU, socket and program maps); and, once a file, where a program puts keys into a hash of 1024 entries or
fewer, nobody looks whether the update worked, and nothing in the file ever deletes.

Left alone: a stated size, also one that a macro states; BPF_HISTOGRAM, BPF_STACK_TRACE, BPF_TABLE and all other macros
that demand a size; maps that have none (perf event arrays, storage of sockets, tasks, inodes and cgroups: there
max_entries must be 0, measured on 6.18); a map that a file of user space next to the program, or one folder up, sizes
or reuses: one that has both the map's name and such a call; maps of libbpf that a header defines.

Limits: an update of a bigger hash whose result is not looked at is no finding: nearly every tracing program has one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.analysis.maps import defined_number, describe, map_decl
from ebpffix.editing.settle import Made, NoEdit, settle
from ebpffix.fix import BCC, LIBBPF, Edit, Fix, Safety
from ebpffix.frontend import MapCall, Node, Unit
from ebpffix.frontend.unit import Macro
from ebpffix.kernel.map_types import BY_NUMBER, HASH, PERCPU_HASH, MapType, Shape
from ebpffix.sources.source import Source
from ebpffix.transform import Cure, Transform

TRANSFORM = Transform(
    name="map-size",
    pattern=9,
    dialects=(BCC, LIBBPF),
    triggers=(
        rb"\bBPF_(?:(?:PERCPU_|LRU_)?HASH|LPM_TRIE)\s*\((?:[^,;]*,){0,2}[^,;]*\)\s*;",
        rb"\bbpf_map_update_elem\s*\(|\.\s*update\s*\(",
        rb"\bBPF_(?:PERCPU_)?ARRAY\s*\((?:[^,;]*,)?[^,;]*\)\s*;",
        rb"\{(?:(?!max_entries)[^{}])*__uint\s*\(\s*type\s*,"
        rb"(?!\s*BPF_MAP_TYPE_(?:PERF_EVENT_ARRAY|\w*STORAGE|STRUCT_OPS)\b)(?:(?!max_entries)[^{}])*\}\s*\w+\s*SEC\b",
    ),
    summary="map whose size is not stated: BCC's silent default, or none at all in libbpf",
    imperative="state the sizes of maps",
    neighbours=(".c", ".cc", ".cpp", ".h", ".hpp", ".go", ".rs", ".py"),
    shape="BCC's silent 10240 entries; a libbpf map without a size",
    suggested="the size stated",
    advice="a small hash that only grows",
    cures=(Cure("map-creation", r"failed to create.*: Invalid argument"),),
)

DEFAULT = b"10240"
# What the macros of BCC fill in, by position behind the name.
_DEFAULTS = {
    **dict.fromkeys(("BPF_HASH", "BPF_PERCPU_HASH", "BPF_LRU_HASH", "BPF_LPM_TRIE"), (b"u64", b"u64", DEFAULT)),
    **dict.fromkeys(("BPF_ARRAY", "BPF_PERCPU_ARRAY"), (b"u64", DEFAULT)),
}

# The size to add where one is as good as another.
_ADDED = {
    **dict.fromkeys((Shape.HASH, Shape.ARRAY, Shape.TRIE, Shape.STACKS, Shape.QUEUE), DEFAULT),
    Shape.RING: b"256 * 1024",
}
_SMALL = 1024  # entries: a hash of this size or less is soon full, if nothing in the program empties it
_SIZED_BY_USER_SPACE = re.compile(
    rb"set_max_entries|map__resize|set_map_max_entries|\bMaxEntries\b|map__reuse_fd|\breuse_(?:fd|pinned_map)\b"
)


def find(unit: Unit) -> Iterator[Fix]:
    yield from _dropping(unit)
    if unit.dialect == BCC:
        for path, source in unit.sources.items():
            yield from _defaults(unit, source, unit.macros(*_DEFAULTS, path=path))
        return
    for variable in unit.declarations:
        # The user space of a header's maps can be anywhere.
        if variable.kind == "VAR_DECL" and variable.path == unit.path:
            yield from _missing(unit, variable)


# -- BCC


def _defaults(unit: Unit, source: Source, macros: list[Macro]) -> Iterator[Fix]:
    """One finding for all maps of a file that have the default size."""
    sized: list[tuple[Macro, Edit]] = []
    for macro in macros:
        missing = _DEFAULTS[macro.name][len(macro.args) - 1 :]
        if not missing or not source.data[slice(*macro.args[0])] or _redefined(unit, macro.name):
            continue
        start, end = macro.args[-1]
        end = start + len(source.code[start:end].rstrip())  # a comment behind the last argument stays there
        if unit.editable(macro.path, macro.start, macro.end):
            sized.append((macro, Edit(macro.path, end, end, b"".join(b", " + word for word in missing))))
    if not sized:
        return
    names = [source.data[slice(*macro.args[0])].decode("utf-8", "replace") for macro, _ in sized]
    listed = ", ".join(f"`{name}`" for name in names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    subject = f"{listed} has" if len(names) == 1 else f"{len(names)} maps ({listed}) have"
    kinds = {macro.name for macro, _ in sized}
    full = []
    if kinds & {"BPF_HASH", "BPF_PERCPU_HASH", "BPF_LPM_TRIE"}:
        full.append("a full hash drops new keys with -E2BIG")
    if "BPF_LRU_HASH" in kinds:
        full.append("a full LRU hash evicts old keys")
    if kinds & {"BPF_ARRAY", "BPF_PERCPU_ARRAY"}:
        full.append("an array has that memory from the start")
    yield Fix(
        at=sized[0][0],
        message=f"{subject} BCC's default size of 10240 entries; {', '.join(full)}; the fix states the size",
        safety=Safety.SUGGESTED,
        edits=[edit for _, edit in sized],
        reason="whether 10240 is enough is not known here; for a cache take BPF_LRU_HASH, but never for what a return "
        "probe must find",
    )


def _redefined(unit: Unit, name: str) -> bool:
    """Whether the program has a macro of its own by a name of BCC's."""
    own = re.compile(rb"^[ \t]*#[ \t]*define[ \t]+%s\b" % name.encode(), re.MULTILINE)
    return any(own.search(source.uncommented) for source in unit.sources.values())


# -- libbpf


def _missing(unit: Unit, variable: Node) -> Iterator[Fix]:
    """The finding for a map definition without max_entries."""
    number, source = defined_number(variable, "type"), unit.sources.get(variable.path)
    if number is None or variable.is_extern or variable.type.member("max_entries") is not None:
        return
    known = BY_NUMBER.get(number)
    if source is None or (known is not None and not known.needs_size_in_source):
        return
    name = variable.name
    if any(_sizes(text, name) for text in unit.neighbours(*TRANSFORM.neighbours)):
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


# -- updates that fail in silence


def _dropping(unit: Unit) -> Iterator[Fix]:
    """The first small hash of the file that the program fills, never empties, and whose updates nobody looks at."""
    by_map: dict[int, list[MapCall]] = {}
    for call in unit.map_calls:
        by_map.setdefault(map_decl(call.map), []).append(call)
    for decl, calls in by_map.items():
        stores = [c for c in calls if c.op in ("update", "insert")]
        if not decl or not stores or any(c.op == "delete" for c in calls):
            continue
        known = describe(unit, calls[0].map)
        size = _stated(unit, calls[0].map) if known is not None and known.type in (HASH, PERCPU_HASH) else None
        silent = next((c for c in stores if c.call.statement.uncast is c.call and not _only_replaces(c)), None)
        if known is None or known.shared or size is None or size > _SMALL or silent is None:
            continue
        yield Fix(
            silent.call,
            f"`{known.name}` holds {size} {'entry' if size == 1 else 'entries'}, nothing here deletes one, and nobody "
            "looks whether the update worked: a full hash drops new keys with -E2BIG; count what is dropped, or take "
            "an LRU hash if old keys may go",
            Safety.ADVICE,
            reason="how many keys there are, and whether user space takes entries out, is not known here",
        )
        return


def _only_replaces(update: MapCall) -> bool:
    return update.flags is not None and update.flags.uncast.integer == 2  # BPF_EXIST


def _stated(unit: Unit, expression: Node) -> int | None:
    """The number of entries in a map's definition; None where it is no plain number."""
    target = expression.bare.declaration
    if target is None or target.path != unit.path:
        return None
    stated = defined_number(target, "max_entries")
    if stated is not None:
        return stated
    for macro in unit.macros_around(target.path, target.start, target.start + 1)[:1]:
        text = unit.source.data[slice(*macro.args[-1])] if macro.args else b""
        return int(text) if text.isdigit() else None
    return None
