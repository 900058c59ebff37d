"""Initialiser lists taken apart: `{ .a = x, .n = { 1, 2 }, .s = "abc" }` as the assignments that do the same.

The text says where an item stands, the syntax tree what it is; where the two do not agree (macros that hold several
items, braces left out) there is no rewriting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ebpffix.editing.settle import NoEdit
from ebpffix.frontend import Node, Type, Unit
from ebpffix.sources.source import Source

from . import layout

_BRACKET = re.compile(rb"[(){}\[\],]")
_DESIGNATOR = re.compile(rb"((?:\s*(?:\.\s*\w+|\[\s*\d+\s*\]))+)\s*=(?!=)\s*")
_OTHER_DESIGNATOR = re.compile(rb"[.\[]|\w+\s*:")  # ranges, computed indices, and GNU's old `member: value`
_STEP = re.compile(rb"\.\s*(\w+)|\[\s*(\d+)\s*\]")
_LITERAL_HEAD = re.compile(rb"\(\s*[\w\s]+?\s*\)\s*(?=\{)")
_STRING = re.compile(rb'"((?:[^"\\\n]|\\[^\n])*)"\Z')
_ESCAPE = re.compile(rb"\\(?:[0-7]{1,3}|x[0-9a-fA-F]+|.)")


@dataclass(frozen=True)
class Assignment:
    """One statement without its indentation, and the bytes of the item that it came from."""

    text: bytes
    start: int
    end: int


@dataclass
class Assignments:
    """All of a list: the statements in order, and the bits that the list itself clears or sets."""

    made: list[Assignment] = field(default_factory=list)
    bits: int = 0
    given: int = 0  # the bits that have a value of their own


@dataclass(frozen=True)
class _Item:
    start: int
    end: int
    path: bytes  # the designator without blanks, b"" for a positional item
    value: int  # where the value begins


def closing(source: Source, opening: int) -> int:
    """The offset behind the brace that closes the one at `opening`."""
    depth = 0
    for match in _BRACKET.finditer(source.code, opening):
        depth += {b"(": 1, b"{": 1, b"[": 1, b",": 0}.get(match[0], -1)
        if depth == 0:
            return match.end()
    raise NoEdit("its braces do not match")


def is_zero(items: Node) -> bool:
    """Whether a list is `{}`, `{0}`, or these nested. In a macro's body any one number passes for 0."""
    leaves = [n for n in items.walk() if not n.children and n.kind != "INIT_LIST_EXPR"]
    if not leaves:
        return True
    plain = len(leaves) == 1 and leaves[0].kind == "INTEGER_LITERAL" and not any(items.find("MEMBER_REF"))
    return plain and (leaves[0].text == b"0" or leaves[0].from_macro_body or not leaves[0].text)


def is_constant(items: Node) -> bool:
    """Whether all values of a list are known to the compiler."""
    return not any(
        n.kind in ("CALL_EXPR", "MEMBER_REF_EXPR", "StmtExpr") or (n.kind == "DECL_REF_EXPR" and not _enumerator(n))
        for n in items.walk()
    )


def _enumerator(node: Node) -> bool:
    target = node.declaration
    return target is not None and target.kind == "ENUM_CONSTANT_DECL"


def assignments(unit: Unit, items: Node, opening: int, target: bytes, type_: Type) -> Assignments:
    """The assignments to `target` (an lvalue such as b"key") of the list whose brace stands at `opening`.

    `items` is its INIT_LIST_EXPR. Raises NoEdit."""
    source = unit.source_of(items)
    if not unit.editable(items.path, opening, closing(source, opening)):
        raise NoEdit("a macro holds the initialiser")
    if re.search(rb"^[ \t]*#", source.code[opening : closing(source, opening)], re.MULTILINE):
        raise NoEdit("a preprocessor line stands in the initialiser")
    found = Assignments()
    _list(source, items, opening, target, type_, 0, found)
    return found


def _split(source: Source, opening: int) -> Iterator[_Item]:
    """The items of a list, by the commas between its braces."""
    depth, start = 0, opening + 1
    for match in _BRACKET.finditer(source.code, opening):
        depth += {b"(": 1, b"{": 1, b"[": 1, b",": 0}.get(match[0], -1)
        if depth == 0 or (depth == 1 and match[0] == b","):
            text = source.uncommented[start : match.start()]
            if text.strip():
                first = start + len(text) - len(text.lstrip())
                designator = _DESIGNATOR.match(source.uncommented, first, match.start())
                if not designator and _OTHER_DESIGNATOR.match(source.code, first):
                    raise NoEdit("a designator is not understood")
                path = re.sub(rb"\s", b"", designator[1]) if designator else b""
                value = designator.end() if designator else first
                yield _Item(first, start + len(text.rstrip()), path, value)
            start = match.end()
        if depth == 0:
            return


def _list(source: Source, items: Node, opening: int, target: bytes, type_: Type, offset: int, out: Assignments) -> None:
    split = list(_split(source, opening))
    if len(split) != len(items.children):
        raise NoEdit("a macro holds several initialisers")
    places = list(_places(type_))
    at = 0
    if split and type_.is_union:
        out.bits &= ~(layout.all_bits(type_) << offset)
    else:
        out.bits |= layout.zeroed_bits(type_) << offset
    for item, node in zip(split, items.children, strict=True):
        if item.path:
            path, value_type, place, bits = _designated(type_, item.path)
            top = _STEP.match(item.path)
            assert top
            names = [p for p, *_ in places]
            at = names.index(top[0]) + 1 if top[0] in names else len(places)
            node = node.children[-1] if node.children else node
            out.bits &= ~(_union_around(type_, place) << offset)
        else:
            if at >= len(places):
                raise NoEdit("it has an initialiser for no member")
            path, value_type, place, bits = places[at]
            at += 1
        if out.given & bits << offset:
            raise NoEdit("a member is initialised twice")
        _value(source, item, node, target + path, value_type, offset + place, bits << offset, out)


