"""strcpy, strncpy, strlcpy and strscpy: a builtin copy of what is the program's own, a probe read of all else."""

from __future__ import annotations

from ebpffix.analysis.provenance import Proof, Space, prove
from ebpffix.editing.calls import LibcCall, read_helper, readable_source, size_text
from ebpffix.editing.settle import Made, NoEdit, first_of, settle
from ebpffix.fix import Edit, Fix, Safety
from ebpffix.frontend import Unit
from ebpffix.kernel.inline_copy import is_inline

from .said import NO_LOAD, builtin, is_literal, no_form, room, there_is_no

_OWN = (Space.STACK, Space.GLOBAL, Space.MAP_VALUE, Space.RINGBUF)


def copy(unit: Unit, call: LibcCall) -> Fix:
    target, source = call.arguments[:2]
    if is_literal(source):
        return _literal(call, room(target), room(source))
    helper = read_helper(unit, "user" if prove(unit, source).space is Space.USER else "kernel", string=True)
    simple = target.uncast.kind in ("DECL_REF_EXPR", "MEMBER_REF_EXPR")
    if not room(target) or not simple or not call.is_statement:
        why = "the size of what it writes is not known" if call.is_statement else "its result is used"
        return no_form(call, f"{why}: use {helper.decode()}(to, size, from)")

    def made() -> Made:
        return first_of(lambda: _whole(unit, call), lambda: _read(unit, call, helper))

    return settle(call.node, there_is_no(call), made, NO_LOAD)


def _whole(unit: Unit, call: LibcCall) -> Made:
    """The bytes of one buffer of the program's to another; NoEdit where the string would be cut, for it would have no
    end then."""
    target, source = call.arguments[:2]
    if not (_is_own(prove(unit, target)) and _is_own(prove(unit, source))):
        raise NoEdit("it copies memory that is not the program's own")
    limit = call.arguments[2].constant if len(call.arguments) == 3 else None
    have = room(source)
    as_told = call.name == "strncpy" and limit is not None and 0 < limit <= min(have, room(target))
    size = call.text(2) if as_told else size_text(call, 1)
    count = limit if as_told and limit is not None else have
    if not 0 < count <= min(have, room(target)) or not is_inline(count) or (limit is not None and limit < count):
        raise NoEdit("the string may be longer than what there is for it")
    edits = [call.renamed(b"__builtin_memcpy")]
    if len(call.arguments) == 2:
        edits.append(call.argument(1, call.text(1) + b", " + size))
    elif not as_told:
        edits.append(call.argument(2, size))
    return Made(edits, "; `__builtin_memcpy` copies the array", "what stands behind the string's end is copied too")


def _is_own(proof: Proof) -> bool:
    return proof.is_certain and all(way.space in _OWN for way in proof.ways)


def _read(unit: Unit, call: LibcCall, helper: bytes) -> Made:
    """A read that ends at the NUL, or where the room does."""
    target = call.arguments[0]
    text, includes = readable_source(unit, call, 1)
    size = b"sizeof(" + target.text + b")"
    limit = call.arguments[2].constant if len(call.arguments) == 3 else None
    if limit is not None and 0 < limit <= room(target):
        size = call.text(2)
    edits = [call.renamed(helper), *includes]
    if len(call.arguments) == 3:
        edits += [call.argument(1, size), call.argument(2, text)]
    else:
        edits.append(call.argument(1, size + b", " + text))
    how = f"; `{helper.decode()}` reads a string into `{target.uncast.text.decode('latin-1')}`"
    return Made(edits, how, "the string is cut to fit and always ends in NUL; what was behind it in the buffer stays")


def _literal(call: LibcCall, space: int, size: int) -> Fix:
    if call.name == "strncpy":
        return builtin(call, "there is no libc in BPF: `strncpy` is only what the compiler makes of it")
    if call.name != "strcpy":
        return no_form(call, "copy the literal with __builtin_memcpy")
    if 0 < space < size:
        what = f"a string of {size} bytes does not fit into {space}"
        reason = "make the array larger, or copy less with __builtin_memcpy"
        return Fix(call.node, what, Safety.ADVICE, reason=reason)
    end = call.spans[1][1]
    added = b", sizeof(" + call.expression(1) + b")"
    edits = [call.renamed(b"__builtin_memcpy"), Edit(call.at.path, end, end, added)]
    message = "there is no libc in BPF: a literal is copied by `__builtin_memcpy`"
    if space:
        return Fix(call.node, message, Safety.SAFE, edits)
    return Fix(call.node, message, Safety.SUGGESTED, edits, "the size of what it writes is not known")
