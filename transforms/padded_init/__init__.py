"""Zero a struct with padding before its members are set, where the kernel reads all of its bytes.

What it does: declares the object, clears it with `__builtin_memset(&x, 0, sizeof(x))`, and then sets the members in
the order in which they were written, comments and #if lines kept. Memory of a ring buffer is cleared behind the test
for NULL, in the function that has one: where it is reserved, or where a helper function returns it to.

Why: padding between members, spare bits of a bitfield, tail bytes, the rest of a union and members that are never set
are not written by `= { .a = x }`, by `x = (struct t){ … }`, nor by assignments alone: they hold what was on the stack,
or in a ring buffer the records of before. As a map's key such an object misses on lookup, because the map compares
every byte; as an event or a map's value it carries kernel stack to user space; loaded with CAP_BPF alone the verifier
of most kernels refuses it (`invalid indirect read from stack`). A read of a string (`bpf_probe_read_kernel_str`,
`bpf_d_path`) fills its member only as far as the string goes: what stands behind its end counts as not written.

Safe when the layout is known and bytes that go to a helper were never written.
Suggested when the struct has no padding but bitfields that fill their unit (compilers and kernels of 2020 refused
them, today's take them); when clang 14 and 19 clear the whole object themselves, which C does not promise: every value
of a declared object is a constant, or the object has more than 16 bytes and at most a quarter of them gets values that
are not 0; where only the end behind a string is left in an event or value; where memory of a ring buffer has its bytes
written on some paths; in a header that user space shares.
Advice where no list of assignments does the same: initialisers out of macros, `&(struct t){ … }` in a call, const
members, a list that mentions its own object or may reach it through a pointer; and for objects that are larger than
what clang clears at once (128 stores).
Left alone: structs without padding; objects that no helper reads; static, global and const objects; copies (`= *p`,
`= f()`); objects cleared by memset or filled whole by a helper first; `= {}` and `= {0}`, which clang 14 and 19 both
turn into a clearing of all bytes (tried on holes, tails, spare bits, unions and nested structs); types that are not
known; branches that no caller takes. A later `x = (struct t){0}` is no such thing: there the padding stays as it was.

Limits: an address kept in another object, or handed to a function whose body is not in the run, counts as written
through; arrays of structs and other memory behind pointers are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

from ebpffix.analysis.provenance import is_reached
from ebpffix.editing.settle import Made, settle
from ebpffix.fix import BCC, LIBBPF, Fix, Safety
from ebpffix.frontend import Node, Unit
from ebpffix.transform import Cure, Transform

from . import escapes, layout, reserved, variables
from .escapes import Object
from .unwritten import Unwritten

TRANSFORM = Transform(
    name="padded-init",
    pattern=3,
    dialects=(BCC, LIBBPF),
    triggers=escapes.TRIGGERS,
    summary="bytes of a map key, map value or event that are left as they were",
    imperative="zero keys, values and events before they are filled",
    shape="padding or spare bits of a key, value or event are never written",
    safe="the object escapes with such bytes",
    suggested="bitfields that fill their unit; clang clears the object itself; ends of strings",
    advice="macros, compound literals in odd places",
    cures=(Cure("uninit-stack", r"\bcall \w|indirect read"),),
)

_TEXT = "what reads the string only to its end does not see the bytes behind it"
_SOME_PATHS = "some paths write these bytes, and it may be that every event takes one of these"


def find(unit: Unit) -> Iterator[Fix]:
    for function in unit.functions:
        for declaration in function.find("VAR_DECL"):
            if _is_object(declaration):
                begins = variables.begins(unit, declaration)
                yield from (_variable(begin) for begin in begins if is_reached(unit, function))
        for literal in function.find("COMPOUND_LITERAL_EXPR"):
            yield from _unnamed(unit, literal)
    for call, holders in reserved.reservations(unit):
        if is_reached(unit, call.function):
            yield from _memory(unit, call, holders)


def _is_object(declaration: Node) -> bool:
    type_, parent = declaration.type, declaration.parent
    if parent is None or parent.kind != "DECL_STMT" or not type_.is_record or type_.size == 0:
        return False
    return declaration.is_local and not type_.is_const


def _variable(begin: variables.Begin) -> Fix:
    name, fault = begin.object.name, begin.fault
    if fault is None:
        what = f"`{name}` goes to {begin.kept} with bitfields set by an initialiser; zero it first"
    else:
        what = _message(begin.object, fault, fault.never)
    doubt = begin.doubt or (_TEXT if fault is not None and _is_end_of_text(fault) else "")
    return settle(begin.at, what, lambda: Made(begin.edits(), doubt=doubt))


def _memory(unit: Unit, call: Node, holders: list[reserved.Holder]) -> Iterator[Fix]:
    """Memory that is submitted with bytes that were not written: by all who get it from one call."""
    faults = [fault for holder in holders for fault in holder.all_faults]
    if not faults:
        return
    object_, fault = next((one for one in faults if one[1].never), faults[0])
    doubt = "" if fault.never else _SOME_PATHS
    if all(one.never == one.never & one.text for _, one in faults) and fault.never:
        doubt = _TEXT

    def made() -> Made:
        edits = [edit for holder in holders if any(holder.all_faults) for edit in reserved.cleared(unit, holder)]
        return Made(edits, doubt=doubt)

    yield settle(call, _message(object_, fault, fault.never or fault.sometimes), made)


def _is_end_of_text(fault: Unwritten) -> bool:
    return not fault.event.key and not fault.never & ~fault.text


def _message(object_: Object, fault: Unwritten, bits: int) -> str:
    what = layout.describe(object_.type, bits, fault.text)
    return f"`{object_.name}` goes to {fault.event.to} with bytes never written ({what}); zero it first"


def _unnamed(unit: Unit, literal: Node) -> Iterator[Fix]:
    """A compound literal whose address goes straight to a helper: it has no name to clear it by."""
    items = variables.list_of(literal)
    if not literal.type.is_record or items is None or literal.path not in unit.sources:
        return
    unset = layout.all_bits(literal.type) & ~layout.data_bits(literal.type)
    for event in escapes.literal_events(unit, literal):
        if event.to and event.bits & unset:
            what = layout.describe(literal.type, event.bits & unset)
            message = f"an unnamed object goes to {event.to} with bytes never written ({what}); zero a named one first"
            yield Fix(literal, message, Safety.ADVICE, reason="a compound literal in a call has no name to clear it by")
            return
