"""Delete what an entry probe left for the return probe, on every path of the return probe.

What it does: where an entry probe stores something under the thread's id (`bpf_get_current_pid_tgid()`, or the thread
or process id out of it) and the return probe looks it up but can leave without deleting it, puts the delete behind the
last use of the entry, or in front of each return that lacks it. Entry and return are kprobe and kretprobe, uprobe and
uretprobe, fentry and fexit, the tracepoints sys_enter and sys_exit. Saving, looking up and deleting may stand in
functions of their own, in a header too; the return that leaks is then perhaps one of the caller: it leaves early, for
what the probed function returned, and never comes to the function that deletes.

Why: an entry that nobody deletes stays when its thread has ended. The hash fills up with the threads that ever were,
and when it is full every update fails with -E2BIG: from then on the tool is silent about new threads. Before that, a
return whose entry was filtered out finds what an older call of the same thread left, and reports a wrong time.

Suggested, always: user space may read the entries too, and then they have to stay. All paths of a function that leak
are closed together, or none is.
Advice where the delete cannot be put in cleanly: the pointer is kept in another variable, the key may have changed or
is out of scope, the value that is returned needs the entry, a macro's body is in the way. And, at most once a file,
where the probed function is one that stacked file systems enter again for the layer below (`vfs_unlink` and its like):
the inner call overwrites what the outer one stored, unless the depth is part of the key.

Left alone: maps that are no plain hash (an LRU map evicts), pinned and shared ones; counters and other state (stored
or looked up by anything but entry and return probes, set up only once, added to by the return probe and never deleted);
entries that another return probe deletes, unless both ends of the probed function use the map; maps that are handed to
what cannot be followed; an early return for another reason than the result: the entry probe may have left for it too.
Functions that no program comes to count for nothing.

Limits: one lookup in a function. Of BCC programs whose names do not say how they are attached the role is guessed: a
return probe asks for the return value, or is named so.
"""

from __future__ import annotations

from collections.abc import Iterator

from ebpffix.analysis.flow import Step
from ebpffix.analysis.pairs import Stash, stashes
from ebpffix.analysis.probes import Probes
from ebpffix.editing.settle import Made, settle
from ebpffix.fix import BCC, LIBBPF, Fix, Spanned
from ebpffix.frontend import Unit
from ebpffix.kernel.map_types import HASH
from ebpffix.transform import Transform

from .closing import at_skipping, behind_lookup
from .nesting import nested
from .paths import Leak, leaks

TRANSFORM = Transform(
    name="stash-leak",
    pattern=8,
    dialects=(BCC, LIBBPF),
    triggers=(rb"bpf_get_current_pid_tgid\s*\(",),
    summary="what an entry probe stored is not deleted on every path of the return probe",
    imperative="delete what the entry probe stored on every path",
    shape="what an entry probe stored stays on a path out of the return probe",
    suggested="delete it",
    advice="nested calls overwrite it",
)


def find(unit: Unit) -> Iterator[Fix]:
    probes = Probes(unit)
    plain = [stash for stash in stashes(unit, probes) if stash.map.type == HASH]
    for stash in plain:
        for leak in leaks(unit, stash):
            if leak.leaving:
                yield _finding(leak, leak.given, leak.leaving)
            if leak.skipping:
                yield _finding(leak, leak.skipping[0].node or leak.function, leak.skipping)
    yield from list(nested(plain))[:1]


def _finding(leak: Leak, at: Spanned, steps: list[Step]) -> Fix:
    make = behind_lookup if steps is leak.leaving else at_skipping
    doubt = f"if user space reads `{leak.stash.name}` too, the entries have to stay"
    return settle(
        at,
        f"{_subject(leak, steps)}: entries of threads that end add up until the hash is full",
        lambda: Made(make(leak), "; the fix deletes it", doubt),
        "; delete it on every path",
    )


def _subject(leak: Leak, steps: list[Step]) -> str:
    stash: Stash = leak.stash
    if not stash.deletes and steps is leak.leaving:
        return f"nothing deletes what the entry probe stored in `{stash.name}`"
    source = leak.unit.source_of(leak.function)
    lines = sorted({source.line(step.node.start) for step in steps if step.node is not None})
    shown = ", ".join(map(str, lines[:-1])) + (" and " if lines[1:] else "") + str(lines[-1])
    where = f"line {shown} leaves" if len(lines) == 1 else f"lines {shown} leave"
    return f"what the entry probe stored in `{stash.name}` stays there where {where} the return probe"
