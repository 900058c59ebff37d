"""Calls of C library functions, of which BPF has none, and explicit reads that take their place."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from ebpffix.analysis.extent import object_of
from ebpffix.analysis.provenance import prove
from ebpffix.editing.settle import NoEdit
from ebpffix.editing.statements import add_include
from ebpffix.fix import BCC, Edit, Span
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.helpers import HELPERS
from ebpffix.sources.source import Source

_BY_LINKS = "its source must be read link by link, each link by bpf_probe_read_kernel"
_CHAIN = re.compile(rb"\w+\s*->\s*\w+(?:\s*(?:->|\.)\s*\w+)*\Z")


@dataclass(frozen=True)
class LibcCall:
    """A call of a C library function by its plain name; `at` spans the name, `spans` its arguments
    as written."""

    node: Node
    at: Span
    spans: tuple[tuple[int, int], ...]

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def arguments(self) -> list[Node]:
        return self.node.arguments

    @property
    def is_statement(self) -> bool:
        """Whether nothing looks at the result."""
        return self.node.statement.uncast is self.node

    def text(self, index: int) -> bytes:
        """The argument as written, with the comments that go with it."""
        start, end = self.spans[index]
        return self._source.data[start:end]

    def expression(self, index: int) -> bytes:
        """The argument as written, without comments around it."""
        start, end = _expression(self._source, *self.spans[index])
        return self._source.data[start:end]

    @property
    def _source(self) -> Source:
        return self.node.unit.sources[self.at.path]

    def renamed(self, name: bytes) -> Edit:
        return Edit(self.at.path, self.at.start, self.at.end, name)

    def argument(self, index: int, text: bytes) -> Edit:
        return Edit(self.at.path, *self.spans[index], text)


def libc_calls(unit: Unit, names: Collection[str]) -> Iterator[LibcCall]:
    """The calls of these functions that a person wrote by that name, and that are not the project's own functions."""
    for call in unit.calls:
        if call.name not in names or call.callee is None:
            continue
        target = call.declaration
        if target is None or target.kind != "FUNCTION_DECL" or _is_own(target):
            continue
        start, name = call.callee.start, call.name.encode()
        at = Span(call.path, start, start + len(name))
        if unit.text(at) == name and unit.editable(call.path, call.start, call.end):
            spans = tuple(_own_span(unit.source_of(call), *span) for span in unit.argument_spans(call.path, at.end))
            if len(spans) == len(call.arguments):
                yield LibcCall(call, at, spans)


def _own_span(source: Source, start: int, end: int) -> tuple[int, int]:
    """An argument's span with the comments that go with it: not those to the end of a line, or on another one."""
    first, last = _expression(source, start, end)
    head, tail = source.data[start:first], source.data[last:end]
    return (
        first if b"\n" in head or b"//" in head else start,
        last if b"\n" in tail or b"//" in tail else end,
    )


def _expression(source: Source, start: int, end: int) -> tuple[int, int]:
    text = source.uncommented[start:end]
    return start + len(text) - len(text.lstrip()), start + len(text.rstrip())


def _is_own(function: Node) -> bool:
    """Whether the program has the function's body, or says that it is local."""
    return function.is_static or function.definition is not None


def read_helper(unit: Unit, space: str, string: bool = False) -> bytes:
    """The helper that reads memory of the kernel or of user space, as the target kernel has it."""
    name = f"bpf_probe_read_{space}" + ("_str" if string else "")
    return (name if unit.target_kernel >= HELPERS[name].since else name.replace(f"_{space}", "")).encode()


def size_text(call: LibcCall, index: int) -> bytes:
    """`sizeof(d)` for what an argument points at: an array, a literal, or a variable by its address. NoEdit where it
    has no simple name or its size is not known."""
    node = object_of(call.arguments[index])
    simple = node is not None and node.kind in ("DECL_REF_EXPR", "MEMBER_REF_EXPR", "STRING_LITERAL")
    if node is None or not simple or node.type.size <= 0 or node.text not in call.text(index):
        raise NoEdit("its size has no simple name")
    return b"sizeof(" + node.text + b")"


def readable_source(unit: Unit, call: LibcCall, index: int) -> tuple[bytes, list[Edit]]:
    """The text of an argument that points into the kernel as a probe read can take it, and the include that it needs.

    In libbpf every further link of a chain must be read by itself: `t->real_parent->comm` becomes
    `BPF_CORE_READ(t, real_parent)->comm`; BCC does that for pointers that it tracks. NoEdit where it cannot be written.
    """
    text, start = call.text(index), call.spans[index][0]
    link = next((n for n in call.arguments[index].walk() if n.kind == "MEMBER_REF_EXPR" and n.arrow), None)
    if link is None:
        return text, []
    base = link.children[0].bare
    reads = [
        n
        for n in base.walk()
        if n.kind == "MEMBER_REF_EXPR" and n.arrow and prove(unit, n.children[0]).is_untrusted_kernel
    ]
    if not reads:
        return text, []
    if unit.dialect == BCC:
        if prove(unit, reads[-1].children[0]).is_tracked:
            return text, []
        raise NoEdit(_BY_LINKS)
    if not _CHAIN.match(base.text):
        raise NoEdit(_BY_LINKS)
    root, *members = (part.strip() for part in base.text.split(b"->"))
    read = b"BPF_CORE_READ(" + b", ".join([root, *(b".".join(m.split()) for m in members)]) + b")"
    include = add_include(unit, call.at.path, b"bpf/bpf_core_read.h")
    a, b = base.start - start, base.end - start
    return text[:a] + read + text[b:], include
