"""Hashes that can fill, and updates of them at whose result nobody looks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.analysis.accesses import accesses
from ebpffix.analysis.maps import Map, defined_number, describe, map_decl
from ebpffix.analysis.pairs import target_of
from ebpffix.analysis.probes import Probes
from ebpffix.fix import Fix, Safety
from ebpffix.frontend import MapCall, Node, Unit
from ebpffix.kernel.map_types import HASH, PERCPU_HASH

_SMALL = 1024  # entries: a hash of this size or less is soon full, if nothing in the program empties it
_MAKING = ("update", "insert", "increment", "atomic_increment", "lookup_or_init", "lookup_or_try_init")
# Objects of the kernel whose address serves as key: where one ends, as targets of programs, and in words.
_ENDS = {
    "sock": (
        re.compile(r"tcp_close|\w*destroy_sock|\w*set_state|\w*sk_free|\w*sk_destruct|inet_release|\w*sock_release"),
        "tcp_v4_destroy_sock, or the tracepoint inet_sock_set_state with TCP_CLOSE",
    ),
    "bio": (
        re.compile(r"bio_endio|block_bio_complete|bio_free|bio_put"),
        "the tracepoint block_bio_complete, or bio_endio",
    ),
    "request": (
        re.compile(r"block_rq_complete|blk_account_io_done|\w*blk_mq_end_request|\w*blk_mq_free_request"),
        "the tracepoint block_rq_complete",
    ),
}


def can_fill(unit: Unit, name: str) -> bool:
    """Whether a map of BCC grows with keys that do not run out, and is never emptied here."""
    calls = [c for c in unit.map_calls if c.map.name == name]
    if any(c.op in ("delete", "clear") for c in calls):
        return False
    probes = Probes(unit)
    return any(c.op in _MAKING and c.key is not None and _is_endless(probes, c.key) for c in calls)


def _is_endless(probes: Probes, key: Node) -> bool:
    variable = key.address_of or key.uncast
    if variable.constant is not None:
        return False
    type_ = variable.type
    return type_.is_record or type_.is_pointer or type_.size == 8 or probes.is_thread(key)


def silent_updates(unit: Unit) -> Iterator[Fix]:
    """The first hash of the file that the program fills, that can fill up, and whose updates nobody looks at."""
    by_map: dict[int, list[MapCall]] = {}
    for call in unit.map_calls:
        by_map.setdefault(map_decl(call.map), []).append(call)
    for decl, calls in by_map.items():
        stores = [c for c in calls if c.op in ("update", "insert") and not _only_replaces(c)]
        silent = next((c for c in stores if c.call.statement.uncast is c.call), None)
        known = describe(unit, calls[0].map) if decl else None
        if silent is None or known is None or known.type not in (HASH, PERCPU_HASH) or known.shared:
            continue
        size = _stated(unit, calls[0].map)
        message = _only_grows(known, size, calls) or _outlives(unit, known, size, silent)
        if message:
            reason = "how many keys there are, and whether user space takes entries out, is not known here"
            yield Fix(silent.call, message, Safety.ADVICE, reason=reason)
            return


def _only_grows(map_: Map, size: int | None, calls: list[MapCall]) -> str:
    if size is None or size > _SMALL or any(c.op == "delete" for c in calls):
        return ""
    return (
        f"`{map_.name}` holds {size} {'entry' if size == 1 else 'entries'}, nothing here deletes one, and nobody "
        "looks whether the update worked: a full hash drops new keys with -E2BIG; count what is dropped, or take "
        "an LRU hash if old keys may go"
    )


def _outlives(unit: Unit, map_: Map, size: int | None, store: MapCall) -> str:
    """The message for a map keyed by the address of an object, whose entries can outlive it; "" for all else."""
    variable = store.key.address_of if store.key is not None else None
    kind = variable.type.pointee.name if variable is not None and variable.type.is_pointer else ""
    if kind not in _ENDS:
        return ""
    ends, words = _ENDS[kind]
    deletes = [a for a in accesses(unit) if a.decl == map_.decl and a.call.op == "delete"]
    if any(ends.fullmatch(target_of(a)) for a in deletes) and (size is None or size > _SMALL):
        return ""
    return (
        f"`{map_.name}` is keyed by `struct {kind} *`, and nobody looks whether the update worked: entries whose end "
        f"is not seen stay, and a full hash drops new keys with -E2BIG; delete them where a {kind} ends ({words}), and "
        "count what is dropped"
    )


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
