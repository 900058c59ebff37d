"""Replace the string functions of the C library, which BPF does not have.

What it does: strcpy, strlen, strcmp and their like become builtins, probe reads or `bpf_strncmp`.

Why: `strcmp(comm, "sshd")` compiles, with a warning at most, to a call of a function that is nowhere: the program does
not load. Only what the compiler can work out by itself leaves no call behind: strcpy and strncpy of a literal, strlen
of one, and memcmp of a constant size (clang 19 up to 64 bytes at least; clang 14 only 1, 2 and 4 bytes, BCC 0.26 not
even 4). Where no header declares the function, clang 19 refuses these too.

Safe: a literal into an array that holds it, `__builtin_memcpy(d, "abc", sizeof("abc"))`; strncpy and strlen of a
literal and, in libbpf, memcmp of a constant size by their `__builtin_` names (same object code).
Suggested: `strcpy(d, s)`, `strncpy(d, s, n)`: `bpf_probe_read_kernel_str(d, sizeof(d), s)`, which always ends the
string and does not clear the rest. `strlen(buf)` where a `_str` read filled buf: that read's result minus one, which
is negative where the read failed. `strcmp(buf, "abc")` and strncmp: `bpf_strncmp` if the target kernel is 5.17 or
later (not in BCC, which has no read-only data), else byte by byte for up to 8 bytes.
Advice: what has no such form (strstr, strchr, strcat, sprintf and so on), longer literals, buffers whose size is not
known, kernel memory that must be read first, memcmp of over 2 bytes in BCC.
Advice too: `bpf_strncmp` whose second string is on the stack or writable (in BCC: any), which the verifier refuses; the
`__builtin_` forms of what the compiler cannot work out, which call the plain function after all.
Left alone: functions of these names that the project defines, as macros or functions; macros' bodies; calls whose
arguments are all literals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ebpffix.analysis.extent import object_of
from ebpffix.analysis.flow import Flow
from ebpffix.analysis.provenance import HOSTS, Space, prove
from ebpffix.analysis.values import taker
from ebpffix.editing.calls import LibcCall, libc_calls, read_helper, readable_source
from ebpffix.editing.settle import Made, NoEdit, settle
from ebpffix.editing.statements import has_comment
from ebpffix.fix import BCC, LIBBPF, Edit, Fix, Safety
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.helpers import HELPERS, helper
from ebpffix.transform import Cure, Transform

_NO_FORM = {
    **dict.fromkeys(("strcat", "strncat"), "write the parts to their places in the buffer one after the other"),
    **dict.fromkeys(("strchr", "strrchr", "strstr", "memchr"), "search in a loop of a constant number of steps"),
    **dict.fromkeys(("strcasecmp", "strncasecmp"), "compare in a loop of a constant number of steps"),
    "strnlen": "count in a loop of a constant number of steps",
    **dict.fromkeys(
        ("sprintf", "snprintf"), "use BPF_SNPRINTF (5.13), or send the values and let user space format them"
    ),
    **dict.fromkeys(("atoi", "strtol", "strtoul"), "use bpf_strtol or bpf_strtoul where the program type has them"),
}
_COPIES = frozenset(("strcpy", "strncpy", "strlcpy", "strscpy"))
_NAMES = (*_COPIES, "strlen", "strcmp", "strncmp", "memcmp", *_NO_FORM)
TRANSFORM = Transform(
    name="libc-string",
    pattern=4,
    dialects=(BCC, LIBBPF),
    triggers=(
        rb"\b(?:%s)\s*\(" % "|".join(_NAMES).encode(),
        rb"\b(?:bpf_strncmp|__builtin_(?:memcmp|strn?cmp|strlen))\s*\(",
    ),
    kernel=">=3.18",
    neighbours=HOSTS,
    user_space=True,
    summary="string functions of libc, which BPF does not have",
    imperative="do without the string functions of libc",
    shape="`strcpy`, `strlen`, `strcmp` … are no functions of BPF",
    safe="a literal into an array that holds it",
    suggested="probe reads, `bpf_strncmp`",
    advice="no replacement",
    cures=(Cure("scalar-deref", r"(?:\b|_)strn?(?:l?cpy|len|cmp)\s*\("),),
)

_STRNCMP = HELPERS["bpf_strncmp"]
_COUNTED = "the helper that read the string returns its size, with the NUL"
_STEPS = "compare in a loop of a constant number of steps"
_READ_ONLY = "give it a literal, or declare the string `static const`"
_LONGEST = 8  # bytes that are compared one by one in an expression


def find(unit: Unit) -> Iterator[Fix]:
    yield from _extern(unit)
    yield from _not_read_only(unit)
    for call in libc_calls(unit, _NAMES):
        if call.name in _NO_FORM:
            if not all(_literal(a) or a.constant is not None for a in call.arguments):
                what = f"there is no {call.name} in BPF: the program will not load"
                yield Fix(call.node, what, Safety.ADVICE, reason=_NO_FORM[call.name])
            continue
        wanted = 2 if call.name in ("strcpy", "strcmp") else 1 if call.name == "strlen" else 3
        if len(call.arguments) == wanted:
            yield _REWRITES[call.name](unit, call)


def _extern(unit: Unit) -> Iterator[Fix]:
    """Comparisons and lengths by the builtin's name that the compiler cannot work out: it calls the plain function."""
    for call in libc_calls(unit, [f"__builtin_{name}" for name in ("memcmp", "strcmp", "strncmp", "strlen")]):
        plain = call.name.removeprefix("__builtin_")
        function = call.node.function
        given = {p.decl for p in function.parameters} if function is not None and function.is_static else set()
        unknown = call.arguments[-1:] if plain == "memcmp" else call.arguments
        known = any(_literal(a) or a.constant is not None for a in unknown)
        if known or any(n.decl in given for a in unknown for n in a.walk() if n.kind == "DECL_REF_EXPR"):
            continue  # known here, or where the function is inlined
        what = f"`{call.name}` of what the compiler does not know calls {plain}, which BPF does not have"
        yield Fix(call.node, what, Safety.ADVICE, reason=_STEPS)


