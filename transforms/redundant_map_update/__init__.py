"""Drop a map update that writes a looked-up value back onto itself.

What it does: takes out `bpf_map_update_elem(&map, &key, v, flags)` (BCC: `map.update(&key, v)`) where `v` is what a
lookup of the same key in the same map returned.

Why: the pointer that lookup returns *is* the entry. What is written through it is in the map already, so the update is
a second hash walk and copy for nothing. In a hash it does harm too: it puts a new element in the old one's place, so
that changes which other CPUs made to the old one meanwhile are lost, and `v` no longer points at the entry. Up to
Linux 4.14 such an update did not even load ("R3 type=map_value expected=fp"), and where the value holds a timer or a
lock it still does not ("bpf_timer cannot be accessed directly by load/store").

Safe when the map is a hash or an array (per-CPU or not) and nothing in the file deletes from it. In between only user
space could have deleted the entry, which the update would have put back.
Suggested when the entry can be gone for another reason: an LRU map evicts, the file deletes elsewhere, the map is
pinned or shared, its type is not known; also where an #if leaves out part of the function, where the file was not
wholly understood, in a header that user space includes too, and in a function of a header that gets the map or the
entry from its callers: those of other programs may hand it something else.
Advice where lookup and update have keys that look alike, and the entry was changed in between: it is perhaps a typing
error; where the pointer was looked up under another key first, whose entry the update was perhaps meant to make; where
several programs include the header whose function gets the entry; and where the statement cannot be taken out without
losing a comment or because a macro's body has it.

Left alone: insertion of a missing entry, another map or key, a key that may have changed, a pointer that may not be
the entry any more or was not checked for NULL, a copy that is written back (readers may rely on its being atomic),
BPF_NOEXIST and other flags, a result that is used, any other change of the map in between (also in functions that are
called), a write through the pointer after the update, LPM tries (lookup can return a shorter prefix' entry), functions
with a computed goto or a loop macro.

Lookup and update may be in two functions, of which one returns the entry or hands it on, and map and key may be
parameters: then all that call these functions are looked at. An if that does nothing else goes with the update, and
where it has an else its condition is turned round.

Limits: inner maps, and functions that are called through pointers, are left alone; the entry must be in a variable.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ebpffix.analysis.provenance import entries
from ebpffix.editing.c import one_line
from ebpffix.editing.settle import Made, NoEdit, settle
from ebpffix.fix import BCC, LIBBPF, Fix, Safety
from ebpffix.frontend import Node, Unit
from ebpffix.transform import Cure, Transform

from .changes import Changes
from .doubts import doubt
from .keys import missed, mistyped
from .removal import removal
from .write_back import WriteBack

TRANSFORM = Transform(
    name="redundant-map-update",
    pattern=2,
    dialects=(BCC, LIBBPF),
    triggers=(rb"bpf_map_update_elem\s*\(", rb"\.\s*update\s*\("),
    kernel=">=4.18",
    summary="map update of a value that lookup already returned by reference",
    imperative="do not write back what a lookup returned",
    shape="a value that lookup returned is written back onto itself",
    safe="hash or array, nothing deletes from the map",
    suggested="LRU maps; the file deletes from the map",
    advice="look-alike key",
    cures=(Cure("wrong-pointer", r"(?s)call bpf_map_update_elem.*R3 type=map_value"),),
)


def find(unit: Unit) -> Iterator[Fix]:
    known = entries(unit)
    changes = Changes(unit, known)
    for operation in unit.map_calls:
        update = WriteBack.of(unit, known, operation)
        if update is None:
            continue
        if update.has_same_key:
            if update.is_redundant(changes):
                yield settle(operation.call, _message(update), partial(_without, update))
        elif (other := mistyped(update)) is not None:
            yield _look_alike(update, other)


def _message(update: WriteBack) -> str:
    call, name = one_line(update.update.call.text), update.pointer.name
    message = f"`{call}` writes back the entry that lookup returned; writes through `{name}` are in the map"
    if all(one.array for one in update.maps):
        return message
    return message + " already, and the update could only put back what user space deleted meanwhile"


def _without(update: WriteBack) -> Made:
    edits = removal(update.unit, update.update.call)
    if (other := missed(update)) is not None:
        name = update.pointer.name
        raise NoEdit(
            f"`{name}` was looked up under `{one_line(other.text)}` first: is the entry meant to be stored there?"
        )
    return Made(edits, doubt=doubt(update))


def _look_alike(update: WriteBack, key: Node) -> Fix:
    return Fix(
        at=update.update.call,
        message=f"`{update.pointer.name}` is the entry of `{one_line(key.text)}` and was changed there, but the update "
        f"stores it under `{one_line(update.key.text)}`; is one of the keys a typing error?",
        safety=Safety.ADVICE,
        reason="with two keys the update is not redundant: it copies one entry to another",
    )
