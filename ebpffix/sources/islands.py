"""C in the strings of a host program: which strings are eBPF programs, and how an edit of the C is one of the host.

An island is the C that one string of the host, or several that it puts together, make: decoded to what the compiler
gets, with what the host puts in for a placeholder in its place. All analysis works on that C; here its findings become
findings in the host, and its edits edits of the host, escaped as the literal needs it and proven by reading the result.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from ebpffix.fix import Edit, Fix, Safety, Span, apply
from ebpffix.sources.dialect import dialect_of
from ebpffix.sources.hosts import (
    BRACED,
    PERCENT,
    STAND_IN,
    Decoded,
    Host,
    Literal,
    Piece,
    Text,
    first_byte,
    is_alone,
    last_byte,
    piece_at,
    piece_index,
    read,
    spliced,
)  # fmt: skip
from ebpffix.sources.program import Program
from ebpffix.sources.source import DIRECTIVE, Source


class CannotWrite(Exception):
    """Why an edit of the C cannot be made in the host: one phrase."""


_OPERAND_BEFORE = re.compile(rb"(?:[(\[{=!&|+*/,?:<>]|\breturn|\bcase)\s*\Z")
_OPERAND_AFTER = re.compile(rb"\s*[)\]},;=!&|+*/?:<>]|[uUlL]+\b|\s+-")
_MAP_CALL = re.compile(rb"\b(\w+)\s*\.\s*(?:update|insert)\s*\(|\bbpf_map_update_elem\s*\(\s*&\s*(\w+)")
_LEFT = re.compile(rb"^[ \t]*([A-Z_][A-Z0-9_]{2,})[ \t]*;?[ \t]*\r?$", re.MULTILINE)
# More than a test that leaves the function: an assignment, a call.
_ACTS = re.compile(rb"[^=!<>]=[^=]|\+\+|--|\b(?!if\b|return\b|sizeof\b|while\b|for\b|switch\b)\w+\s*\(")
_NESTED = 3  # so many placeholders in the texts of placeholders
_MOST_BYTES = 4 << 20  # of one program that a host puts together, and of all in one host
_MOST_ABOVE = 100  # texts above one that may belong to its program


@dataclass(frozen=True, eq=False)
class Island:
    """A piece of C in a host: one text, or several that the host puts together. All offsets are of `data`."""

    host: Host
    numbers: tuple[int, ...]  # of the host's texts; the last is what the island is about
    last: bool = False  # of several texts for a placeholder take the last one: what the host has for other kernels

    @property
    def text(self) -> Text:
        return self.host.texts[self.numbers[-1]]

    @property
    def data(self) -> bytes:
        return self.decoded[0]

    @cached_property
    def decoded(self) -> Decoded:
        none: Decoded = b"", []
        whole = spliced(none, [(0, 0, self.host.texts[number].decoded) for number in self.numbers])
        for _ in range(_NESTED):
            filled = self._filled(whole)
            if filled is whole:
                break
            whole = filled
        return whole

    def _filled(self, whole: Decoded) -> Decoded:
        fills = self.host.fills
        names = [name for name in fills if name in whole[0]]
        if not names:
            return whole
        pattern = re.compile(b"|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)))
        found = ((match, self._value(whole, match)) for match in pattern.finditer(whole[0]))
        cuts: list[tuple[int, int, Decoded]] = []
        size = len(whole[0])
        for match, value in found:
            if value:
                cuts.append((*match.span(), value))
                size += len(value[0])
                if size > _MOST_BYTES:  # texts that stand in each other many times
                    return whole
        return spliced(whole, cuts) if cuts else whole

    def _value(self, whole: Decoded, match: re.Match[bytes]) -> Decoded | None:
        """What stands at a placeholder: the first text of the host's that C allows there, else a stand-in."""
        data, (start, end) = whole[0], match.span()
        alone = is_alone(data, start, end)
        values = self.host.fills[match[0]]
        for text in reversed(values) if self.last else values:
            if text.complete and (alone or text.data.strip()):
                return text.decoded
        if alone:
            return b"", []
        if not _OPERAND_BEFORE.search(data, max(start - 40, 0), start) or not _OPERAND_AFTER.match(data, end):
            return None
        host, host_end = first_byte(whole, start), last_byte(whole, end)
        return STAND_IN, [Piece(0, 1, host, host_end - host, piece_at(whole, start).text, None, False)]

    def text_at(self, offset: int) -> Text:
        """The text of the host that holds a byte."""
        return piece_at(self.decoded, offset).text

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The bytes of the host that hold bytes `start` to `end`; of those in several texts, the ones in the first."""
        if start == end:
            place = self._place(start)[1]
            return place, place
        first = piece_at(self.decoded, start)
        pieces = self.decoded[1]
        own = [p for p in pieces[piece_index(pieces, start) : piece_index(pieces, end - 1) + 1] if p.text is first.text]
        return first_byte(self.decoded, start), max(last_byte(self.decoded, min(end, p.at + p.length)) for p in own)

    def holds(self, edit: Edit) -> bool:
        """Does an edit of the host change this C?"""
        literals = {piece.literal for piece in self.decoded[1] if piece.literal}
        return any(literal.body <= edit.start and edit.end <= literal.body_end for literal in literals)

    def line(self, line: int) -> int:
        """The line of the host that a line of the C begins on; both 1-based."""
        try:
            offset = Source(self.host.source.path, self.data).offset(line)
        except IndexError:
            offset = len(self.data)
        return self.host.source.line(self.span(offset, min(offset + 1, len(self.data)))[0])

    def fix(self, path: Path, fix: Fix) -> Fix:
        """A fix in the C, which has `path`, as one in the host: advice where the host cannot be edited so."""
        here = fix.at.path == path
        at = Span(self.host.source.path, *self.span(fix.at.start, fix.at.end)) if here else fix.at
        if fix.safety is Safety.SAFE and (why := self._doubt(path, fix)):
            fix = replace(fix, safety=Safety.SUGGESTED, reason=why)
        mine = [edit for edit in fix.edits if edit.path == path]
        others = [edit for edit in fix.edits if edit.path != path]
        try:
            return replace(fix, at=at, edits=[*(self.edits(mine) if mine else []), *others])
        except CannotWrite as why:
            doubt = f"; {fix.reason}" if fix.reason else ""
            reason = f"to be made by hand: {why}{doubt}"
            return replace(fix, at=at, safety=Safety.ADVICE, edits=[], reason=reason)

    @property
    def unknown(self) -> tuple[int, str] | None:
        """The line and name of the first placeholder for statements that the host does not tell."""
        for name in self._statements(0, len(self.data), self.text):
            if not self.host.fills.get(name):
                at = max(self.host.source.data.find(name, self.text.start), 0)
                return self.host.source.line(at), name.decode("utf-8", "replace")
        return None

    def _doubt(self, path: Path, fix: Fix) -> str:
        """Why a fix that is safe in this C may not be so in all that the host makes of it; "" if it is."""
        data = self.data
        for edit in (edit for edit in fix.edits if edit.path == path):
            for match in _MAP_CALL.finditer(data, edit.start, edit.end):
                name = match[1] or match[2]
                if any(
                    re.search(rb"\b%s\b[^;]*\bdelete|delete\w*\s*\([^;]*\b%s\b" % (name, name), t) for t in self._others
                ):
                    return f"another string of the host program deletes from `{name.decode('utf-8', 'replace')}`"
            # What stands in an expression cannot change what the code around it does; a statement can.
            start, end = data.rfind(b"\n}", 0, edit.start) + 1, data.find(b"\n}", edit.end)
            own = self.text_at(min(edit.start, len(data) - 1))
            for name in self._statements(start, end if end >= 0 else len(data), own):
                values = self.host.fills.get(name, [])
                if not values or not all(value.complete and not _ACTS.search(value.data) for value in values):
                    return f"`{name.decode('utf-8', 'replace')}` stands for text that the host program puts in there"
        return ""

    @cached_property
    def _others(self) -> list[bytes]:
        """The other texts of the host that may belong to the program too."""
        own = {piece.text for piece in self.decoded[1]}
        return [text.data for text in self.host.texts if text not in own and b"delete" in text.raw]

    def _statements(self, start: int, end: int, own: Text) -> Iterator[bytes]:
        """The placeholders between two bytes that stand for statements, save the one that `own` stands in for."""
        names = {text: name for name, values in self.host.fills.items() for text in values}
        pieces = self.decoded[1]
        host = self.host.source.data
        for before, piece in pairwise(pieces[piece_index(pieces, start) : piece_index(pieces, end) + 1]):
            if name := names.get(piece.text):
                if piece.text is not own:
                    yield name
            elif piece.literal and piece.literal is before.literal:
                # Left out: what stands alone in its line, and is not known.
                gap = host[before.host + before.size : piece.host].strip()
                if gap and not gap.startswith(b"\\"):
                    yield gap
        for match in _LEFT.finditer(self.data, start, end):
            yield match[1]

    def edits(self, edits: Sequence[Edit]) -> list[Edit]:
        """Edits of the C as edits of the host, proven by reading the result. CannotWrite if there are none."""
        source = self.host.source
        wanted = apply(self.data, edits)
        for cautious in (False, True):
            made = [self._edit(edit, cautious) for edit in edits]
            again = read(source.path, apply(source.data, made))
            if len(again.texts) == len(self.host.texts) and replace(self, host=again).data == wanted:
                return made
        raise CannotWrite("the string of the host program cannot hold the new text")

    def _edit(self, edit: Edit, cautious: bool) -> Edit:
        edit = edit if self._piece_of(edit) else _trimmed(self.data, edit)
        piece = self._piece_of(edit)
        if piece is None or piece.literal is None:
            raise CannotWrite("it reaches over strings that the host program joins")
        start, end = self.span(edit.start, edit.end)
        return Edit(self.host.source.path, start, end, _encoded(edit.text, piece.text, piece.literal, start, cautious))

    def _piece_of(self, edit: Edit) -> Piece | None:
        """A piece of the one literal that an edit lies in."""
        if edit.start == edit.end:
            return self._place(edit.start)[0]
        pieces = self.decoded[1]
        over = pieces[piece_index(pieces, edit.start) : piece_index(pieces, edit.end - 1) + 1]
        first, last = over[0], over[-1]
        whole = (first.verbatim or first.at == edit.start) and (last.verbatim or last.at + last.length == edit.end)
        return first if whole and first.literal and all(p.literal is first.literal for p in over) else None

    def _place(self, offset: int) -> tuple[Piece | None, int]:
        """Where in the host new text goes that is to stand at `offset`: of two strings that meet there into the one
        that has the rest of the line."""
        data, pieces = self.decoded
        if not pieces:
            return None, self.text.start
        after = piece_at(self.decoded, offset) if offset < len(data) else None
        before = piece_at(self.decoded, offset - 1) if offset else None
        at_line_start = not offset or data[offset - 1 : offset] == b"\n"
        if after and after.literal and (at_line_start or before is None or before.literal is None):
            return after, first_byte(self.decoded, offset)
        if before:
            return before, last_byte(self.decoded, offset)
        return after, first_byte(self.decoded, offset)


_LINES = re.compile(r"\Alines? \d+(?:, \d+)*\b")


@dataclass(frozen=True, eq=False)
class StringProgram:
    """A program in a host's strings (see `Program`): `source` has a path of its own, which is on no disk."""

    source: Source
    dialect: str
    root: Path
    island: Island
    on_disk = False

    @property
    def path(self) -> Path:
        return self.source.path

    @property
    def file(self) -> Path:
        return self.island.host.source.path

    @property
    def whole(self) -> Source:
        return self.island.host.source

    @property
    def unknown(self) -> tuple[int, str] | None:
        return self.island.unknown

    def read(self, data: bytes) -> StringProgram:
        return self._as(replace(self.island, host=read(self.file, data)))

    def otherwise(self) -> StringProgram | None:
        """With the last text for a placeholder that the host has several for."""
        other = replace(self.island, last=True)
        return self._as(other) if other.data != self.source.data else None

    def _as(self, island: Island) -> StringProgram:
        return replace(self, source=Source(self.path, island.data), island=island)

    def holds(self, edit: Edit) -> bool:
        return edit.path == self.file and self.island.holds(edit)

    def placed(self, fix: Fix) -> Fix:
        return self.island.fix(self.path, fix)

    def answering(self, fix: Fix) -> tuple[int, ...]:
        if fix.at.path != self.path:
            return ()
        text = self.island.text_at(fix.at.start)
        return text.start, text.end - 1

    def placed_note(self, note: str) -> str:
        def placed(lines: re.Match[str]) -> str:
            return re.sub(r"\d+", lambda line: str(self.island.line(int(line[0]))), lines[0])

        return _LINES.sub(placed, note)

    def placed_message(self, message: str) -> str:
        if not message.startswith(f"{self.path}:"):
            return message
        place = re.compile(r":(\d+)").match(message, len(str(self.path)))
        if not place:
            return f"{self.file}{message[len(str(self.path)) :]}"
        return f"{self.file}:{self.island.line(int(place[1]))}{message[place.end() :]}"