def _not_read_only(unit: Unit) -> Iterator[Fix]:
    """Calls of bpf_strncmp whose second string is not in read-only data, which the verifier refuses."""
    for call in unit.calls_of("bpf_strncmp"):
        text = object_of(call.arguments[2]) if len(call.arguments) == 3 else None
        if text is None or not unit.editable(call.path, call.start, call.end):
            continue
        name = text.text.decode("latin-1")
        if unit.dialect == BCC:
            what = "BCC has no read-only data, which bpf_strncmp wants for its second string"
            yield Fix(call, what, Safety.ADVICE, reason="compare the bytes one by one")
        elif text.kind == "DECL_REF_EXPR" and not text.type.pointee.is_const and not text.type.is_const:
            where = "on the stack" if text.is_local else "in writable memory"
            what = f"bpf_strncmp wants its second string in read-only data, and `{name}` is {where}"
            yield Fix(call, what, Safety.ADVICE, reason=_READ_ONLY)
        elif text.kind == "DECL_REF_EXPR" and text.is_local:
            what = f"bpf_strncmp wants its second string in read-only data, and `{name}` is on the stack"
            yield Fix(call, what, Safety.ADVICE, reason=_READ_ONLY)


def _literal(node: Node) -> bool:
    return node.uncast.kind == "STRING_LITERAL"


def _builtin(call: LibcCall, message: str) -> Fix:
    return Fix(call.node, message, Safety.SAFE, [call.renamed(b"__builtin_" + call.name.encode())])


def _advice(call: LibcCall, reason: str) -> Fix:
    return Fix(call.node, f"there is no {call.name} in BPF: the program will not load", Safety.ADVICE, reason=reason)


def _length(node: Node) -> int:
    """Bytes of an array (also by `&a[0]`), 0 for anything else."""
    array = object_of(node)
    return array.type.size if array is not None and array.type.length is not None else 0


# -- copies


def _copy(unit: Unit, call: LibcCall) -> Fix:
    target, source = call.arguments[:2]
    room = _length(target)
    if _literal(source):
        return _copy_literal(call, room, _length(source))
    helper = read_helper(unit, "user" if prove(unit, source).space is Space.USER else "kernel", string=True)
    simple = target.uncast.kind in ("DECL_REF_EXPR", "MEMBER_REF_EXPR")
    if not room or not simple or not call.is_statement:
        why = "the size of what it writes is not known" if call.is_statement else "its result is used"
        return _advice(call, f"{why}: use {helper.decode()}(to, size, from)")

    def made() -> Made:
        text, includes = readable_source(unit, call, 1)
        size = b"sizeof(" + call.arguments[0].text + b")"
        limit = call.arguments[2].constant if len(call.arguments) == 3 else None
        if limit is not None and 0 < limit <= room:
            size = call.text(2)
        edits = [call.renamed(helper), *includes]
        if len(call.arguments) == 3:
            edits += [call.argument(1, size), call.argument(2, text)]
        else:
            edits.append(call.argument(1, size + b", " + text))
        how = f"; `{helper.decode()}` reads a string into `{target.text.decode('latin-1')}`"
        doubt = "the string is cut to fit and always ends in NUL; what was behind it in the buffer stays"
        return Made(edits, how, doubt)

    return settle(call.node, f"there is no {call.name} in BPF", made, ": the program will not load")


