"""Initialiser lists taken apart: `{ .a = x, .n = { 1, 2 }, .s = "abc" }` as the assignments that do the same.

The text says where an item stands, the syntax tree what it is; where the two do not agree (macros that hold several
items, braces left out) there is no rewriting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ebpffix.editing.settle import NoEdit
from ebpffix.frontend import Node, Type, Unit
from ebpffix.sources.source import Source

from . import layout

_BRACKET = re.compile(rb"[(){}\[\],]")
_DESIGNATOR = re.compile(rb"((?:\s*(?:\.\s*\w+|\[\s*\d+\s*\]))+)\s*=(?!=)\s*")
_OTHER_DESIGNATOR = re.compile(rb"[.\[]|\w+\s*:")  # ranges, computed indices, and GNU's old `member: value`
_STEP = re.compile(rb"\.\s*(\w+)|\[\s*(\d+)\s*\]")
_LITERAL_HEAD = re.compile(rb"\(\s*[\w\s]+?\s*\)\s*(?=\{)")
_CONDITION = re.compile(rb"[ \t]*#[ \t]*(?:if|ifn?def|el\w+|endif)\b")
_STRING = re.compile(rb'"((?:[^"\\\n]|\\[^\n])*)"\Z')
_ESCAPE = re.compile(rb"\\(?:[0-7]{1,3}|x[0-9a-fA-F]+|.)")


@dataclass(frozen=True)
class Assignment:
    """One statement without its indentation, and the bytes of the item that it came from."""

    text: bytes
    start: int
    end: int


@dataclass(frozen=True)
class Assignments:
    """All of a list: the statements in order, and the bits that the list itself clears or sets."""

    made: tuple[Assignment, ...]
    bits: int


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


def value_of(item: Node) -> Node:
    """The value of an item of a list, without the designators before it."""
    return item.children[-1] if item.kind == "UNEXPOSED_EXPR" and len(item.children) > 1 else item


def assignments(unit: Unit, items: Node, opening: int, target: bytes, type_: Type) -> Assignments:
    """The assignments to `target` (an lvalue such as b"key") of the list whose brace stands at `opening`.

    `items` is its INIT_LIST_EXPR. Raises NoEdit."""
    source = unit.source_of(items)
    if not unit.editable(items.path, opening, closing(source, opening)):
        raise NoEdit("a macro holds the initialiser")
    return _Lists(unit, source).of(items, opening, target, type_, 0)


class _Lists:
    """The lists of one file."""

    def __init__(self, unit: Unit, source: Source) -> None:
        self.unit = unit
        self.source = source
        self.code = source.code
        text = bytearray(source.uncommented)  # without directives, which may stand between items
        for start, end in unit.directives(source.path):
            text[start:end] = b" " * (end - start)
        self.uncommented = bytes(text)

    def split(self, opening: int) -> Iterator[_Item]:
        """The items of a list, by the commas between its braces; those that an #if leaves out too."""
        depth, start = 0, opening + 1
        for match in _BRACKET.finditer(self.code, opening):
            depth += {b"(": 1, b"{": 1, b"[": 1, b",": 0}.get(match[0], -1)
            if depth == 0 or (depth == 1 and match[0] == b","):
                text = self.uncommented[start : match.start()]
                if text.strip():
                    first = start + len(text) - len(text.lstrip())
                    end = start + len(text.rstrip())
                    yield self.item(first, end)
                start = match.end()
            if depth == 0:
                return

    def item(self, first: int, end: int) -> _Item:
        if any(first <= start < end for start, _ in self.unit.directives(self.source.path)):
            raise NoEdit("a preprocessor line stands inside of a value")
        designator = _DESIGNATOR.match(self.uncommented, first, end)
        if not designator and _OTHER_DESIGNATOR.match(self.code, first):
            raise NoEdit("a designator is not understood")
        path = re.sub(rb"\s", b"", designator[1]) if designator else b""
        return _Item(first, end, path, designator.end() if designator else first)

    def of(self, items: Node, opening: int, target: bytes, type_: Type, offset: int) -> Assignments:
        split = list(self.split(opening))
        active = [item for item in split if not self.unit.inactive(self.source.path, item.start)]
        if len(active) != len(items.children):
            raise NoEdit("a macro holds several initialisers, or a member is not known")
        nodes = dict(zip(active, items.children, strict=True))
        places, at = list(_places(type_)), 0
        made: list[Assignment] = []
        bits = 0 if split and type_.is_union else layout.zeroed_bits(type_) << offset
        given = 0
        for item in split:
            if item not in nodes:
                made.append(self.left_out(item, target, type_))
                continue
            if item.path:
                path, value_type, place, own = _designated(type_, item.path)
                at = _after(places, item.path)
                bits &= ~(_union_around(type_, place) << offset)
            elif len(active) < len(split):
                raise NoEdit("an #if changes which member a value is for")
            elif at >= len(places):
                raise NoEdit("it has an initialiser for no member")
            else:
                path, value_type, place, own = places[at]
                at += 1
            if given & own << offset:
                raise NoEdit("a member is initialised twice")
            given |= own << offset
            value = self.value(item, value_of(nodes[item]), target + path, value_type, offset + place)
            made += value.made
            inner = value.bits if value_type.is_record or value_type.is_array else own << offset
            bits = bits & ~layout.span(offset + place, _width(value_type)) | inner
        return Assignments(tuple(made), bits)

    def left_out(self, item: _Item, target: bytes, type_: Type) -> Assignment:
        """An item that an #if leaves out: clang does not know it, so only a plain member is one."""
        value_type = _designated(type_, item.path)[1] if item.path else type_
        if value_type.is_record or value_type.is_array:
            raise NoEdit("an #if leaves out a value that is no plain member's")
        return Assignment(target + item.path + b" = " + self.text(item) + b";", item.start, item.end)

    def text(self, item: _Item) -> bytes:
        return self.source.data[item.value : item.end]

    def value(self, item: _Item, node: Node, target: bytes, type_: Type, offset: int) -> Assignments:
        """The assignments of one item, and the bits of it that they and what clears the list set."""
        code = self.source.code
        if type_.is_const:
            raise NoEdit("it has a const member")
        literal = _LITERAL_HEAD.match(code, item.value, item.end)
        opening = literal.end() if literal else item.value
        inner = next(node.find("INIT_LIST_EXPR"), None)
        braced = code[opening : opening + 1] == b"{"
        if (type_.is_record or type_.is_array) and braced and inner is not None:
            if closing(self.source, opening) != item.end:
                raise NoEdit("a value is not understood")
            return self.of(inner, opening, target, type_, offset)
        text = self.text(item)
        if type_.is_array:
            statement = _copy(target, text, type_)
        elif type_.is_record and not node.type.is_record:
            raise NoEdit("braces around a member's initialiser are left out")
        elif braced:
            raise NoEdit("a single value stands in braces")
        else:
            statement = target + b" = " + text + b";"
        bits = layout.data_bits(type_) << offset
        return Assignments((Assignment(statement, item.start, item.end),), bits)