def _trimmed(data: bytes, edit: Edit) -> Edit:
    """Without what the old and the new text begin or end with."""
    old = data[edit.start : edit.end]
    most = min(len(old), len(edit.text))
    ahead = next((n for n in range(most) if old[n] != edit.text[n]), most)
    behind = next((n for n in range(most - ahead) if old[-1 - n] != edit.text[-1 - n]), most - ahead)
    text = edit.text[ahead : len(edit.text) - behind]
    return replace(edit, start=edit.start + ahead, end=edit.end - behind, text=text)


def _encoded(text: bytes, of: Text, literal: Literal, place: int, cautious: bool) -> bytes:
    """New C as a literal wants it; `cautious` escapes every quote."""
    if of.fields is PERCENT:
        text = text.replace(b"%", b"%%")
    if literal.braces or of.fields is BRACED:
        text = text.replace(b"{", b"{{").replace(b"}", b"}}")
    if not literal.raw:
        text = text.replace(b"\\", b"\\\\")
        quote = literal.quote[:1]
        if cautious or not literal.long:
            text = text.replace(quote, b"\\" + quote)
    if literal.long:
        return text.replace(b"\n", _newline(of.host, literal, place))
    text = text.replace(b"\t", b"\\t") if b"\\t" in of.host.data[literal.body : literal.body_end] else text
    return text.replace(b"\n", b"\\n" + _next_literal(of, literal))


