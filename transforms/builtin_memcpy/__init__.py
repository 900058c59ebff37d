"""Copy and set memory by the compiler's builtins, and kernel memory by a helper.

What it does: `memcpy` and its like get the builtin's name, loops that copy byte by byte become one, and a source in the
kernel's memory is read by a probe read.

Why: there is no C library in BPF. `memcpy(d, s, 16)` works only because the compiler writes the copy out, up to 1024
bytes of a constant size (tried with clang 14 and 19; one more is "A call to built-in function 'memcpy' is not
supported"). Where no header declares memcpy, clang 19 refuses it. `__builtin_memcpy` says what is meant, needs no
header, and gives the same object code. A source in the kernel's memory is another matter: the copy is then plain loads,
which the verifier refuses ("invalid mem access 'scalar'"); there `bpf_probe_read_kernel` is meant.

Safe: memcpy, memset, memmove and bzero of a constant size up to 1024 get the builtin; a loop that copies or sets a
constant number of bytes one by one becomes one, with its `#pragma unroll`; a source that is certainly kernel or user
memory, refused today, is read by `bpf_probe_read_kernel` or `_user` (in libbpf further links of the source are read by
`BPF_CORE_READ`).
Suggested: a constant size over 1024, or a variable one, which do not compile: `bpf_probe_read_kernel`, the size held
down to the array's. The size goes through a `__u64`: `if (len > 256) len = 256;` on a u32 is refused by some kernels.
Also whatever stands in a header that user space includes, and in files that were not wholly understood.
Advice: objects of more than the 512 bytes of the stack; variable sizes and large ones for which no form is certain;
kernel memory where the result of memcpy is used.
Left alone: a memcpy that the project defines itself, as a macro or function; macros' bodies; loops with a comment in
them, with anything else in them, over memory that may overlap, or whose counter is looked at afterwards.

Limits: a pointer whose origin is not known counts as the program's own memory, so that only the name changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from ebpffix.analysis.flow import Flow
from ebpffix.analysis.provenance import HOSTS, Proof, Space, prove
from ebpffix.editing.c import statements
from ebpffix.editing.calls import LibcCall, libc_calls, read_helper, readable_source
from ebpffix.editing.settle import Made, NoEdit, settle
from ebpffix.editing.statements import before, fresh_name
from ebpffix.fix import BCC, LIBBPF, Edit, Fix, Safety
from ebpffix.frontend import Unit
from ebpffix.transform import Cure, Transform

from .byteloop import LARGEST, ByteLoop, byte_loop, replacement

_COPY = r"(?:\b|_)mem(?:cpy|move|set|cmp)\s*\("

TRANSFORM = Transform(
    name="builtin-memcpy",
    pattern=4,
    dialects=(BCC, LIBBPF),
    triggers=(
        rb"\b(?:memcpy|memset|memmove|bcopy|bzero)\s*\(",
        rb"\bfor\s*\([^;{}]*;[^;{}]*;[^;{}]*\)\s*\{?[^;{}=]*\]\s*=[^=]",
    ),
    kernel=">=3.18",
    neighbours=HOSTS,
    user_space=True,
    summary="memcpy and its like, which only the compiler's builtins can be in BPF",
    imperative="call the builtins of the compiler for memcpy and its like",
    shape="`memcpy` and its like are only the compiler's builtins",
    safe="same object code; a constant byte loop; a kernel source that is refused today",
    suggested="variable size",
    advice="more than the stack has",
    cures=(
        Cure("unclamped-length", _COPY),
        Cure("scalar-deref", _COPY),
    ),
)

_COPIES = frozenset(("memcpy", "memmove", "bcopy"))
_STACK = 512  # bytes
_CLAMPED = """
    {type} {size} = {length};
    if ({size} > {room})
    \t{size} = {room};
