"""Copy and set memory by the compiler's builtins, and kernel memory by a helper.

What it does: `memcpy` and its like get the builtin's name, loops that copy byte by byte become one, and a source in the
kernel's memory is read by a probe read.

Why: there is no C library in BPF. `memcpy(d, s, 16)` works only because the compiler writes the copy out, up to 1024
bytes of a constant size, in at most 128 stores (1015 bytes take 129; more is "A call to built-in function 'memcpy' is
not supported"). Where no header declares memcpy, clang 19 refuses it. `__builtin_memcpy` says what is meant, needs no
header, and gives the same object code. A source in the kernel's memory is another matter: the copy is then plain loads,
which the verifier refuses ("invalid mem access 'scalar'"); there `bpf_probe_read_kernel` is meant.

Safe: memcpy, memset, memmove and bzero of a constant size up to 1024 get the builtin; a loop that copies or sets a
constant number of bytes one by one becomes one, with its `#pragma unroll`, and so do four or more elements in a row
that are copied by hand (`d[0] = s[0]; d[1] = s[1]; …`, or `d[i] = s[i]; i++; …`); a source that is certainly kernel or
user memory, refused today, is read by `bpf_probe_read_kernel` or `_user` (in libbpf further links of the source are
read by `BPF_CORE_READ`).
Suggested: a size that is more than there is, `memcpy(what, "MAP_CREATE", 39)`, which reads or writes what lies behind
it: the size of the literal, array or variable. A constant size over 1024, or a variable one, which do not compile, by
the builtin's own name neither: `bpf_probe_read_kernel`, the size held down to the array's. The size goes through a
`__u64`: `if (len > 256) len = 256;` on a u32 is refused by some kernels. Also whatever stands in a header that user
space includes, and in files that were not wholly understood.
Advice: objects of more than the 512 bytes of the stack; variable sizes and large ones for which no form is certain;
kernel memory where the result of memcpy is used; too much where it has no size that could be written.
Left alone: a memcpy that the project defines itself, as a macro or function; macros' bodies; loops with a comment in
them, with anything else in them, over memory that may overlap, or whose counter is looked at afterwards; code that no
program reaches.

Limits: a pointer whose origin is not known counts as the program's own memory, so that only the name changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from ebpffix.analysis.flow import Flow
from ebpffix.analysis.provenance import HOSTS, is_reached
from ebpffix.editing.c import one_line
from ebpffix.editing.settle import NoEdit
from ebpffix.fix import BCC, LIBBPF, Edit, Fix, Safety
from ebpffix.frontend import Node, Unit
from ebpffix.transform import Cure, Transform

from .byteloop import ByteLoop, byte_loop, replacement
from .copies import copies
from .sizes import large, on_stack, past_the_end, variable
from .sources import plain_name, unreadable
from .written_out import Run, at_once, runs

_COPY = r"(?:\b|_)mem(?:cpy|move|set|cmp)\s*\("

TRANSFORM = Transform(
    name="builtin-memcpy",
    pattern=4,
    dialects=(BCC, LIBBPF),
    triggers=(
        rb"(?:\b|_builtin_)(?:memcpy|memset|memmove|bcopy|bzero)\s*\(",
        rb"\bfor\s*\([^;{}]*;[^;{}]*;[^;{}]*\)\s*\{?[^;{}=]*\]\s*=[^=]",
        rb"\]\s*=[^=;{}]*\]\s*;(?:[^;{}\]]*;)?[^;{}=]*\]\s*=[^=;{}]*\]\s*;",
    ),
    kernel=">=3.18",
    neighbours=HOSTS,
    user_space=True,
    summary="memcpy and its like, which only the compiler's builtins can be in BPF",
    imperative="call the builtins of the compiler for memcpy and its like",
    shape="`memcpy` and its like are only the compiler's builtins",
    safe="same object code; a constant byte loop or a copy by hand; a kernel source that is refused today",
    suggested="variable size; a size that is more than there is",
    advice="more than the stack has",
    cures=(
        Cure("unclamped-length", _COPY),
        Cure("scalar-deref", _COPY),
    ),
)


_ROWS = (unreadable, past_the_end, on_stack, variable, large, plain_name)  # the first that fits speaks


def find(unit: Unit) -> Iterator[Fix]:
    for copy in copies(unit):
        if is_reached(unit, copy.call.node.function):
            yield from filter(None, (next(filter(None, (row(copy) for row in _ROWS)), None),))
    for function in unit.functions:
        heads, by_hand = list(function.find("FOR_STMT")), list(runs(unit, function))
        if (heads or by_hand) and is_reached(unit, function):
            yield from _loops(unit, Flow(function), heads)
            yield from _by_hand(unit, by_hand)


def _loops(unit: Unit, flow: Flow, heads: list[Node]) -> Iterator[Fix]:
    found = [loop for head in heads if (loop := byte_loop(unit, head, flow)) is not None]
    for loop in found:
        with suppress(NoEdit):  # a loop is no fault
            yield _loop(loop, replacement(unit, loop, found, flow))


def _loop(found: ByteLoop, edits: list[Edit]) -> Fix:
    what, name = ("copies", "memcpy") if found.source is not None else ("sets", "memset")
    message = f"a loop {what} `{one_line(found.target.text)}` byte by byte, which is `__builtin_{name}`"
    return Fix(found.loop, message, Safety.SAFE, edits)


def _by_hand(unit: Unit, found: list[Run]) -> Iterator[Fix]:
    for run in found:
        with suppress(NoEdit):
            message = f"{run.count} elements of `{one_line(run.target.text)}` are copied one by one"
            yield Fix(run.first, f"{message}, which is `__builtin_memcpy`", Safety.SAFE, [at_once(unit, run)])