def _newline(host: Source, literal: Literal, place: int) -> bytes:
    """The line end that a literal has there."""
    found = host.data.find(b"\n", place, literal.body_end)
    found = host.data.rfind(b"\n", literal.body, place) if found < 0 else found
    if found < 0:
        return host.newline
    return b"\r\n" if host.data[found - 1 : found] == b"\r" else b"\n"


def _next_literal(of: Text, literal: Literal) -> bytes:
    """Where each line of the C has a literal and a line of its own: the end of one and the start of the next."""
    host = of.host
    indent = host.data[host.line_start(literal.start) : literal.start]
    if len(of.literals) == 1 or indent.strip(b" \t"):
        return b""
    join = b" " + of.language.join if of.language.join else b""
    return literal.quote + join + host.newline + indent + host.data[literal.start : literal.body]


# -- which strings are programs

_INCLUDED = re.compile(rb"^[ \t]*#[ \t]*include\b", re.MULTILINE)
_BODY = re.compile(rb"\)[ \t\r\n]*\{")
_BRANCH = re.compile(rb"^[ \t]*#[ \t]*(el|endif)", re.MULTILINE)
_BRACKET = re.compile(rb"[(){}\[\]]")
_CLOSED_BY = {b"(": b")", b"{": b"}", b"[": b"]"}
# Between the declarations of C no sentence ends, no line ends in a colon, and no three plain words stand in a row.
_KEYWORD = (
    rb"(?:static|inline|unsigned|signed|long|short|int|char|bool"
    rb"|const|volatile|extern|struct|union|enum|void|typedef)\b"
)
_PROSE = re.compile(
    rb"\w[.?!](?:\s|\Z)|:[ \t]*(?:\r?\n|\Z)|(?:\b(?!%s)[a-z]+[ \t]+){2}(?!%s)[a-z]+\b" % ((_KEYWORD,) * 2)
)


