"""Copy and set memory by the compiler's builtins, and kernel memory by a helper.

What it does: `memcpy` and its like get the builtin's name, loops that copy byte by byte become one, and a source in the
kernel's memory is read by a probe read.

Why: there is no C library in BPF. `memcpy(d, s, 16)` works only because the compiler writes the copy out, up to 1024
bytes of a constant size, in at most 128 stores (1015 bytes take 129; more is "A call to built-in function 'memcpy' is
not supported"). Where no header declares memcpy, clang 19 refuses it. `__builtin_memcpy` says what is meant, needs no
header, and gives the same object code. A source in the kernel's memory is another matter: the copy is then plain loads,
which the verifier refuses ("invalid mem access 'scalar'"); there `bpf_probe_read_kernel` is meant.

Safe: memcpy, memset, memmove and bzero of a constant size up to 1024 get the builtin; a loop that copies or sets a
constant number of bytes one by one becomes one, with its `#pragma unroll`; a source that is certainly kernel or user
memory, refused today, is read by `bpf_probe_read_kernel` or `_user` (in libbpf further links of the source are read by
`BPF_CORE_READ`).
Suggested: a size that is more than there is, `memcpy(what, "MAP_CREATE", 39)`, which reads or writes what lies behind
it: the size of the literal, array or variable. A constant size over 1024, or a variable one, which do not compile, by
the builtin's own name neither: `bpf_probe_read_kernel`, the size held down to the array's. The size goes through a
`__u64`: `if (len > 256) len = 256;` on a u32 is refused by some kernels. Also whatever stands in a header that user
space includes, and in files that were not wholly understood.
Advice: objects of more than the 512 bytes of the stack; variable sizes and large ones for which no form is certain;
kernel memory where the result of memcpy is used; too much where it has no size that could be written.
Left alone: a memcpy that the project defines itself, as a macro or function; macros' bodies; loops with a comment in
them, with anything else in them, over memory that may overlap, or whose counter is looked at afterwards.

Limits: a pointer whose origin is not known counts as the program's own memory, so that only the name changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from ebpffix.analysis.extent import extent
from ebpffix.analysis.flow import Flow
from ebpffix.analysis.provenance import HOSTS, Proof, Space, prove
from ebpffix.analysis.values import values
from ebpffix.editing.c import statements
from ebpffix.editing.calls import LibcCall, libc_calls, read_helper, readable_source, size_text
from ebpffix.editing.settle import Made, NoEdit, settle
from ebpffix.editing.statements import before, fresh_name
from ebpffix.fix import BCC, LIBBPF, Edit, Fix, Safety
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.inline_copy import LARGEST, MOST_STORES, is_inline, stores
from ebpffix.transform import Cure, Transform

from .byteloop import ByteLoop, byte_loop, replacement

_COPY = r"(?:\b|_)mem(?:cpy|move|set|cmp)\s*\("

TRANSFORM = Transform(
    name="builtin-memcpy",
    pattern=4,
    dialects=(BCC, LIBBPF),
    triggers=(
        rb"(?:\b|_builtin_)(?:memcpy|memset|memmove|bcopy|bzero)\s*\(",
        rb"\bfor\s*\([^;{}]*;[^;{}]*;[^;{}]*\)\s*\{?[^;{}=]*\]\s*=[^=]",
    ),
    kernel=">=3.18",
    neighbours=HOSTS,
    user_space=True,
    summary="memcpy and its like, which only the compiler's builtins can be in BPF",
    imperative="call the builtins of the compiler for memcpy and its like",
    shape="`memcpy` and its like are only the compiler's builtins",
    safe="same object code; a constant byte loop; a kernel source that is refused today",
    suggested="variable size; a size that is more than there is",
    advice="more than the stack has",
    cures=(
        Cure("unclamped-length", _COPY),
        Cure("scalar-deref", _COPY),
    ),
)

_NAMES = ("memcpy", "memset", "memmove", "bzero", "bcopy")
_BUILTIN = "__builtin_"
_STACK = 512  # bytes
_CLAMPED = """
    {type} {size} = {length};
    if ({size} > {room})
    \t{size} = {room};