def _copy_literal(call: LibcCall, room: int, size: int) -> Fix:
    if call.name == "strncpy":
        return _builtin(call, "there is no libc in BPF: `strncpy` is only what the compiler makes of it")
    if call.name != "strcpy":
        return _advice(call, "copy the literal with __builtin_memcpy")
    if 0 < room < size:
        return Fix(
            call.node,
            f"a string of {size} bytes does not fit into {room}",
            Safety.ADVICE,
            reason="make the array larger, or copy less with __builtin_memcpy",
        )
    text = call.expression(1)
    end = call.spans[1][1]
    edits = [call.renamed(b"__builtin_memcpy"), Edit(call.at.path, end, end, b", sizeof(" + text + b")")]
    message = "there is no libc in BPF: a literal is copied by `__builtin_memcpy`"
    if room:
        return Fix(call.node, message, Safety.SAFE, edits)
    return Fix(call.node, message, Safety.SUGGESTED, edits, "the size of what it writes is not known")


# -- lengths


def _strlen(unit: Unit, call: LibcCall) -> Fix:
    buffer = call.arguments[0].uncast
    if buffer.kind == "STRING_LITERAL":
        return _builtin(call, "there is no libc in BPF: `strlen` of a literal is only what the compiler makes of it")
    how = f"; the read of `{buffer.text.decode('latin-1')}` returned its size"

    def made() -> Made:
        return Made(_length_of_read(unit, call, buffer), how, "it is negative where the read failed")

    return settle(call.node, "there is no strlen in BPF", made, ": the program will not load")


def _length_of_read(unit: Unit, call: LibcCall, buffer: Node) -> list[Edit]:
    """The result of the only `_str` read into a local array, kept in a variable that nothing else sets."""
    function = call.node.function
    if function is None or buffer.kind != "DECL_REF_EXPR" or not _length(buffer):
        raise NoEdit(_COUNTED)
    flow = Flow(function)
    here = flow.step(call.node)
    writes = [u for u in flow.changes(buffer.decl) if u.node.kind != "VAR_DECL" and not _is_strlen(u.call)]
    if flow.opaque or here is None or len(writes) != 1:
        raise NoEdit(_COUNTED)
    read = writes[0].call
    step = flow.step(writes[0].node)
    does = helper(read.name) if read is not None else None
    if read is None or step is None or does is None or not does.reads_string or not flow.dominates(step, here):
        raise NoEdit(_COUNTED)
    if read.arguments[0].uncast.text.lstrip(b"&") != buffer.text:
        raise NoEdit(_COUNTED)
    variable = taker(read)
    if variable is None or variable.type.is_pointer or len(flow.changes(variable.decl)) > 1 + _is_plain(flow, variable):
        raise NoEdit(_COUNTED)
    value = variable.name.encode() + b" - 1"
    outer = call.node.outer
    alone = outer is not None and (outer.kind in ("VAR_DECL", "RETURN_STMT") or outer.operator == "=")
    if not unit.editable(call.at.path, call.node.start, call.node.end):
        raise NoEdit("a macro's body holds it")
    if has_comment(unit, call.at.path, call.node.start, call.node.end):
        raise NoEdit("a comment in it would be lost")
    return [unit.edit(call.node, value if alone else b"(" + value + b")")]


def _is_strlen(call: Node | None) -> bool:
    return call is not None and call.name == "strlen"


def _is_plain(flow: Flow, variable: Node) -> int:
    """1 if a variable is declared without a value and set later, so that its declaration is no other value."""
    declared = [u.node for u in flow.uses(variable.decl) if u.node.kind == "VAR_DECL"]
    return int(len(declared) == 1 and not declared[0].children)


# -- comparisons


def _memcmp(unit: Unit, call: LibcCall) -> Fix:
    if any(prove(unit, a).is_untrusted_kernel for a in call.arguments[:2]):
        return _advice(call, "read the kernel's memory with bpf_probe_read_kernel first")
    size = call.arguments[2].constant
    if size is None:
        return _advice(call, "compare in a loop of a constant number of steps")
    if unit.dialect == BCC and size > 2:
        what = f"memcmp of {size} bytes does not load where BCC was built with LLVM 14"
        return Fix(call.node, what, Safety.ADVICE, reason="compare in a loop of a constant number of steps")
    limits = "" if size in (1, 2, 4) else ", which clang 14 does for 1, 2 and 4 bytes only"
    return _builtin(call, f"there is no libc in BPF: `memcmp` is only what the compiler makes of it{limits}")


