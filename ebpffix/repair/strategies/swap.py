"""A helper that programs of this type may not call, or that does not work on this type of map.

A table says what stands for it: `bpf_probe_read` is `bpf_probe_read_kernel` where it is gone, an update of a queue is a
push, output into a ring buffer has a helper of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ebpffix.fix import Edit, Span
from ebpffix.frontend import Node
from ebpffix.repair import locate
from ebpffix.repair.model import Candidate, Effect, Refusal, Strategy

STRATEGY = Strategy(
    "swap",
    r"cannot pass map_type|cannot use helper|unknown func|not allowed|R2 type=scalar expected=",
    "Calls the helper that fits the program's or the map's type",
    8,
)


def _renamed(name: str) -> Callable[[Node], bytes]:
    return lambda call: name.encode() + b"(" + b", ".join(a.text for a in call.arguments) + b")"


def _push(call: Node) -> bytes:
    given = call.arguments
    return b"bpf_map_push_elem(" + b", ".join([given[0].text, given[2].text, given[3].text]) + b")"


def _ringbuf_output(call: Node) -> bytes:
    given = call.arguments
    return b"bpf_ringbuf_output(" + b", ".join([given[1].text, given[3].text, given[4].text, b"0"]) + b")"


def _perf_output(call: Node) -> bytes:
    given = call.arguments
    context = next((p.name for p in _parameters(call)), "ctx").encode()
    return (
        b"bpf_perf_event_output("
        + b", ".join([context, given[0].text, b"BPF_F_CURRENT_CPU", given[1].text, given[2].text])
        + b")"
    )


def _pop(call: Node) -> bytes:
    return b"bpf_map_pop_elem(" + b", ".join(a.text for a in call.arguments[:1]) + b")"


def _parameters(call: Node) -> list[Node]:
    function = call.function
    return [c for c in function.children if c.kind == "PARM_DECL"] if function is not None else []


# Helper, what the message must have, what takes its place, and what is different then.
_TABLE: tuple[tuple[str, str, Callable[[Node], bytes], str], ...] = (
    ("bpf_probe_read", r"cannot use|unknown func|not allowed", _renamed("bpf_probe_read_kernel"), "reads the kernel"),
    ("bpf_probe_read_str", r"cannot use|unknown func", _renamed("bpf_probe_read_kernel_str"), "kernel memory is read"),
    ("bpf_get_current_task", r"cannot use|unknown func", _renamed("bpf_get_current_task_btf"), "nothing else"),
    ("bpf_map_update_elem", r"map_type (?:22|23|30)|R2 type=", _push, "the value is pushed"),
    ("bpf_perf_event_output", r"map_type 27", _ringbuf_output, "the event goes to the ring buffer"),
    ("bpf_ringbuf_output", r"map_type 4\b", _perf_output, "the event goes there"),
    ("bpf_ktime_get_boot_ns", r"cannot use|unknown func", _renamed("bpf_ktime_get_ns"), "no suspended time"),
)  # fmt: skip


def propose(refusal: Refusal) -> Iterator[Candidate]:
    """The call that was refused, by the table."""
    unit, step = refusal.unit, refusal.step
    name = step.call if step else ""
    call = locate.call_at(unit, step, name)
    if call is None or not unit.editable(call.path, call.start, call.end):
        return
    for helper, message, write, what in _TABLE:
        if helper == name and re.search(message, refusal.message) and _fits(refusal, name, call):
            effect = Effect.CHANGING if "suspended" in what else Effect.EXACT
            text = write(call)
            says = f"{text.partition(b'(')[0].decode()} instead of {name}: {what}"
            edit = Edit(call.path, call.start, call.end, text)
            yield Candidate((edit,), effect, says, Span(call.path, call.start, call.end))


def _fits(refusal: Refusal, name: str, call: Node) -> bool:
    """An update is a push only of a map that has no keys."""
    if name != "bpf_map_update_elem":
        return True
    state = refusal.trace.state(1)
    return "ks=0" in state or "map_type" in refusal.message
