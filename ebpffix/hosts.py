"""C inside the strings of Python, Go, C++ and Lua: found, decoded to what the compiler gets, and the way back.

A host file is read by one regular expression a language, on bytes: comments and literals are told from the rest, and
adjacent literals are one text. Each text knows for each of its bytes where that stands in the host, so that an edit of
the C becomes an edit of the host, escaped as the literal needs it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from ebpffix.rewrite import apply
from ebpffix.source import Source, blank
from ebpffix.transform import Edit, Fix, Safety, Span

# -- literals

_PYTHON = re.compile(
    rb'#[^\r\n]*|"""(?:[^"\\]|\\.|"(?!""))*+"""'
    rb"|'''(?:[^'\\]|\\.|'(?!''))*+'''"
    rb'|"(?:[^"\\\r\n]|\\(?:\r\n|.))*+"'
    rb"|'(?:[^'\\\r\n]|\\(?:\r\n|.))*+'",
    re.DOTALL,
)
_GO = re.compile(
    rb'//[^\n]*|/\*.*?\*/|`[^`]*`|"(?:[^"\\\r\n]|\\.)*+"' rb"|'(?:[^'\\\r\n]|\\.)*+'",
    re.DOTALL,
)
_CPP = re.compile(
    rb"//(?:\\\r?\n|[^\n\\]|\\)*+|/\*.*?\*/"
    rb'|(?<!\w)(?:u8|[uUL])?R"([^()\\\s]{0,16})\(.*?\)\1"'
    rb'|"(?:[^"\\\r\n]|\\(?:\r\n|.))*+"'
    rb"|(?<!\w)'(?:[^'\\\r\n]|\\.)++'",
    re.DOTALL,
)
_LUA = re.compile(
    rb"--\[(=*)\[.*?\]\1\]|--[^\r\n]*|\[(=*)\[.*?\]\2\]"
    rb'|"(?:[^"\\\r\n]|\\(?:\r\n|z\s*|.))*+"'
    rb"|'(?:[^'\\\r\n]|\\(?:\r\n|z\s*|.))*+'",
    re.DOTALL,
)


class Literal(NamedTuple):
    """One string literal: bytes `start` to `end` of the host, its content `body` to `body_end`.

    In a `raw` one a backslash is itself; a `long` one may hold line breaks; `braces` are doubled in an f-string.
    """

    start: int
    end: int
    body: int
    body_end: int
    quote: bytes
    raw: bool
    long: bool
    braces: bool = False


class Piece(NamedTuple):
    """`length` bytes of a text from `at` come from `size` bytes of the host from `host`, one by one if `verbatim`.

    `literal` is the number of the literal that has them, -1 for what stands for an expression between two.
    """

    at: int
    length: int
    host: int
    size: int
    literal: int
    verbatim: bool


class CannotWrite(Exception):
    """Why an edit of the C cannot be made in the host: one phrase."""


@dataclass(frozen=True)
class _Language:
    tokens: re.Pattern[bytes]  # a comment, or a literal, of characters too
    comment: tuple[bytes, ...]  # how one begins
    literal: Callable[[bytes, int, int], Literal | None]  # of a token that is no comment; None for a character
    join: bytes  # what must stand between two literals that are one text, blanks and comments aside
    escape: re.Pattern[bytes]
    unescape: Callable[[bytes], bytes]  # of an escape without its backslash


_PREFIX = re.compile(rb"(?<![A-Za-z0-9_])[rRbBuUfF]{1,2}\Z")


def _python_literal(data: bytes, start: int, end: int) -> Literal:
    prefix = _PREFIX.search(data, max(start - 3, 0), start)
    letters = prefix[0].lower() if prefix else b""
    quote = data[start : start + 3] if data[start : start + 3] in (b'"""', b"'''") and end - start >= 6 else b""
    quote = quote or data[start : start + 1]
    size = len(quote)
    begin = start - len(letters)
    return Literal(begin, end, start + size, end - size, quote, b"r" in letters, size == 3, b"f" in letters)


def _go_literal(data: bytes, start: int, end: int) -> Literal | None:
    quote = data[start : start + 1]
    return None if quote == b"'" else Literal(start, end, start + 1, end - 1, quote, quote == b"`", quote == b"`")


def _cpp_literal(data: bytes, start: int, end: int) -> Literal | None:
    quote = data[end - 1 : end]
    if quote == b"'":
        return None
    if data[start : start + 1] == quote:
        return Literal(start, end, start + 1, end - 1, quote, False, False)
    body = data.index(b"(", start) + 1
    delimiter = data[data.index(b'"', start) + 1 : body - 1]
    return Literal(start, end, body, end - len(delimiter) - 2, b")" + delimiter + b'"', True, True)


_FIRST_BREAK = re.compile(rb"\r\n|\n\r|\n|\r")


def _lua_literal(data: bytes, start: int, end: int) -> Literal:
    quote = data[start : start + 1]
    if quote != b"[":
        return Literal(start, end, start + 1, end - 1, quote, False, False)
    body = data.index(b"[", start + 1) + 1
    closing = end - (body - start)
    first = _FIRST_BREAK.match(data, body)  # is no part of the string
    return Literal(start, end, first.end() if first else body, closing, data[closing:end], True, True)


_NAMED = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def _character(code: bytes) -> bytes:
    """`uXXXX`, `UXXXXXXXX`, `xXX` as UTF-8; what is no character as it is."""
    number = int(code[1:], 16)
    return chr(number).encode("utf-8", "surrogatepass") if number < 0x110000 else b"\\" + code


def _python_escape(code: bytes) -> bytes:
    if code[:1] in b"\r\n":
        return b""
    if code[:1] in b"01234567":
        return chr(int(code, 8)).encode()
    if code[:1] in b"xuU" and len(code) > 1:
        return _character(code)
    if code[:1] == b"N" and len(code) > 1:
        import unicodedata

        return unicodedata.lookup(code[2:-1].decode("latin-1")).encode()
    return code if code in (b"\\", b'"', b"'") else _NAMED.get(code, b"\\" + code)  # an unknown one stays


def _c_escape(code: bytes) -> bytes:
    if code[:1] in b"\r\n":
        return b""
    if code[:1] in b"01234567":
        return bytes([int(code, 8) & 255])
    if code[:1] == b"x" and len(code) > 1:
        return bytes([int(code[1:], 16) & 255])
    return _character(code) if code[:1] in b"uU" and len(code) > 1 else _NAMED.get(code, code)


def _lua_escape(code: bytes) -> bytes:
    if code[:1] in b"\r\n":
        return b"\n"
    if code[:1].isdigit():
        return bytes([int(code) & 255])
    if code[:1] == b"x" and len(code) > 1:
        return bytes([int(code[1:], 16)])
    if code[:1] == b"u" and len(code) > 1:
        return _character(b"u" + code[2:-1])
    return b"" if code[:1] == b"z" else _NAMED.get(code, code)


_HEX4 = rb"u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}"
_LANGUAGES = {
    "python": _Language(
        _PYTHON,
        (b"#",),
        _python_literal,
        b"",
        re.compile(rb"\\(?:\r\n|[0-7]{1,3}|x[0-9A-Fa-f]{2}|N\{[^}\r\n]*\}|" + _HEX4 + rb"|.)", re.DOTALL),
        _python_escape,
    ),
    "go": _Language(
        _GO,
        (b"//", b"/*"),
        _go_literal,
        b"+",
        re.compile(rb"\\(?:[0-7]{3}|x[0-9A-Fa-f]{2}|" + _HEX4 + rb"|.)", re.DOTALL),
        _c_escape,
    ),
    "cpp": _Language(
        _CPP,
        (b"//", b"/*"),
        _cpp_literal,
        b"",
        re.compile(rb"\\(?:\r\n|[0-7]{1,3}|x[0-9A-Fa-f]+|" + _HEX4 + rb"|.)", re.DOTALL),
        _c_escape,
    ),
    "lua": _Language(
        _LUA,
        (b"--",),
        _lua_literal,
        b"..",
        re.compile(rb"\\(?:\r\n|z\s*|\d{1,3}|x[0-9A-Fa-f]{2}|u\{[0-9A-Fa-f]+\}|.)", re.DOTALL),
        _lua_escape,
    ),
}  # fmt: skip
_SUFFIXES = {
    ".py": "python", ".go": "go", ".lua": "lua",
    ".cc": "cpp", ".cpp": "cpp", ".cxx": "cpp", ".hh": "cpp", ".hpp": "cpp", ".hxx": "cpp",
}  # fmt: skip
SUFFIXES = tuple(_SUFFIXES)


def is_host(path: str) -> bool:
    """Is it, by its name, a file that may hold C in strings?"""
    return path.endswith(SUFFIXES)


# -- texts


@dataclass(frozen=True, eq=False)
class Text:
    """One literal of the host, or adjacent ones. `data` is what the program gets of it."""

    host: Source
    language: _Language
    literals: tuple[Literal, ...]
    statement: bool  # it stands alone: a docstring, which nobody compiles

    @property
    def start(self) -> int:
        return self.literals[0].start

    @property
    def end(self) -> int:
        return self.literals[-1].end

    @property
    def raw(self) -> bytes:
        """The bytes of the host, quotes and all."""
        return self.host.data[self.start : self.end]

    @property
    def has_fields(self) -> bool:
        """Is it an f-string that something is put into?"""
        data = self.host.data
        return any(b"{" in data[x.body : x.body_end].replace(b"{{", b"") for x in self.literals if x.braces)

    @cached_property
    def data(self) -> bytes:
        return self._decoded[0]

    @cached_property
    def _pieces(self) -> list[Piece]:
        return self._decoded[1]

    @cached_property
    def _decoded(self) -> tuple[bytes, list[Piece]]:
        parts: list[bytes] = []
        pieces: list[Piece] = []
        at = 0
        for number, literal in enumerate(self.literals):
            before = self.literals[number - 1].end
            if number and self.host.code[before : literal.start].strip(b" \t\r\n\\") not in (b"", self.language.join):
                parts.append(STAND_IN)
                pieces.append(Piece(at, len(STAND_IN), before, literal.start - before, -1, False))
                at += len(STAND_IN)
            for host, size, part in _parts(self.host.data, literal, self.language):
                verbatim = part is None
                part = self.host.data[host : host + size] if part is None else part
                if part:
                    parts.append(part)
                    pieces.append(Piece(at, len(part), host, size, number, verbatim))
                    at += len(part)
        return b"".join(parts), pieces

    def _piece(self, offset: int) -> Piece:
        """The piece that holds a byte of the text."""
        return self._pieces[bisect_right(self._pieces, offset, key=lambda piece: piece.at) - 1]

    def _first(self, offset: int) -> int:
        """Where in the host a byte of the text begins."""
        piece = self._piece(offset)
        return piece.host + (offset - piece.at if piece.verbatim else 0)

    def _last(self, offset: int) -> int:
        """Where in the host the byte of the text before `offset` ends."""
        piece = self._piece(offset - 1)
        return piece.host + (offset - piece.at if piece.verbatim else piece.size)

    def place(self, offset: int) -> int:
        """Where in the host new text goes that is to stand at `offset`: of two strings that meet there into the one
        that has the rest of the line."""
        if not self._pieces:
            return self.literals[0].body
        at_line_start = offset == 0 or self.data[offset - 1 : offset] == b"\n"
        return self._first(offset) if at_line_start and offset < len(self.data) else self._last(offset)

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The bytes of the host that hold bytes `start` to `end` of the text."""
        if start == end:
            place = self.place(start)
            return place, place
        return self._first(start), self._last(end)

    # -- the way back

    def edit(self, edit: Edit, cautious: bool) -> Edit:
        """An edit of the text as one of the host; `cautious` escapes every quote. CannotWrite where it reaches over
        several literals."""
        edit = self._trimmed(edit) if self._literal(edit) is None else edit
        number = self._literal(edit)
        if number is None:
            raise CannotWrite("it reaches over two strings of the host program")
        start, end = self.span(edit.start, edit.end)
        return Edit(self.host.path, start, end, self._encoded(edit.text, number, start, cautious))

    def _literal(self, edit: Edit) -> int | None:
        """The one literal that an edit lies in."""
        if edit.start == edit.end:
            place = self.place(edit.start)
            inside = (n for n, literal in enumerate(self.literals) if literal.body <= place <= literal.body_end)
            return next(inside, None)
        first, last = self._piece(edit.start), self._piece(edit.end - 1)
        whole = (first.verbatim or first.at == edit.start) and (last.verbatim or last.at + last.length == edit.end)
        return first.literal if whole and first.literal == last.literal >= 0 else None

    def _trimmed(self, edit: Edit) -> Edit:
        """Without what the old and the new text begin or end with."""
        old = self.data[edit.start : edit.end]
        most = min(len(old), len(edit.text))
        ahead = next((n for n in range(most) if old[n] != edit.text[n]), most)
        behind = next((n for n in range(most - ahead) if old[-1 - n] != edit.text[-1 - n]), most - ahead)
        text = edit.text[ahead : len(edit.text) - behind]
        return replace(edit, start=edit.start + ahead, end=edit.end - behind, text=text)

    def _encoded(self, text: bytes, number: int, place: int, cautious: bool) -> bytes:
        """New text as the literal wants it."""
        literal = self.literals[number]
        if literal.braces:
            text = text.replace(b"{", b"{{").replace(b"}", b"}}")
        if not literal.raw:
            text = text.replace(b"\\", b"\\\\")
            quote = literal.quote[:1]
            if cautious or not literal.long:
                text = text.replace(quote, b"\\" + quote)
        if literal.long:
            return text.replace(b"\n", self._newline(literal, place))
        text = text.replace(b"\t", b"\\t") if b"\\t" in self.host.data[literal.body : literal.body_end] else text
        return text.replace(b"\n", b"\\n" + self._next_literal(literal))

    def _newline(self, literal: Literal, place: int) -> bytes:
        """The line end that the literal has there."""
        data = self.host.data
        found = data.rfind(b"\n", literal.body, place)
        found = data.find(b"\n", place, literal.body_end) if found < 0 else found
        if found < 0:
            return self.host.newline
        return b"\r\n" if data[found - 1 : found] == b"\r" else b"\n"

    def _next_literal(self, literal: Literal) -> bytes:
        """Where each line of the C has a literal and a line of its own: the end of one and the start of the next."""
        data, start = self.host.data, self.host.line_start(literal.start)
        indent = data[start : literal.start]
        if len(self.literals) == 1 or indent.strip(b" \t"):
            return b""
        join = b" " + self.language.join if self.language.join else b""
        return literal.quote + join + self.host.newline + indent + data[literal.start : literal.body]


_BREAK = re.compile(rb"\r\n?")
_BRACES = re.compile(rb"\{\{|\}\}")


def _parts(data: bytes, literal: Literal, language: _Language) -> Iterator[tuple[int, int, bytes | None]]:
    """The content of a literal as (start in the host, bytes there, what they stand for); None is themselves."""
    done = literal.body
    for match in _special(language, literal.raw, literal.braces).finditer(data, literal.body, literal.body_end):
        found = match[0]
        if found[:1] == b"\\":
            meaning = language.unescape(found[1:])
        elif found[:1] == b"\r":
            meaning = b"" if language.join == b"+" and len(found) == 1 else b"\n"  # Go drops it
        else:
            meaning = found[:1]
        if meaning == found:
            continue
        if done < match.start():
            yield done, match.start() - done, None
        yield match.start(), len(found), meaning
        done = match.end()
    if done < literal.body_end:
        yield done, literal.body_end - done, None


@cache
def _special(language: _Language, raw: bool, braces: bool) -> re.Pattern[bytes]:
    """What need not stand for itself in a literal."""
    parts = [language.escape.pattern] if not raw else []
    parts += [_BREAK.pattern] + ([_BRACES.pattern] if braces else [])
    return re.compile(b"|".join(parts), re.DOTALL)


# -- hosts


@dataclass(frozen=True, eq=False)
class _HostSource(Source):
    """A host file; its comments are those of its own language."""

    tokens: tuple[tuple[int, int, bool], ...] = ()  # (start, end, is it a comment)

    @cached_property
    def code(self) -> bytes:
        parts: list[bytes] = []
        done = 0
        for start, end, _ in self.tokens:
            parts += (self.data[done:start], blank(self.data[start:end]))
            done = end
        return b"".join([*parts, self.data[done:]])

    @cached_property
    def comments(self) -> list[tuple[int, int]]:
        return [(start, end) for start, end, comment in self.tokens if comment]


@dataclass(frozen=True, eq=False)
class Host:
    """One host file, and its texts in order."""

    source: Source
    texts: tuple[Text, ...]

    def island(self, numbers: tuple[int, ...]) -> Island:
        """The C that the texts with these numbers make together."""
        return Island(self, numbers)


@dataclass(frozen=True, eq=False)
class Island:
    """A piece of C in a host: one text, or several that the host puts together. All offsets are of `data`."""

    host: Host
    numbers: tuple[int, ...]  # of the host's texts; the last is what the island is about

    @cached_property
    def texts(self) -> list[Text]:
        return [self.host.texts[number] for number in self.numbers]

    @property
    def text(self) -> Text:
        return self.texts[-1]

    @cached_property
    def data(self) -> bytes:
        return b"".join(text.data for text in self.texts)

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *accumulate(len(text.data) for text in self.texts)]

    @property
    def own(self) -> int:
        """Where the text that the island is about begins."""
        return self._starts[-2]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The bytes of the host that hold bytes `start` to `end`; of those in several texts, the ones in the first."""
        number = self._number(start)
        base = self._starts[number]
        return self.texts[number].span(start - base, min(end, self._starts[number + 1]) - base)

    def _number(self, offset: int) -> int:
        """The text that holds a byte, the last one for the end."""
        return min(bisect_right(self._starts, offset), len(self.texts)) - 1

    def line(self, line: int) -> int:
        """The line of the host that a line of the C begins on; both 1-based."""
        try:
            offset = Source(self.host.source.path, self.data).offset(line)
        except IndexError:
            offset = len(self.data)
        return self.host.source.line(self.span(offset, min(offset + 1, len(self.data)))[0])

    def text_at(self, offset: int) -> Text:
        """The text of the host that holds a byte."""
        return self.texts[self._number(offset)]

    def fix(self, path: Path, fix: Fix) -> Fix:
        """A fix in the C, which has `path`, as one in the host: advice where the host cannot be edited so."""
        here = fix.at.path == path
        at = Span(self.host.source.path, *self.span(fix.at.start, fix.at.end)) if here else fix.at
        mine = [edit for edit in fix.edits if edit.path == path]
        others = [edit for edit in fix.edits if edit.path != path]
        try:
            return replace(fix, at=at, edits=[*(self.edits(mine) if mine else []), *others])
        except CannotWrite as why:
            doubt = f"; {fix.reason}" if fix.reason else ""
            return Fix(at, fix.message, Safety.ADVICE, reason=f"not made: {why}{doubt}")

    def edits(self, edits: Sequence[Edit]) -> list[Edit]:
        """Edits of the C as edits of the host, proven by reading the result. CannotWrite if there are none."""
        by_text: dict[int, list[Edit]] = {}
        for edit in edits:
            number = self._number(edit.start)
            if edit.end > self._starts[number + 1]:
                raise CannotWrite("it reaches over two strings of the host program")
            base = self._starts[number]
            by_text.setdefault(number, []).append(replace(edit, start=edit.start - base, end=edit.end - base))
        source = self.host.source
        for cautious in (False, True):
            made = [self.texts[n].edit(edit, cautious) for n, of_text in by_text.items() for edit in of_text]
            again = read(source.path, apply(source.data, made))
            if len(again.texts) == len(self.host.texts) and again.island(self.numbers).data == apply(self.data, edits):
                return made
        raise CannotWrite("the string of the host program cannot hold the new text")


def read(path: Path, data: bytes) -> Host:
    """All texts of a host file, whatever they hold."""
    language = _LANGUAGES[_SUFFIXES[path.suffix]]
    tokens: list[tuple[int, int, bool]] = []
    groups: list[tuple[list[Literal], bool]] = []
    gap = b""  # the code since the last literal
    depth = done = 0  # of brackets; where the last token ended
    for match in language.tokens.finditer(data):
        start, end = match.span()
        comment = data.startswith(language.comment, start)
        literal = None if comment else language.literal(data, start, end)
        start = literal.start if literal else start
        gap += data[done:start]
        tokens.append((start, end, comment))
        done = end
        if comment:
            continue
        depth = max(depth + sum(map(gap.count, _OPENING)) - sum(map(gap.count, _CLOSING)), 0)
        glue = _CONTINUED.sub(b"", gap)
        if literal is None:
            gap += b"'"
            continue
        lines_end = language is _LANGUAGES["python"] and not depth
        joins = glue.strip() == language.join or _EXPRESSION.fullmatch(glue)
        if groups and joins and not (lines_end and b"\n" in glue):
            groups[-1][0].append(literal)
        else:
            alone = lines_end and glue.rstrip(b" \t\f")[-1:] in (b"", b"\n", b"\r", b";", b"\xbf")  # the last of a BOM
            groups.append(([literal], alone))
        gap = b""
    source = _HostSource(path, data, tuple(tokens))
    return Host(source, tuple(Text(source, language, tuple(group), alone) for group, alone in groups))


STAND_IN = b"1"  # what an expression between two literals is read as: it is a number, or a text that is unknown here
_EXPRESSION = re.compile(rb"\s*(?:\+|\.\.)\s*[\w.]+(?:\([\w., ]*\))?\s*(?:\+|\.\.)\s*")
_OPENING, _CLOSING = (b"(", b"[", b"{"), (b")", b"]", b"}")
_CONTINUED = re.compile(rb"\\\r?\n")
