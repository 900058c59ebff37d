"""Replace the string functions of the C library, which BPF does not have.

What it does: strcpy, strlen, strcmp and their like become builtins, probe reads or `bpf_strncmp`.

Why: `strcmp(comm, "sshd")` compiles, with a warning at most, to a call of a function that is nowhere: the program does
not load. Only what the compiler can work out by itself leaves no call behind: strcpy and strncpy of a literal, strlen
of one, and memcmp of a constant size (clang 19 up to 64 bytes at least; clang 14 only 1, 2 and 4 bytes, BCC 0.26 not
even 4). Where no header declares the function, clang 19 refuses these too.

Safe: a literal into an array that holds it, `__builtin_memcpy(d, "abc", sizeof("abc"))`; strncpy and strlen of a
literal and, in libbpf, memcmp of a constant size by their `__builtin_` names (same object code).
Safe too: `static const` for the array on the stack that is the second string of `bpf_strncmp`, which wants read-only
data, if nothing writes the array; `const` for a static one.
Suggested: `strcpy(d, s)`, `strncpy(d, s, n)`: between two buffers of the program's own `__builtin_memcpy` of the whole
array, if it fits; else `bpf_probe_read_kernel_str(d, sizeof(d), s)`, which always ends the string and does not clear
the rest. `strlen(buf)` where a `_str` read filled buf: that read's result minus one, which is negative where the read
failed; otherwise a loop that counts, for up to 256 bytes and from Linux 5.3 on (accepted with clang 14 and 19 and
-mcpu=v1 to v3). `strcmp(buf, "abc")` and strncmp, also of an array that holds a literal and is never written:
`bpf_strncmp` if the target kernel is 5.17 or later (not in BCC, which has no read-only data), else byte by byte for up
to 16 bytes. `const` for a global array, which user space can then set only before it loads.
Advice: what has no such form (strstr, strchr, strcat, sprintf and so on), longer literals, buffers whose size is not
known, kernel memory that must be read first, memcmp of over 2 bytes in BCC.
Advice too: `bpf_strncmp` whose second string the program writes (in BCC: any), which the verifier refuses; the
`__builtin_` forms of what the compiler cannot work out, which call the plain function after all.
Left alone: functions of these names that the project defines, as macros or functions; macros' bodies; calls whose
arguments are all literals; code that no program reaches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ebpffix.analysis.extent import object_of
from ebpffix.analysis.provenance import HOSTS, is_reached
from ebpffix.editing.calls import LibcCall, libc_calls
from ebpffix.editing.settle import Made, NoEdit, settle
from ebpffix.fix import BCC, LIBBPF, Fix, Safety
from ebpffix.frontend import Node, Unit
from ebpffix.transform import Cure, Transform

from .comparisons import compare, memcmp
from .copies import copy
from .lengths import length
from .said import STEPS, is_literal, no_form
from .texts import BY_HAND, is_constant, read_only, text_of

# How many arguments a function has, and who finds its replacement.
_REWRITES: dict[str, tuple[int, Callable[[Unit, LibcCall], Fix]]] = {
    "strcpy": (2, copy),
    **dict.fromkeys(("strncpy", "strlcpy", "strscpy"), (3, copy)),
    "strlen": (1, length),
    "memcmp": (3, memcmp),
    "strcmp": (2, compare),
    "strncmp": (3, compare),
}
_NO_FORM = {
    **dict.fromkeys(("strcat", "strncat"), "write the parts to their places in the buffer one after the other"),
    **dict.fromkeys(("strchr", "strrchr", "strstr", "memchr"), "search in a loop of a constant number of steps"),
    **dict.fromkeys(("strcasecmp", "strncasecmp"), STEPS),
    "strnlen": "count in a loop of a constant number of steps",
    **dict.fromkeys(
        ("sprintf", "snprintf"), "use BPF_SNPRINTF (5.13), or send the values and let user space format them"
    ),
    **dict.fromkeys(("atoi", "strtol", "strtoul"), "use bpf_strtol or bpf_strtoul where the program type has them"),
}
_BUILTINS = tuple(f"__builtin_{name}" for name in ("memcmp", "strcmp", "strncmp", "strlen"))
TRANSFORM = Transform(
    name="libc-string",
    pattern=4,
    dialects=(BCC, LIBBPF),
    triggers=(
        rb"\b(?:%s)\s*\(" % "|".join((*_REWRITES, *_NO_FORM)).encode(),
        rb"\b(?:bpf_strncmp|__builtin_(?:memcmp|strn?cmp|strlen))\s*\(",
    ),
    kernel=">=3.18",
    neighbours=HOSTS,
    user_space=True,
    summary="string functions of libc, which BPF does not have",
    imperative="do without the string functions of libc",
    shape="`strcpy`, `strlen`, `strcmp` … are no functions of BPF",
    safe="a literal into an array that holds it; `static const` for `bpf_strncmp`",
    suggested="copies, probe reads, a loop, `bpf_strncmp`",
    advice="no replacement",
    cures=(
        Cure("scalar-deref", r"(?:\b|_)strn?(?:l?cpy|len|cmp)\s*\("),
        *(Cure(refusal, r"\bcall bpf_strncmp\b") for refusal in ("wrong-pointer", "read-only")),
    ),
)


def find(unit: Unit) -> Iterator[Fix]:
    for call in libc_calls(unit, (*_REWRITES, *_NO_FORM, *_BUILTINS)):
        if is_reached(unit, call.node.function):
            yield from _plain(unit, call)
    for node in unit.calls_of("bpf_strncmp"):
        if is_reached(unit, node.function) and unit.editable(node.path, node.start, node.end):
            yield from _second_string(unit, node)


def _plain(unit: Unit, call: LibcCall) -> Iterator[Fix]:
    if call.name in _BUILTINS:
        if not _is_worked_out(call):
            plain = call.name.removeprefix("__builtin_")
            what = f"`{call.name}` of what the compiler does not know calls {plain}, which BPF does not have"
            yield Fix(call.node, what, Safety.ADVICE, reason=STEPS)
    elif call.name in _NO_FORM:
        if not all(map(_is_known, call.arguments)):
            yield no_form(call, _NO_FORM[call.name])
    else:
        wanted, rewrite = _REWRITES[call.name]
        if len(call.arguments) == wanted:
            yield rewrite(unit, call)


def _is_worked_out(call: LibcCall) -> bool:
    """Whether the compiler knows what a builtin is about: here, or where the function is inlined."""
    function = call.node.function
    given = {p.decl for p in function.parameters} if function is not None and function.is_static else set()
    asked = call.arguments[-1:] if call.name.endswith("memcmp") else call.arguments
    named = (n.decl for a in asked for n in a.find("DECL_REF_EXPR"))
    return any(map(_is_known, asked)) or any(decl in given for decl in named)


def _is_known(node: Node) -> bool:
    return is_literal(node) or node.constant is not None


def _second_string(unit: Unit, call: Node) -> Iterator[Fix]:
    """A call of bpf_strncmp whose second string is not in read-only data, which the verifier refuses."""
    array = object_of(call.arguments[2]) if len(call.arguments) == 3 else None
    if array is None:
        return
    if unit.dialect == BCC:
        what = "BCC has no read-only data, which bpf_strncmp wants for its second string"
        yield Fix(call, what, Safety.ADVICE, reason="compare the bytes one by one")
    elif array.kind == "DECL_REF_EXPR" and (array.is_local or not is_constant(array)):
        where = "on the stack" if array.is_local else "in writable memory"
        what = f"bpf_strncmp wants its second string in read-only data, and `{array.name}` is {where}"
        yield settle(call, what, lambda: _made_constant(unit, array))


def _made_constant(unit: Unit, array: Node) -> Made:
    text = text_of(unit, array)
    if text is None or text.variable is None:
        raise NoEdit(BY_HAND)
    shared = text.variable.is_global and not text.variable.is_static
    doubt = "user space can then set it only before it loads the program, as read-only data" if shared else ""
    return Made(read_only(unit, text), ": make it constant", doubt)