def _compare(unit: Unit, call: LibcCall) -> Fix:
    first, second = call.arguments[:2]
    literal = 1 if _literal(second) else 0 if _literal(first) else -1
    if literal < 0 or (_literal(first) and _literal(second)):
        return _advice(call, "compare in a loop of a constant number of steps")
    buffer, text = call.arguments[1 - literal], call.text(literal)
    if prove(unit, buffer).is_untrusted_kernel:
        return _advice(call, f"read the string with {read_helper(unit, 'kernel', string=True).decode()} first")
    size = _length(call.arguments[literal])
    if call.name == "strncmp":
        limit = call.arguments[2].constant
        if limit is None or limit <= 0:
            return _advice(call, "compare in a loop of a constant number of steps")
        size = min(size, limit)
    if _length(buffer) < size:
        return _advice(
            call, "the array is not known to be as long as the literal: compare its bytes in a constant loop"
        )
    name = buffer.uncast.text.decode("latin-1")
    test = _Test.around(call.node)
    if unit.dialect != BCC and unit.target_kernel >= _STRNCMP.since and (literal == 1 or test is not None):
        bound = b"sizeof(" + call.expression(literal) + b")"
        if call.name == "strncmp" and size == call.arguments[2].constant:
            bound = call.text(2)
        edits = [call.renamed(b"bpf_strncmp"), call.argument(0, call.text(1 - literal)), call.argument(1, bound)]
        if call.name == "strncmp":
            edits.append(call.argument(2, text))
        else:
            edits[-1] = call.argument(1, bound + b", " + text)
        message = f"there is no {call.name} in BPF; `bpf_strncmp` compares `{name}`"
        return Fix(call.node, message, Safety.SUGGESTED, edits, "needs Linux 5.17 wherever the program runs")
    if test is None or size > _LONGEST:
        return _advice(call, "compare in a loop of a constant number of steps, or with bpf_strncmp from Linux 5.17 on")

    def made() -> Made:
        edit = test.byte_by_byte(unit, buffer.uncast, call.arguments[literal].uncast, size)
        how = f"; the bytes of `{name}` can be compared one by one"
        return Made([edit], how, "a longer string needs a loop, or bpf_strncmp (5.17)")

    return settle(call.node, f"there is no {call.name} in BPF", made, ": the program will not load")


class _Test:
    """A comparison that is only asked whether the strings are equal: the expression that asks, and which answer it
    is true for."""

    def __init__(self, node: Node, equal: bool) -> None:
        self.node, self.equal = node, equal

    @classmethod
    def around(cls, call: Node) -> _Test | None:
        outer = call.outer
        if outer is None:
            return None
        if outer.kind == "UNARY_OPERATOR" and outer.operator == "!":
            return cls(outer, True)
        if outer.operator in ("==", "!="):
            other = next((c for c in outer.children if c.bare is not call), None)
            return cls(outer, outer.operator == "==") if other is not None and other.constant == 0 else None
        if outer.operator in ("&&", "||") or (outer.kind == "IF_STMT" and outer.children[0].bare is call):
            return cls(call, False)
        return None

    def byte_by_byte(self, unit: Unit, buffer: Node, literal: Node, size: int) -> Edit:
        """The expression written out over the first `size` bytes of the literal. NoEdit where that cannot be."""
        plain = re.fullmatch(rb'"([^"\\\n]*)"', literal.text)
        if plain is None or buffer.kind not in ("DECL_REF_EXPR", "MEMBER_REF_EXPR"):
            raise NoEdit("compare byte by byte")
        node = self.node
        if not unit.editable(node.path, node.start, node.end) or has_comment(unit, node.path, node.start, node.end):
            raise NoEdit("compare byte by byte")
        letters = [b"'\\''" if c == 39 else b"'%c'" % c for c in plain[1]] + [b"'\\0'"]
        if any(c > 126 for c in plain[1]):
            raise NoEdit("compare byte by byte")
        sign, glue = (b"==", b" && ") if self.equal else (b"!=", b" || ")
        tests = [b"%s[%d] %s %s" % (buffer.text, i, sign, letter) for i, letter in enumerate(letters[:size])]
        text = glue.join(tests)
        outer = node.outer
        same = outer is not None and (outer.kind == "IF_STMT" or outer.operator == glue.decode().strip())
        inside = node.parent is not None and node.parent.kind == "PAREN_EXPR"
        return unit.edit(node, text if same or inside else b"(" + text + b")")


_REWRITES: dict[str, Callable[[Unit, LibcCall], Fix]] = {
    **dict.fromkeys(_COPIES, _copy),
    "strlen": _strlen,
    "memcmp": _memcmp,
    **dict.fromkeys(("strcmp", "strncmp"), _compare),
}