"""


def find(unit: Unit) -> Iterator[Fix]:
    for call in libc_calls(unit, ("memcpy", "memset", "memmove", "bzero", "bcopy")):
        fix = _call(unit, call)
        if fix is not None:
            yield fix
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


def _call(unit: Unit, call: LibcCall) -> Fix | None:
    if len(call.arguments) != (2 if call.name == "bzero" else 3):
        return None
    from_, to = (0, 1) if call.name == "bcopy" else (1, 0)
    source = prove(unit, call.arguments[from_]) if call.name in _COPIES else None
    size = call.arguments[-1].constant
    if source is not None and (source.is_untrusted_kernel or source.space is Space.USER):
        return _read(unit, call, source, from_, to)
    big = max(_on_stack(unit, call, i) for i in ((0, 1) if call.name in _COPIES else (0,)))
    if big > _STACK:
        message = f"{call.name} of an object of {big} bytes on the stack, which has {_STACK}"
        reason = "keep it in a per-CPU array map of one entry instead"
        return Fix(call.node, message, Safety.ADVICE, reason=reason)
    own = source is not None and source.is_bpf and source.space is not Space.CTX
    if size is None:
        return _variable(unit, call, own, to)
    if size > LARGEST:
        return _large(unit, call, size, own)
    return _builtin(call)


def _builtin(call: LibcCall) -> Fix | None:
    message = f"there is no libc in BPF: `{call.name}` is only what the compiler makes of it"
    if call.name == "bzero":
        edits = [call.renamed(b"__builtin_memset"), Edit(call.at.path, call.spans[1][0], call.spans[1][0], b"0, ")]
    elif call.name == "bcopy":
        if not call.is_statement:
            return None
        swapped = [call.argument(0, call.text(1)), call.argument(1, call.text(0))]
        edits = [call.renamed(b"__builtin_memmove"), *swapped]
    else:
        edits = [call.renamed(b"__builtin_" + call.name.encode())]
    return Fix(call.node, message, Safety.SAFE, edits)


def _read(unit: Unit, call: LibcCall, source: Proof, from_: int, to: int) -> Fix | None:
    """A copy out of memory that a program cannot load from."""
    space = source.reader
    helper = read_helper(unit, space)
    what = f"`{_show(call.arguments[from_].text)}` is {space} memory, which {call.name} cannot read"
    if prove(unit, call.arguments[to]).space in (Space.KERNEL, Space.USER, Space.CTX):
        return None

    def made() -> Made:
        if not call.is_statement:
            raise NoEdit(f"its result is used: use {helper.decode()}(to, size, from)")
        if call.arguments[2].constant is None:
            raise NoEdit(f"its size is not constant: use {helper.decode()}(to, size, from)")
        text, includes = readable_source(unit, call, from_)
        edits = [call.renamed(helper), call.argument(1, call.text(2)), call.argument(2, text), *includes]
        if to == 1:
            edits.append(call.argument(0, call.text(1)))
        return Made(edits, f"; `{helper.decode()}` can", "" if source.is_certain else source.doubt)

    return settle(call.node, what, made, origin=source.chains)


def _large(unit: Unit, call: LibcCall, size: int, own: bool) -> Fix:
    what = f"{call.name} of {size} bytes does not compile: at most {LARGEST} can be written out"
    if call.name == "memcpy" and call.is_statement and own:
        helper = read_helper(unit, "kernel")
        edits = [call.renamed(helper), call.argument(1, call.text(2)), call.argument(2, call.text(1))]
        reason = "the helper is a call, and takes more time than a copy in place"
        return Fix(call.node, f"{what}; `{helper.decode()}` copies any size", Safety.SUGGESTED, edits, reason)
    return Fix(call.node, what, Safety.ADVICE, reason="do it in pieces, or in a bounded loop")


def _variable(unit: Unit, call: LibcCall, own: bool, to: int) -> Fix:
    """A copy of a size that the compiler does not know: the array that is written bounds it."""
    what = f"{call.name} of a size that is not constant does not compile"
    helper = read_helper(unit, "kernel")
    room, length = _room(call, to), call.text(-1)
    if call.name == "memcpy" and call.is_statement and own and room:
        name = fresh_name(unit, call.node, b"size")
        kind = b"u64" if unit.dialect == BCC else b"__u64"
        lines = statements(unit.source_of(call.node), _CLAMPED, type=kind, size=name, length=length, room=room)

        def made() -> Made:
            edits = [
                *before(unit, call.node.statement, lines),
                call.renamed(helper),
                call.argument(1, name),
                call.argument(2, call.text(1)),
            ]
            doubt = f"at most {room.decode()} bytes are copied, which the program may not expect"
            return Made(edits, f"; `{helper.decode()}` does", doubt)

        return settle(call.node, what, made)
    reason = f"hold the size down to the room there is, through a u64, then use {helper.decode()}(to, size, from)"
    if call.name not in _COPIES:
        reason = "set the whole object, whose size is constant"
    return Fix(call.node, what, Safety.ADVICE, reason=reason)


def _room(call: LibcCall, index: int) -> bytes:
    """`sizeof(d)` for an array or object that is written, b"" where its size is not known."""
    node, text = call.arguments[index].uncast, call.text(index)
    if node.kind == "UNARY_OPERATOR" and node.operator == "&":
        node = node.children[0].bare
        text = node.text
    elif node.type.length is None:
        return b""
    simple = node.kind in ("DECL_REF_EXPR", "MEMBER_REF_EXPR") and node.type.size > 0
    return b"sizeof(" + text + b")" if simple and text == node.text else b""


def _on_stack(unit: Unit, call: LibcCall, index: int) -> int:
    """The size in bytes of the object on the stack that an argument points into; 0 if it is none."""
    node = call.arguments[index].uncast
    if prove(unit, node).space is not Space.STACK:
        return 0
    while node.children and node.kind in ("UNARY_OPERATOR", "MEMBER_REF_EXPR", "ARRAY_SUBSCRIPT_EXPR"):
        node = node.children[0].uncast
    return node.type.size if node.kind == "DECL_REF_EXPR" else 0


def _show(text: bytes) -> str:
    return b" ".join(text.split()).decode("utf-8", "replace")