"""


def find(unit: Unit) -> Iterator[Fix]:
    for call in libc_calls(unit, (*_NAMES, *map(_BUILTIN.__add__, _NAMES))):
        copy = _Copy(unit, call)
        if len(call.arguments) == (2 if copy.name == "bzero" else 3):
            yield from filter(None, (next(filter(None, (row(copy) for row in _ROWS)), None),))
    for function in unit.functions:
        heads = list(function.find("FOR_STMT"))
        flow = Flow(function) if heads else None
        if flow is not None:
            loops = [found for head in heads if (found := byte_loop(unit, head, flow)) is not None]
            for found in loops:
                with suppress(NoEdit):
                    yield _loop(found, replacement(unit, found, loops, flow))


def _loop(found: ByteLoop, edits: list[Edit]) -> Fix:
    what, name = ("copies", "memcpy") if found.source is not None else ("sets", "memset")
    message = f"a loop {what} `{_show(found.target.text)}` byte by byte, which is `__builtin_{name}`"
    return Fix(found.loop, message, Safety.SAFE, edits)


@dataclass(frozen=True)
class _Copy:
    """A call that copies or sets memory, by its plain or its builtin name."""

    unit: Unit
    call: LibcCall

    @property
    def name(self) -> str:
        return self.call.name.removeprefix(_BUILTIN)

    @property
    def to(self) -> int:
        """The argument that is written."""
        return 1 if self.name == "bcopy" else 0

    @property
    def from_(self) -> int | None:
        """The argument that is copied; None where memory is set."""
        return {"bcopy": 0, "memcpy": 1, "memmove": 1}.get(self.name)

    @property
    def size(self) -> int | None:
        """The bytes, where the compiler knows them."""
        return self.call.arguments[-1].constant

    @property
    def may_be_constant(self) -> bool:
        """Whether a size that is none yet may be one when functions are inlined: it comes out of a parameter, or out of
        a local that is set once."""
        function = self.call.node.function
        if function is None or self.size is not None:
            return False
        parameters = {p.decl for p in function.parameters} if function.is_static else set()
        names = [n.decl for n in self.call.arguments[-1].walk() if n.kind == "DECL_REF_EXPR"]
        return bool(names) and all(n in parameters or _is_set_once(function, n) for n in names)

    @cached_property
    def source(self) -> Proof | None:
        """Whose memory is copied."""
        return prove(self.unit, self.call.arguments[self.from_]) if self.from_ is not None else None

    @property
    def has_helper(self) -> bool:
        """Whether a probe read can do the same: it copies the program's own memory, and nothing looks at the result."""
        own = self.source is not None and self.source.is_bpf and self.source.space is not Space.CTX
        return own and self.name == "memcpy" and self.call.is_statement

    @property
    def sides(self) -> Iterator[int]:
        """The arguments that point at memory, that which is read first."""
        yield from (self.to,) if self.from_ is None else (self.from_, self.to)


def _unreadable(copy: _Copy) -> Fix | None:
    """A copy out of memory that a program cannot load from."""
    unit, call, source = copy.unit, copy.call, copy.source
    if source is None or not (source.is_untrusted_kernel or source.space is Space.USER):
        return None
    helper = read_helper(unit, source.reader)
    what = f"`{_show(call.arguments[copy.from_ or 0].text)}` is {source.reader} memory, which {call.name} cannot read"
    if prove(unit, call.arguments[copy.to]).space in (Space.KERNEL, Space.USER, Space.CTX):
        return None

    def made() -> Made:
        if not call.is_statement:
            raise NoEdit(f"its result is used: use {helper.decode()}(to, size, from)")
        if copy.size is None:
            raise NoEdit(f"its size is not constant: use {helper.decode()}(to, size, from)")
        text, includes = readable_source(unit, call, copy.from_ or 0)
        edits = [call.renamed(helper), call.argument(1, call.text(2)), call.argument(2, text), *includes]
        if copy.to == 1:
            edits.append(call.argument(0, call.text(1)))
        return Made(edits, f"; `{helper.decode()}` can", "" if source.is_certain else source.doubt)

    return settle(call.node, what, made, origin=source.chains)


