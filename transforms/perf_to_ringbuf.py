"""Send events through a ring buffer.

What it does: a perf event array that the program only puts events into becomes a ring buffer of 256 KiB, and
`bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &e, sizeof(e))` becomes `bpf_ringbuf_output(&events, &e,
sizeof(e), 0)`.

Why: one buffer is shared by all CPUs: events come in their order, memory goes to where it is needed, and nothing is
copied once more when the event is built in place (bpf_ringbuf_reserve, bpf_ringbuf_submit).

Since: Linux 5.8 and libbpf 0.0.9. Where the target kernel is older the array stays. User space reads it by other calls:
`ring_buffer__new` and `ring_buffer__poll` for `perf_buffer__new` and `perf_buffer__poll` (its callback has no CPU, and
there is none for lost events: the program sees that there is no room), `ringbuf.NewReader` for `perf.NewReader` in Go,
`RingBufferBuilder` for `PerfBufferBuilder` in Rust. Where one of these stands next to the program, or one folder up,
the message says so.

Suggested: user space has to change with it. The size is a guess.
Advice where another helper uses the array as well,
where events are sent to another CPU or with a part of the packet, and where the definition or a call stands in a macro.

Left alone: arrays that the program does not send to (it reads counters of the CPU), those of a header, which other
programs may use, and those that are pinned.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.analysis.maps import defined_number, map_decl, stated
from ebpffix.editing.settle import Made, NoEdit, settle
from ebpffix.editing.statements import has_comment
from ebpffix.fix import LIBBPF, Edit, Fix
from ebpffix.frontend import Macro, Node, Unit
from ebpffix.kernel.map_types import BY_NAME
from ebpffix.transform import Transform

_HOSTS = (".c", ".cc", ".cpp", ".go", ".rs", ".py")

TRANSFORM = Transform(
    name="perf-to-ringbuf",
    pattern=0,
    group="modernise",
    dialects=(LIBBPF,),
    triggers=(rb"bpf_perf_event_output\s*\(",),
    summary="events through a perf buffer for each CPU",
    imperative="send events through ring buffers",
    kernel="from 5.8 on",
    neighbours=_HOSTS,
    shape="`bpf_perf_event_output` to this CPU's perf buffer",
    suggested="a ring buffer",
    advice="another use of the array",
)

_SINCE = (5, 8)
_PERF, _OUTPUT = BY_NAME["perf_event_array"].number, "bpf_perf_event_output"
_THIS_CPU = 0xFFFFFFFF  # BPF_F_CURRENT_CPU
_SIZE = b"__uint(max_entries, 256 * 1024)"
_READERS = {
    re.compile(rb"\bperf_buffer__new(?:_\w+)?\s*\("): "ring_buffer__new",
    re.compile(rb"\bperf\.NewReader(?:WithOptions)?\s*\("): "ringbuf.NewReader",
    re.compile(rb"\.InitPerfBuf\s*\("): "InitRingBuf",
    re.compile(rb"\bPerfBufferBuilder\b"): "RingBufferBuilder",
}


def find(unit: Unit) -> Iterator[Fix]:
    if unit.target_kernel < _SINCE:
        return
    for variable in unit.declarations:
        members = stated(unit, variable)
        if not members or variable.path != unit.path or "pinning" in members:
            continue
        if defined_number(variable, "type") == _PERF:
            uses = [n for f in unit.functions for n in f.find("DECL_REF_EXPR") if n.decl == variable.decl]
            calls = [c for c in unit.calls_of(_OUTPUT) if len(c.arguments) == 5 and _target(c) == variable.decl]
            if calls:
                yield _fix(unit, variable, members, calls, len(uses))


def _target(call: Node) -> int:
    place = call.arguments[1].address_of
    return map_decl(place) if place is not None else 0


def _fix(unit: Unit, variable: Node, members: dict[str, Node], calls: list[Node], uses: int) -> Fix:
    def made() -> Made:
        if uses != len(calls):
            raise NoEdit("the array is used in other ways too")
        edits = [*_definition(unit, members), *(edit for call in calls for edit in _call(unit, call))]
        return Made(
            edits, "; " + _user_space(unit), "user space has to read it as a ring buffer, and its size is a guess"
        )

    return settle(variable, f"`{variable.name}` has a buffer for each CPU: a ring buffer is one for all", made)


def _user_space(unit: Unit) -> str:
    for pattern, call in _READERS.items():
        if place := unit.place_beside(pattern, *_HOSTS):
            return f"{place} has to read it by {call}"
    return "user space has to read it by ring_buffer__new, not perf_buffer__new"


def _call(unit: Unit, call: Node) -> list[Edit]:
    context, array, flags, data, size = call.arguments
    if flags.constant != _THIS_CPU:
        raise NoEdit("not all events go to the buffer of this CPU as they are")
    if call.from_macro_body or any(a.from_macro_body for a in call.arguments) or call.callee is None:
        raise NoEdit("a macro's body holds a call")
    if has_comment(unit, call.path, context.start, data.start):
        raise NoEdit("a comment stands between the arguments")
    return [
        Edit(call.path, call.callee.start, call.callee.end, b"bpf_ringbuf_output"),
        Edit(call.path, context.start, array.start, b""),
        Edit(call.path, flags.start, data.start, b""),
        Edit(call.path, size.end, size.end, b", 0"),
    ]


def _definition(unit: Unit, members: dict[str, Node]) -> Iterator[Edit]:
    """The edits that make the array a ring buffer: it has a size, and neither keys nor values."""
    kind = _written(unit, members["type"])
    yield unit.edit(kind, b"__uint(type, BPF_MAP_TYPE_RINGBUF)")
    old = [members[name] for name in ("max_entries", "key_size", "key", "value_size", "value") if name in members]
    for number, member in enumerate(old):
        macro = _written(unit, member)
        yield unit.edit(macro, _SIZE) if number == 0 else _removed(unit, macro)
    if not old:
        yield Edit(kind.path, kind.end, kind.end, b"; " + _SIZE)


def _written(unit: Unit, member: Node) -> Macro:
    """The `__uint(…)` or `__type(…)` that a member is. NoEdit for one that is none, or stands in a macro."""
    around = unit.macros_around(member.path, member.start, member.start + 1)
    if len(around) != 1 or around[0].start != member.start or not around[0].name.startswith("__"):
        raise NoEdit("a macro's body holds the definition")
    return around[0]


def _removed(unit: Unit, member: Macro) -> Edit:
    """Take a member out with its semicolon, and with its line if nothing else is on it."""
    source = unit.source_of(member)
    semicolon = re.compile(rb"\s*;").match(source.code, member.end)
    end = semicolon.end() if semicolon else member.end
    line, line_end = source.line_start(member.start), source.line_end(end)
    if not source.data[line : member.start].strip() and not source.data[end:line_end].strip():
        return Edit(member.path, line, line_end, b"")
    blanks = re.compile(rb"[ \t]*").match(source.data, end)
    return Edit(member.path, member.start, blanks.end() if blanks else end, b"")
