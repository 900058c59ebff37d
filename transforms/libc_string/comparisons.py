"""memcmp, strcmp and strncmp: the builtin, bpf_strncmp, or byte by byte."""

from __future__ import annotations

from ebpffix.analysis.provenance import prove
from ebpffix.editing.c import one_line
from ebpffix.editing.calls import LibcCall, read_helper
from ebpffix.editing.settle import Made, NoEdit, first_of, settle
from ebpffix.fix import BCC, Fix, Safety
from ebpffix.frontend import Unit
from ebpffix.kernel.helpers import HELPERS

from .bytewise import LONGEST, Test, byte_by_byte, test_around
from .said import NO_LOAD, STEPS, builtin, no_form, room, there_is_no
from .texts import Text, read_only, text_of

_STRNCMP = HELPERS["bpf_strncmp"]


def memcmp(unit: Unit, call: LibcCall) -> Fix:
    if any(prove(unit, a).is_untrusted_kernel for a in call.arguments[:2]):
        return no_form(call, "read the kernel's memory with bpf_probe_read_kernel first")
    size = call.arguments[2].constant
    if size is None:
        return no_form(call, STEPS)
    if unit.dialect == BCC and size > 2:
        what = f"memcmp of {size} bytes does not load where BCC was built with LLVM 14"
        return Fix(call.node, what, Safety.ADVICE, reason=STEPS)
    limits = "" if size in (1, 2, 4) else ", which clang 14 does for 1, 2 and 4 bytes only"
    return builtin(call, f"there is no libc in BPF: `memcmp` is only what the compiler makes of it{limits}")


def compare(unit: Unit, call: LibcCall) -> Fix:
    """strcmp, or strncmp, of a buffer and a string that is known."""
    match [text_of(unit, argument) for argument in call.arguments[:2]]:
        case [None, Text() as text]:
            return _with(unit, call, text, 1)
        case [Text() as text, None]:
            return _with(unit, call, text, 0)
    return no_form(call, STEPS)


def _with(unit: Unit, call: LibcCall, text: Text, at: int) -> Fix:
    """`text` is the argument `at`, the buffer the other one."""
    buffer = call.arguments[1 - at]
    if prove(unit, buffer).is_untrusted_kernel:
        return no_form(call, f"read the string with {read_helper(unit, 'kernel', string=True).decode()} first")
    limit = call.arguments[2].constant if call.name == "strncmp" else text.size
    if limit is None or limit <= 0:
        return no_form(call, STEPS)
    size = min(text.size, limit)
    if room(buffer) < size:
        why = "the array is not known to be as long as the literal: compare its bytes in a constant loop"
        return no_form(call, why)
    test = test_around(call.node)

    def made() -> Made:
        return first_of(lambda: _helper(unit, call, text, at, test), lambda: _bytes(unit, call, text, at, size, test))

    return settle(call.node, there_is_no(call), made, NO_LOAD)


def _helper(unit: Unit, call: LibcCall, text: Text, at: int, test: Test | None) -> Made:
    if unit.dialect == BCC or unit.target_kernel < _STRNCMP.since:
        raise NoEdit("the helper is not there")
    if at == 0 and test is None:
        raise NoEdit("with the strings the other way round the sign of the result changes")
    added = read_only(unit, text)
    bound = b"sizeof(" + call.expression(at) + b")"
    edits = [*added, call.renamed(b"bpf_strncmp"), call.argument(0, call.text(1 - at))]
    if call.name == "strncmp":
        limit = call.arguments[2].constant
        size = call.text(2) if limit is not None and limit <= text.size else bound
        edits += [call.argument(1, size), call.argument(2, call.text(at))]
    else:
        edits.append(call.argument(1, bound + b", " + call.text(at)))
    how = f"; `bpf_strncmp` compares `{one_line(call.arguments[1 - at].uncast.text)}`"
    return Made(edits, how, "needs Linux 5.17 wherever the program runs")


def _bytes(unit: Unit, call: LibcCall, text: Text, at: int, size: int, test: Test | None) -> Made:
    if test is None or size > LONGEST or text.variable is not None:
        raise NoEdit("compare in a loop of a constant number of steps, or with bpf_strncmp from Linux 5.17 on")
    buffer = call.arguments[1 - at].uncast
    edit = byte_by_byte(unit, test, buffer, text.literal, size)
    how = f"; the bytes of `{one_line(buffer.text)}` can be compared one by one"
    return Made([edit], how, "a longer string needs a loop, or bpf_strncmp (5.17)")