def _union_around(type_: Type, place: int) -> int:
    """All bits of the union that is a member of a record and holds bit `place`: a value in it clears no more."""
    for member in layout.members(type_) if type_.is_record else ():
        size = 8 * member.type.size
        if member.type.is_union and member.offset <= place < member.offset + size:
            return layout.span(member.offset, size)
    return 0


_Target = tuple[bytes, Type, int, int]  # the path to a member, its type, its offset and its bits


def _places(type_: Type) -> Iterator[_Target]:
    """What positional items stand for, in order."""
    if type_.is_array:
        element = type_.pointee
        for index in range(type_.length or 0):
            place = index * 8 * element.size
            yield b"[%d]" % index, element, place, layout.data_bits(element) << place
        return
    for member in layout.members(type_):
        yield (b"." + member.name.encode() if member.name else b""), member.type, member.offset, member.bits
        if type_.is_union:
            return


def _designated(type_: Type, path: bytes) -> _Target:
    offset, bits = 0, layout.data_bits(type_)
    for step in _STEP.finditer(path):
        if step[2] is not None:
            if not type_.is_array:
                raise NoEdit("a designator is not understood")
            type_ = type_.pointee
            place = int(step[2]) * 8 * type_.size
            bits = layout.data_bits(type_) << (offset + place)
        else:
            member = layout.member(type_, step[1].decode())
            if member is None:
                raise NoEdit("a designator is not understood")
            type_, place = member.type, member.offset
            bits = member.bits << offset
        offset += place
    return path, type_, offset, bits


def _value(
    source: Source, item: _Item, node: Node, target: bytes, type_: Type, offset: int, bits: int, out: Assignments
) -> None:
    if type_.is_const:
        raise NoEdit("it has a const member")
    literal = _LITERAL_HEAD.match(source.code, item.value, item.end)
    opening = literal.end() if literal else item.value
    inner = next(node.find("INIT_LIST_EXPR"), None)
    aggregate = type_.is_record or type_.is_array
    if aggregate and source.code[opening : opening + 1] == b"{" and inner is not None:
        if closing(source, opening) != item.end:
            raise NoEdit("a value is not understood")
        _list(source, inner, opening, target, type_, offset, out)
        out.given |= bits
        return
    out.bits |= bits
    out.given |= bits
    text = source.data[item.value : item.end]
    if type_.is_array:
        statement = _copy(target, text, type_)
    elif type_.is_record and not node.type.is_record:
        raise NoEdit("braces around a member's initialiser are left out")
    elif source.code[opening : opening + 1] == b"{":
        raise NoEdit("a single value stands in braces")
    else:
        statement = target + b" = " + text + b";"
    out.made.append(Assignment(statement, item.start, item.end))


def _copy(target: bytes, text: bytes, array: Type) -> bytes:
    string = _STRING.match(text)
    if not string or array.pointee.size != 1:
        raise NoEdit("an array member has an initialiser without braces")
    room = array.length or 0
    length = len(_ESCAPE.sub(b"x", string[1])) + 1
    if length > room + 1:
        raise NoEdit("a string is longer than its array")
    # A string that fills its array leaves no room for the final zero byte.
    size = text if length <= room else target
    return b"__builtin_memcpy(" + target + b", " + text + b", sizeof(" + size + b"));"


def lines(source: Source, opening: int, made: list[Assignment], indent: bytes) -> list[bytes]:
    """The assignments as lines without their indentation, with the comments of the list between or behind them."""
    end = closing(source, opening)
    found: list[bytes] = []
    inside = [c for c in source.comments if opening < c[0] < end]
    pending = [c for c in inside if not any(a.start <= c[0] < a.end for a in made)]
    for number, assignment in enumerate(made):
        while pending and pending[0][0] < assignment.start:
            start, stop = pending.pop(0)
            found.append(_dedent(source, start, stop, indent))
        text = _dedent_text(source, assignment, indent)
        following = made[number + 1].start if number + 1 < len(made) else end
        if pending and pending[0][0] < following and b"\n" not in source.data[assignment.end : pending[0][0]]:
            start, stop = pending[0]
            if source.line_end(start) <= following or number + 1 == len(made):
                pending.pop(0)
                text += b" " + _shift(source.data[start:stop].rstrip(), source.indent(assignment.start), indent)
        found.append(text)
    return found + [_dedent(source, start, stop, indent) for start, stop in pending]


def _dedent(source: Source, start: int, stop: int, indent: bytes) -> bytes:
    return _shift(source.data[start:stop].rstrip(), source.indent(start), indent)


def _dedent_text(source: Source, assignment: Assignment, indent: bytes) -> bytes:
    return _shift(assignment.text, source.indent(assignment.start), indent)


def _shift(text: bytes, old: bytes, new: bytes) -> bytes:
    """The text with the lines behind its first moved from one indentation to another."""
    return re.sub(rb"\n" + re.escape(old), lambda _: b"\n" + new, text) if old else text
