"""Chains of member accesses through kernel memory, `task->mm->owner->tgid`, and the reads that stand for them.

`chain()` finds one, `arguments()` writes it for BPF_CORE_READ, `by_locals()` reads it step by step.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ebpffix.analysis.provenance import pointer
from ebpffix.editing.c import declared
from ebpffix.editing.settle import NoEdit
from ebpffix.editing.statements import local_name
from ebpffix.frontend import Node, Unit

ACCESS = ("MEMBER_REF_EXPR", "ARRAY_SUBSCRIPT_EXPR", "UNARY_OPERATOR")


@dataclass(frozen=True)
class Link:
    """One step: `text` is what stands behind the arrow (`mm`, `owner.x`), or `[n]` behind a pointer; comments and
    line ends in front of it are kept. `node` is the access up to here."""

    text: bytes
    node: Node

    @property
    def is_member(self) -> bool:
        return not self.text.startswith(b"[")

    @property
    def name(self) -> bytes:
        """The member that is read last: `b` of `a.b[2]`."""
        found = re.findall(rb"[A-Za-z_]\w*", re.sub(rb"\[.*\]|/\*.*?\*/|//[^\n]*", b"", self.text, flags=re.DOTALL))
        return found[-1] if found else b"entry"


@dataclass(frozen=True)
class Chain:
    """A chain that begins with the pointer `root`."""

    unit: Unit
    root: Node
    links: tuple[Link, ...]

    @property
    def is_plain(self) -> bool:
        """Whether members alone follow each other, as few as BPF_CORE_READ takes."""
        return len(self.links) <= 9 and all(link.is_member for link in self.links)


def chain(unit: Unit, node: Node, refused: Callable[[Node], bool]) -> Chain:
    """The chain that ends with the access `node`; it reaches back over all loads that are `refused` as well."""
    links: list[Link] = []
    while base := pointer(node):
        links.insert(0, Link(_link(unit, node, base), node))
        inner = base.bare
        if inner.kind not in ACCESS or pointer(inner) is None or not refused(inner):
            return Chain(unit, base, tuple(links))
        node = inner
    raise AssertionError("a chain begins with a pointer")


def _link(unit: Unit, node: Node, base: Node) -> bytes:
    source = unit.sources[node.path]
    if node.kind == "UNARY_OPERATOR":
        return b"[0]"
    arrow = re.compile(rb"\s*->").match(source.code, base.end, node.end)
    if arrow is None:
        return source.data[base.end : node.end].strip()
    before, behind = source.data[base.end : arrow.end() - 2], source.data[arrow.end() : node.end]
    return before + behind.lstrip(b" \t")


def arguments(first: bytes, links: tuple[Link, ...]) -> bytes:
    """What stands between the parentheses of BPF_CORE_READ."""
    for link in links:
        kept = link.text.lstrip()
        gap = link.text[: len(link.text) - len(kept)]
        first += b"," + (gap if b"\n" in gap else b" ") + kept
    return first


def by_locals(
    chain: Chain, first: bytes, read: bytes, core: bytes | None, given: set[bytes]
) -> tuple[list[bytes], bytes]:
    """The chain read link by link: the statements, and the name of the local that the last of them fills.

    `first` is the text of the root, `read` the helper for one link. With `core` (BPF_CORE_READ or BPF_PROBE_READ)
    members in a row are read by that. `given` are names that are taken; the new ones join them. NoEdit where a
    local's type has no simple name.
    """
    function = chain.root.function
    if function is None:
        raise NoEdit("it stands outside of functions")
    lines: list[bytes] = []
    text, rest = first, list(chain.links)
    while rest:
        run = 0
        while core and run < len(rest) and rest[run].is_member:
            run += 1
        index = rest[run] if run < len(rest) else None
        members, last = rest[:run], index or rest[run - 1]
        if members:
            text = core + b"(" + arguments(text, tuple(members)) + b")" if core else text
        name = local_name(chain.unit, function, last.name if last.is_member else b"entry", given)
        given.add(name)
        local = declaration(last.node, name)
        if index is None:
            lines.append(local + b" = " + text + b";")
        else:
            simple = re.fullmatch(rb"\w+(?:\(.*\))?", text, re.DOTALL)
            place = text if simple else b"(" + text + b")"
            place += b"->" + b" ".join(index.text.split()) if index.is_member else index.text
            lines += [local + b";", fill(read, name, place)]
        text, rest = name, rest[run + (index is not None) :]
    return lines, text


def fill(read: bytes, name: bytes, place: bytes) -> bytes:
    """The statement that reads the memory `place` into a local."""
    place = place.removesuffix(b"[0]") if place.endswith(b"[0]") else b"&" + place
    return read + b"(&" + name + b", sizeof(" + name + b"), " + place + b");"


def declaration(node: Node, name: bytes) -> bytes:
    """The declaration of a local that holds the value of an expression, without its semicolon. NoEdit for what has no
    simple name."""
    spelled = re.sub(r"\b(?:const|volatile)\s+(?![^*]*\*)", "", node.type.spelling).strip()
    if "(" in spelled or "[" in spelled or not spelled:
        raise NoEdit("a local for it would be a pointer to a function, an array, or of a type without a name")
    return declared(spelled.encode(), name)