def _past_the_end(copy: _Copy) -> Fix | None:
    """More bytes than there are: what lies behind is read or overwritten, whatever the function is called."""
    call, size = copy.call, copy.size
    for side in copy.sides:
        room = extent(call.arguments[side])
        if size is None or room is None or size <= room or _is_packet(copy, side):
            continue
        does, behind = ("writes", "overwritten") if side == copy.to else ("reads", "read")
        if copy.name in _SAME:  # its arguments stand in another order
            return Fix(
                call.node, f"{call.name} of {size} bytes, where there are {room}", Safety.ADVICE, reason=_SMALLER
            )
        what = f"{call.name} {does} {size} bytes of `{_show(call.text(side))}`, which has {room}"

        def made(side: int = side, behind: str = behind) -> Made:
            sized = size_text(call, side)
            doubt = f"what lies behind it is {behind} today; if that is meant, name the object that holds both"
            return Made([*_renamed(copy), call.argument(-1, sized)], f": `{_show(sized)}`", doubt)

        return settle(call.node, what, made)
    return None


def _is_packet(copy: _Copy, side: int) -> bool:
    """Whether memory goes on behind the structure that a pointer's type names."""
    return prove(copy.unit, copy.call.arguments[side]).space is Space.PACKET


def _on_stack(copy: _Copy) -> Fix | None:
    big = max(_stack_object(copy.unit, copy.call.arguments[i]) for i in copy.sides)
    if big <= _STACK:
        return None
    message = f"{copy.call.name} of an object of {big} bytes on the stack, which has {_STACK}"
    return Fix(copy.call.node, message, Safety.ADVICE, reason="keep it in a per-CPU array map of one entry instead")


def _large(copy: _Copy) -> Fix | None:
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


def _variable(copy: _Copy) -> Fix | None:
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
        name = fresh_name(unit, call.node, b"size")
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


def _builtin(copy: _Copy) -> Fix | None:
    """A plain name that the compiler makes a builtin of: the same under the builtin's name."""
    call = copy.call
    if copy.name != call.name or (call.name == "bcopy" and not call.is_statement):
        return None
    edits = _renamed(copy)
    if call.name == "bzero":
        edits.append(Edit(call.at.path, call.spans[1][0], call.spans[1][0], b"0, "))
    elif call.name == "bcopy":
        edits += [call.argument(0, call.text(1)), call.argument(1, call.text(0))]
    message = f"there is no libc in BPF: `{call.name}` is only what the compiler makes of it"
    return Fix(call.node, message, Safety.SAFE, edits)


def _renamed(copy: _Copy) -> list[Edit]:
    """The builtin's name in place of the plain one; none where it is that already."""
    if copy.name != copy.call.name:
        return []
    return [copy.call.renamed(_BUILTIN.encode() + _SAME.get(copy.name, copy.name).encode())]


def _is_set_once(function: Node, variable: int) -> bool:
    """Whether a variable has one value, which is a constant."""
    written = [n for n in function.walk() if n.written is not None and n.written.decl == variable]
    given = list(values(function, variable))
    return len(given) == 1 and given[0].constant is not None and len(written) <= 1


_SMALLER = "give it the size of the smaller object"
_SAME = {"bzero": "memset", "bcopy": "memmove"}
_ROWS = (_unreadable, _past_the_end, _on_stack, _variable, _large, _builtin)  # the first that fits speaks


def _stack_object(unit: Unit, pointer: Node) -> int:
    """The size in bytes of the object on the stack that an argument points into; 0 if it is none."""
    node = pointer.uncast
    if prove(unit, node).space is not Space.STACK:
        return 0
    while node.children and node.kind in ("UNARY_OPERATOR", "MEMBER_REF_EXPR", "ARRAY_SUBSCRIPT_EXPR"):
        node = node.children[0].uncast
    return node.type.size if node.kind == "DECL_REF_EXPR" else 0


def _show(text: bytes) -> str:
    return b" ".join(text.split()).decode("utf-8", "replace")
