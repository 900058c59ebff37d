"""Whose memory is copied: what a program cannot load from is read by a helper, the rest is the builtin's."""

from __future__ import annotations

from ebpffix.analysis.provenance import Space, prove
from ebpffix.editing.c import one_line
from ebpffix.editing.calls import read_helper, readable_source
from ebpffix.editing.settle import Made, NoEdit, settle
from ebpffix.fix import Edit, Fix, Safety

from .copies import Copy


def unreadable(copy: Copy) -> Fix | None:
    """A copy out of memory that a program cannot load from."""
    unit, call, source = copy.unit, copy.call, copy.source
    if source is None or not (source.is_untrusted_kernel or source.space is Space.USER):
        return None
    helper = read_helper(unit, source.reader)
    what = (
        f"`{one_line(call.arguments[copy.from_ or 0].text)}` is {source.reader} memory, which {call.name} cannot read"
    )
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


def plain_name(copy: Copy) -> Fix | None:
    """A plain name that the compiler makes a builtin of: the same under the builtin's name."""
    call = copy.call
    if copy.name != call.name or (call.name == "bcopy" and not call.is_statement):
        return None
    edits = copy.renamed
    if call.name == "bzero":
        edits.append(Edit(call.at.path, call.spans[1][0], call.spans[1][0], b"0, "))
    elif call.name == "bcopy":
        edits += [call.argument(0, call.text(1)), call.argument(1, call.text(0))]
    message = f"there is no libc in BPF: `{call.name}` is only what the compiler makes of it"
    return Fix(call.node, message, Safety.SAFE, edits)
