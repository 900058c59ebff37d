"""The rewrite of a pair with a map of its own: stored on entry, taken out on return.

stored(pair, groups, names) -> Made         NoEdit where that cannot be written
"""

from __future__ import annotations

from collections.abc import Sequence

from ebpffix.editing.c import declared
from ebpffix.editing.settle import Made, NoEdit
from ebpffix.editing.statements import indent_step
from ebpffix.fix import Edit
from ebpffix.frontend import Node
from ebpffix.kernel.helpers import THREAD_ID

from .arguments import Group, Pair, distinct
from .heads import new_head
from .opening import before_function, body_of, leading, open_body
from .placing import Placed, placed
from .stash import Names, Stash


def stored(pair: Pair, groups: Sequence[Group], names: Names) -> Made:
    places = [placed(pair, group) for group in groups]
    stash = Stash(pair, names, tuple(distinct(one.argument for one in places)))
    it = "it" if len(places) == 1 else "them"
    edits, lines = new_head(pair)
    if pair.entry is None:
        attached = "BCC attaches it by its name" if pair.is_bcc else "libbpf attaches it by its section"
        how = f": a new program `{names.entry.decode()}` stores {it} on entry, {attached}"
        doubt = "it adds a program that runs on every call of the function, and a map"
        edits += _in_front(pair, [*stash.definitions(), *stash.entry_probe()])
    else:
        if body_of(pair.entry).path != pair.program.function.path:
            raise NoEdit("the entry probe is in another file: store them there, and look them up here")
        how = f": the entry probe `{pair.entry.name.removeprefix('____')}` stores {it}"
        doubt = "it adds a map, and the return probe leaves where the entry probe did not run"
        edits += [*stash.store_in(pair.entry), *_in_front(pair, stash.definitions())]
    edits += [edit for one in places for edit in one.edits]
    return Made([*edits, *_taken_out(stash, places, lines, edits), *_deleted(places)], how, doubt)


def _in_front(pair: Pair, lines: Sequence[bytes]) -> list[Edit]:
    """Lines in front of both probes."""
    function = pair.program.function
    first = min((function, pair.entry or function), key=lambda one: body_of(one).start)
    return before_function(pair.unit, first, lines)


def _deleted(places: Sequence[Placed]) -> list[Edit]:
    return [edit for one in places for edit in one.deleted]


def _taken_out(stash: Stash, places: Sequence[Placed], first: list[bytes], edits: Sequence[Edit]) -> list[Edit]:
    """The beginning of the return probe, behind declarations that do not need it: the lines `first`, the lookup, what
    leaves without an entry, the copies, the delete."""
    pair, names, function = stash.pair, stash.names, stash.pair.program.function
    body, deleted = body_of(function), _deleted(places)
    starts = [e.start for e in (*deleted, *edits) if e.path == body.path and e.start > body.start]
    given = {r.parameter.decl for r in pair.reads if r.parameter}  # variables from now on
    starts += [n.start for n in body.find("DECL_REF_EXPR") if n.decl in given and n.path == body.path]
    key, behind = leading(pair.unit, function, min(starts, default=None))
    identity, saved = stash.free(function, b"id", b"saved")
    value = stash.value + (b"*" if stash.value.endswith(b"*") else b" *")
    place = names.map, key or identity
    lookup = (b"%s.lookup(&%s)" if pair.is_bcc else b"bpf_map_lookup_elem(&%s, &%s)") % place
    delete = (b"%s.delete(&%s);" if pair.is_bcc else b"bpf_map_delete_elem(&%s, &%s);") % place
    copies = [
        b"%s = %s;" % (one.argument.declaration, b"*" + saved if len(places) == 1 else saved + b"->" + argument.name)
        for one, argument in zip(places, stash.arguments, strict=True)
    ]
    lines = [
        *first,
        *([] if key else [b"%s %s = %s();" % (stash.u64, identity, THREAD_ID.encode())]),
        b"%s = %s;" % (declared(value, saved), lookup),
        *_leave(stash, saved, key),
        *copies,
        delete,
    ]
    return open_body(pair.unit, function, lines, behind, deleted)


def _leave(stash: Stash, saved: bytes, key: bytes | None) -> list[bytes]:
    """The statement that leaves the return probe where the map has nothing, and deletes what other maps have."""
    pair, step = stash.pair, indent_step(stash.source)
    missing = b"return;" if pair.program.function.type.result.is_void else b"return 0;"
    others = _other_deletes(pair, pair.program.function, key) if key else []
    if not others:
        return [b"if (!%s)" % saved, step + missing]
    return [b"if (!%s) {" % saved, *(step + line for line in [*others, missing]), b"}"]


def _other_deletes(pair: Pair, function: Node, key: bytes) -> list[bytes]:
    """The statements by which the return probe deletes the call's entries of other maps."""
    calls = [c for c in pair.unit.map_calls if c.op == "delete" and c.call.function is function]
    ours = [c.call.text + b";" for c in calls if c.key is not None and c.key.text == b"&" + key]
    return list(dict.fromkeys(text for text in ours if b"\n" not in text))
