"""How many bytes are copied or set: more than there are, more than clang writes out, or nobody knows how many."""

from __future__ import annotations

from ebpffix.analysis.extent import extent
from ebpffix.analysis.provenance import Space, prove
from ebpffix.editing.c import one_line, statements
from ebpffix.editing.calls import read_helper, size_text
from ebpffix.editing.settle import Made, NoEdit, settle
from ebpffix.editing.statements import before, nth_local
from ebpffix.fix import BCC, Fix, Safety
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.inline_copy import LARGEST, MOST_STORES, is_inline, stores

from .copies import SAME, Copy, copies

_SMALLER = "give it the size of the smaller object"
_STACK = 512  # bytes
_CLAMPED = """
    {type} {size} = {length};
    if ({size} > {room})
    \t{size} = {room};
"""


def past_the_end(copy: Copy) -> Fix | None:
    """More bytes than there are: what lies behind is read or overwritten, whatever the function is called."""
    call, size = copy.call, copy.size
    for side in copy.sides:
        room = extent(call.arguments[side])
        if size is None or room is None or size <= room or _is_packet(copy, side):
            continue
        does, behind = ("writes", "overwritten") if side == copy.to else ("reads", "read")
        if copy.name in SAME:  # its arguments stand in another order
            return Fix(
                call.node, f"{call.name} of {size} bytes, where there are {room}", Safety.ADVICE, reason=_SMALLER
            )
        what = f"{call.name} {does} {size} bytes of `{one_line(call.text(side))}`, which has {room}"

        def made(side: int = side, behind: str = behind) -> Made:
            sized = size_text(call, side)
            doubt = f"what lies behind it is {behind} today; if that is meant, name the object that holds both"
            return Made([*copy.renamed, call.argument(-1, sized)], f": `{one_line(sized)}`", doubt)

        return settle(call.node, what, made)
    return None


def _is_packet(copy: Copy, side: int) -> bool:
    """Whether memory goes on behind the structure that a pointer's type names."""
    return prove(copy.unit, copy.call.arguments[side]).space is Space.PACKET


def on_stack(copy: Copy) -> Fix | None:
    big = max(_stack_object(copy.unit, copy.call.arguments[i]) for i in copy.sides)
    if big <= _STACK:
        return None
    message = f"{copy.call.name} of an object of {big} bytes on the stack, which has {_STACK}"
    return Fix(copy.call.node, message, Safety.ADVICE, reason="keep it in a per-CPU array map of one entry instead")


def _size_name(copy: Copy) -> bytes:
    """Each copy of a function is given its size in a variable of its own."""
    function = copy.call.node.function
    if function is None:
        raise NoEdit("it stands outside of functions")
    variable = (one for one in copies(copy.unit) if one.size is None and one.has_helper and not one.may_be_constant)
    mine = [one.call.node for one in variable if one.call.node.function is function]
    return nth_local(copy.unit, function, b"size", mine.index(copy.call.node) + 1)


def large(copy: Copy) -> Fix | None:
    call, size = copy.call, copy.size
    if size is None or is_inline(size):
        return None
    what = f"{call.name} of {size} bytes does not compile: at most {LARGEST} can be written out"
    if size <= LARGEST:
        what = (
            f"{call.name} of {size} bytes takes {stores(size)} stores, of which clang writes out {MOST_STORES} at most"
        )
    if not copy.has_helper:
        return Fix(call.node, what, Safety.ADVICE, reason="do it in pieces, or in a bounded loop")
    helper = read_helper(copy.unit, "kernel")
    edits = [call.renamed(helper), call.argument(1, call.text(2)), call.argument(2, call.text(1))]
    reason = "the helper is a call, and takes more time than a copy in place"
    return Fix(call.node, f"{what}; `{helper.decode()}` copies any size", Safety.SUGGESTED, edits, reason)


def variable(copy: Copy) -> Fix | None:
    """A copy of a size that the compiler does not know: the array that is written bounds it."""
    if copy.size is not None or copy.may_be_constant:
        return None
    unit, call = copy.unit, copy.call
    helper = read_helper(unit, "kernel")

    def made() -> Made:
        if copy.from_ is None:
            raise NoEdit("set the whole object, whose size is constant")
        if not copy.has_helper:
            raise NoEdit(by_hand)
        try:
            room = size_text(call, copy.to)
        except NoEdit:
            raise NoEdit(by_hand) from None
        name = _size_name(copy)
        kind = b"u64" if unit.dialect == BCC else b"__u64"
        lines = statements(unit.source_of(call.node), _CLAMPED, type=kind, size=name, length=call.text(-1), room=room)
        edits = [
            *before(unit, call.node.statement, lines),
            call.renamed(helper),
            call.argument(1, name),
            call.argument(2, call.text(1)),
        ]
        doubt = f"at most {room.decode()} bytes are copied, which the program may not expect"
        return Made(edits, f"; `{helper.decode()}` does", doubt)

    by_hand = f"hold the size down to the room there is, through a u64, then use {helper.decode()}(to, size, from)"
    return settle(call.node, f"{call.name} of a size that is not constant does not compile", made)


def _stack_object(unit: Unit, pointer: Node) -> int:
    """The size in bytes of the object on the stack that an argument points into; 0 if it is none."""
    node = pointer.uncast
    if prove(unit, node).space is not Space.STACK:
        return 0
    while node.children and node.kind in ("UNARY_OPERATOR", "MEMBER_REF_EXPR", "ARRAY_SUBSCRIPT_EXPR"):
        node = node.children[0].uncast
    return node.type.size if node.kind == "DECL_REF_EXPR" else 0