def find(source: Source, root: Path, dialect: str, hints: Sequence[bytes]) -> tuple[list[Program], list[str]]:
    """The eBPF programs in the strings of a host file, each with its C under a path of its own, and notes on strings
    that are eBPF C and cannot be read. `dialect` says how they are read ("auto": each in its own); one of `hints` is in
    every string that is worth a look."""
    found: list[Program] = []
    unread: list[str] = []
    host = read(source.path, source.data)
    fills = {text for values in host.fills.values() for text in values}
    before: deque[tuple[int, _Names]] = deque(maxlen=_MOST_ABOVE)  # the texts above, nearest last; what they declare
    size = 0  # of the programs so far
    for number, text in enumerate(host.texts):
        if text.statement or text in fills or not any(hint in text.raw for hint in hints):
            continue
        part = Source(source.path, text.data)
        code = DIRECTIVE.sub(b"", part.code)
        has_body = _BODY.search(code) is not None
        names = _Names.of(part)
        if not (names.declared or has_body):
            continue
        outside = _outside(code)
        whole = _is_whole(DIRECTIVE.sub(b"", _first_branches(part.code)))
        island = Island(host, (*_missing(names, before), number))
        if whole and not text.has_fields:
            before.append((number, names))
        if _PROSE.search(outside) or not (has_body or _INCLUDED.search(part.uncommented)):
            continue
        line = host.source.line(text.start)
        size += len(island.data)
        if size > _MOST_BYTES:
            unread.append(f"line {line}: more eBPF C than {_MOST_BYTES >> 20} MB in one file is not read")
            break
        made = Source(source.path.with_name(f"{source.path.name}@{len(found) + 1}.c"), island.data)
        own = dialect_of(made)
        if own is None:
            continue
        if text.has_fields:
            unread.append(f"line {line}: eBPF C in an f-string with fields is not read")
        elif not whole:
            unread.append(f"line {line}: a part of a function, which the host program completes, is not read")
        else:
            found.append(StringProgram(made, own if dialect == "auto" else dialect, root, island))
    return found, unread