def _width(type_: Type) -> int:
    """The bits of a member, its own padding too; a bitfield has none."""
    return 8 * type_.size if type_.is_record or type_.is_array else 0


def _after(places: Sequence[_Target], path: bytes) -> int:
    """Which place follows the member that a designator begins with."""
    step = _STEP.match(path)
    names = [name for name, *_ in places]
    return names.index(step[0]) + 1 if step and step[0] in names else len(places)


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


def lines(unit: Unit, items: Node, opening: int, made: Sequence[Assignment], indent: bytes) -> list[bytes]:
    """The assignments as lines without their indentation, with the comments and directives of the list between or
    behind them. A line that begins with `#` is a directive."""
    source = unit.source_of(items)
    end = closing(source, opening)
    found: list[bytes] = []
    directives = [span for span in unit.directives(items.path) if opening < span[0] < end]
    if any(not _CONDITION.match(source.code, start) for start, _ in directives):
        raise NoEdit("a preprocessor line stands in the initialiser")
    comments = [c for c in source.comments if not any(start <= c[0] < stop for start, stop in directives)]
    inside = [span for span in (*comments, *directives) if opening < span[0] < end]
    pending = sorted(span for span in inside if not any(a.start <= span[0] < a.end for a in made))
    for number, assignment in enumerate(made):
        while pending and pending[0][0] < assignment.start:
            found.append(_dedent(source, *pending.pop(0), indent))
        text = _shift(assignment.text, source.indent(assignment.start), indent)
        following = made[number + 1].start if number + 1 < len(made) else end
        if pending and pending[0][0] < following and b"\n" not in source.data[assignment.end : pending[0][0]]:
            start, stop = pending[0]
            if source.line_end(start) <= following or number + 1 == len(made):
                pending.pop(0)
                text += b" " + _shift(source.data[start:stop].rstrip(), source.indent(assignment.start), indent)
        found.append(text)
    return found + [_dedent(source, start, stop, indent) for start, stop in pending]


def _dedent(source: Source, start: int, stop: int, indent: bytes) -> bytes:
    return _shift(source.data[start:stop].strip(), source.indent(start), indent)


def _shift(text: bytes, old: bytes, new: bytes) -> bytes:
    """The text with the lines behind its first moved from one indentation to another."""
    return re.sub(rb"\n" + re.escape(old), lambda _: b"\n" + new, text) if old else text