def _first_branches(code: bytes) -> bytes:
    """Without what an #else or #elif begins."""
    parts, at, start = [], 0, -1
    for match in _BRANCH.finditer(code):
        if match[1] == b"el":
            start = match.start() if start < 0 else start
        elif start >= 0:
            parts.append(code[at:start])
            at, start = match.start(), -1
    return b"".join((*parts, code[at:]))


def _outside(code: bytes) -> bytes:
    """What stands in no brackets: each outermost pair is a blank. One that closes another than the last that is open
    stays, and so does all around it."""
    opened: list[tuple[bytes, int]] = []
    pairs: list[tuple[int, int]] = []
    for match in _BRACKET.finditer(code):
        bracket, start = match[0], match.start()
        if opened and bracket == _CLOSED_BY.get(opened[-1][0]):
            start = opened.pop()[1]
            while pairs and pairs[-1][0] > start:
                pairs.pop()
            pairs.append((start, match.end()))
        else:
            opened.append((bracket, start))
    parts, at = [], 0
    for start, end in pairs:
        parts += [code[at:start], b" "]
        at = end
    return b"".join((*parts, code[at:]))


def _is_whole(code: bytes) -> bool:
    """Is no declaration cut off?"""
    outside = _outside(code)
    return not code.lstrip().startswith(b"{") and not any(bracket in outside for bracket in (b"(", b")", b"{", b"}"))


_DECLARED = re.compile(
    rb"\bBPF_[A-Z_]+[ \t]*\([ \t]*(\w+)|\b(?:struct|union|enum)\s+(\w+)\s*\{|\}\s*(\w+)\s*;"
    rb"|\b(\w+)\s*\([^(){};]*\)\s*\{"
)
_DEFINED = re.compile(rb"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.MULTILINE)
_WORD = re.compile(rb"\b[A-Za-z_]\w*")


@dataclass(frozen=True)
class _Names:
    """The names that a text declares at file level, roughly, and all words in it."""

    declared: frozenset[bytes]
    words: frozenset[bytes]

    @classmethod
    def of(cls, source: Source) -> _Names:
        declared = {name for match in _DECLARED.findall(source.code) for name in match if name}
        return cls(
            frozenset(declared.union(_DEFINED.findall(source.uncommented))), frozenset(_WORD.findall(source.code))
        )


def _missing(names: _Names, before: Sequence[tuple[int, _Names]]) -> tuple[int, ...]:
    """The texts that a host program puts before one that uses what they declare: its maps, types and functions.

    One that declares a name again is an alternative to it, not a part of the same program.
    """
    needed = names.words - names.declared
    taken: list[int] = []
    for number, above in reversed(before):
        if needed & above.declared and not above.declared & names.declared:
            taken.append(number)
            needed = (needed | above.words) - above.declared
            names = _Names(names.declared | above.declared, names.words)
    return tuple(reversed(taken))
