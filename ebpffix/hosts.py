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
    """`length` bytes of C from `at` come from `size` bytes of the host from `host`, one by one if `verbatim`.

    `literal`, one of `text`, is where they are written; None for what stands for text that only the running host has.
    """

    at: int
    length: int
    host: int
    size: int
    text: Text
    literal: Literal | None
    verbatim: bool


Decoded = tuple[bytes, list[Piece]]


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

    @property
    def data(self) -> bytes:
        return self.decoded[0]

    @cached_property
    def decoded(self) -> Decoded:
        pieces: list[Piece] = []
        parts: list[bytes] = []
        at = 0
        before: Literal | None = None
        for literal in self.literals:
            if before and self._joins_an_expression(before, literal):
                parts.append(_STAND_IN)
                pieces.append(Piece(at, len(_STAND_IN), before.end, literal.start - before.end, self, None, False))
                at += len(_STAND_IN)
            before = literal
            for host, size, part in _parts(self.host.data, literal, self.language):
                verbatim = part is None
                part = self.host.data[host : host + size] if part is None else part
                if part:
                    parts.append(part)
                    pieces.append(Piece(at, len(part), host, size, self, literal, verbatim))
                    at += len(part)
        decoded = b"".join(parts), pieces
        return _spliced(decoded, list(_fields(self, decoded))) if self.fields else decoded

    def _joins_an_expression(self, before: Literal, literal: Literal) -> bool:
        between = self.host.code[before.end : literal.start].strip(b" \t\r\n\\")
        return between not in (b"", self.language.join)

    @cached_property
    def variable(self) -> bytes:
        """The name of the host's variable that it is assigned to, if it is."""
        match = _ASSIGNED.search(self.host.code, max(self.start - 80, 0), self.start)
        return match[1] if match else b""

    @cached_property
    def fields(self) -> re.Pattern[bytes] | None:
        """What is no plain text in it, because the host formats it."""
        code = self.host.code
        if _PERCENT_AFTER.match(code, self.end) or _PERCENT_BEFORE.search(code, max(self.start - 80, 0), self.start):
            return _PERCENT
        if self.variable and b"%" in self.raw and re.search(rb"\b%s\s*%%\s*[\w({\[]" % self.variable, code):
            return _PERCENT
        return _BRACED if _FORMAT_AFTER.match(code, self.end) else None

    @cached_property
    def complete(self) -> bool:
        """Can it stand in C as it is: nothing is added to it, and its brackets are balanced?"""
        if _ADDED_AFTER.match(self.host.code, self.end):
            return False
        return all(
            self.data.count(one) == self.data.count(other) for one, other in zip(_OPENING, _CLOSING, strict=True)
        )


_ASSIGNED = re.compile(rb"\b(\w+)\s*=[\s(\\]*\Z")
_ADDED_AFTER = re.compile(rb"[ \t]*(?:\+|\.\.)")
_STAND_IN = b"1"  # what an expression of the host is read as: a number, or a text that is not known here
_PERCENT_AFTER = re.compile(rb"[\s)\\]*%(?!=)|[\s)]*:format\s*\(")
_PERCENT_BEFORE = re.compile(rb"\b(?:Sprintf|string\.format)\s*\(\s*\Z")
_PERCENT = re.compile(rb"%%|%(?:\(\w+\))?[-#0 +]*\d*(?:\.\d+)?[hlL]?[diouxXeEfFgGcrsqv]")
_FORMAT_AFTER = re.compile(rb"[\s)\\]*\.format\s*\(")
_BRACED = re.compile(rb"\{\{|\}\}|\{\w*(?:![rsa])?(?::[^{}\n]*)?\}")


def _fields(text: Text, decoded: Decoded) -> Iterator[tuple[int, int, Decoded]]:
    """The places that the host fills in, or halves, as it formats a text, with what is read there instead."""
    data = decoded[0]
    assert text.fields
    for match in text.fields.finditer(data):
        start, end = match.span()
        host, host_end = _first(decoded, start), _last(decoded, end)
        found = match[0]
        if found in (b"%%", b"{{", b"}}"):
            stand_in, literal = found[:1], _at(decoded, start).literal
        else:
            stand_in, literal = _stand_in(data, start, end), None
        pieces = [Piece(0, len(stand_in), host, host_end - host, text, literal, False)]
        yield start, end, (stand_in, pieces if stand_in else [])


_WORD = re.compile(rb"\w")
_OPERAND_BEFORE = re.compile(rb"(?:[(\[{=!&|+*/,?:<>]|\breturn|\bcase)\s*\Z")
_OPERAND_AFTER = re.compile(rb"\s*[)\]},;=!&|+*/?:<>]|[uUlL]+\b|\s+-")


def _is_alone(data: bytes, start: int, end: int) -> bool:
    """Does it stand alone in its line, as a statement?"""
    line, line_end = data.rfind(b"\n", 0, start) + 1, data.find(b"\n", end)
    rest = data[end : line_end if line_end >= 0 else len(data)]
    return not data[line:start].strip() and not rest.strip(b" \t\r;")


def _stand_in(data: bytes, start: int, end: int) -> bytes:
    """Nothing for a field that is alone in its line, a name as a part of a name, else a number."""
    if _is_alone(data, start, end):
        return b""
    return b"x1" if _WORD.match(data, end) else _STAND_IN


def _spliced(whole: Decoded, cuts: Sequence[tuple[int, int, Decoded]]) -> Decoded:
    """A decoded text with some ranges of it, in order, replaced by other decoded texts."""
    parts: list[bytes] = []
    pieces: list[Piece] = []
    at = done = 0
    for start, end, put in (*cuts, (len(whole[0]), len(whole[0]), (b"", []))):
        for data, moved in (_part(whole, done, start), put):
            parts.append(data)
            pieces += (piece._replace(at=piece.at + at) for piece in moved)
            at += len(data)
        done = end
    return b"".join(parts), pieces


def _part(whole: Decoded, start: int, end: int) -> Decoded:
    """Bytes `start` to `end` of a decoded text."""
    found: list[Piece] = []
    data, pieces = whole
    for piece in pieces[_index(pieces, start) if pieces else 0 :]:
        first, last = max(piece.at, start), min(piece.at + piece.length, end)
        if piece.at >= end:
            break
        if first < last:
            host, size = (piece.host + first - piece.at, last - first) if piece.verbatim else (piece.host, piece.size)
            found.append(piece._replace(at=first - start, length=last - first, host=host, size=size))
    return data[start:end], found


def _index(pieces: list[Piece], offset: int) -> int:
    return max(bisect_right(pieces, offset, key=lambda piece: piece.at) - 1, 0)


def _at(decoded: Decoded, offset: int) -> Piece:
    """The piece that holds a byte."""
    return decoded[1][_index(decoded[1], offset)]


def _first(decoded: Decoded, offset: int) -> int:
    """Where in the host a byte begins."""
    piece = _at(decoded, offset)
    return piece.host + (offset - piece.at if piece.verbatim else 0)


def _last(decoded: Decoded, offset: int) -> int:
    """Where in the host the byte before `offset` ends."""
    piece = _at(decoded, offset - 1)
    return piece.host + (offset - piece.at if piece.verbatim else piece.size)


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

    @cached_property
    def fills(self) -> dict[bytes, list[Text]]:
        """What the host puts in the place of a word: `text.replace("FILTER", "if (…) …")`, in order; the literals alone."""
        found: dict[bytes, list[Text]] = {}
        assigned: dict[bytes, list[Text]] = {}
        code = self.source.code
        for text, following in zip(self.texts, (*self.texts[1:], None), strict=True):
            if text.variable:
                assigned.setdefault(text.variable, []).insert(0, text)
            if not _REPLACES.search(code, max(text.start - 80, 0), text.start) or not _PLACEHOLDER.fullmatch(text.data):
                continue
            values = found.setdefault(text.data, [])
            after = code[text.end : following.start if following else text.end + 80]
            if following and after.strip() == b",":
                values.append(following)
            elif variable := _ARGUMENT.match(after):
                values += assigned.get(variable[1], [])
        return found


_REPLACES = re.compile(rb"\b(?:replace|gsub|Replace|ReplaceAll)\s*\((?:\s*\w+\s*,)?\s*\Z")
_PLACEHOLDER = re.compile(rb"(?=.*[A-Z#@$_])[\w#@$<>{}]{3,}")
_ARGUMENT = re.compile(rb"\s*,\s*(\w+)\s*\)")
_NESTED = 3  # so many placeholders in the texts of placeholders


@dataclass(frozen=True, eq=False)
class Island:
    """A piece of C in a host: one text, or several that the host puts together. All offsets are of `data`."""

    host: Host
    numbers: tuple[int, ...]  # of the host's texts; the last is what the island is about

    @property
    def text(self) -> Text:
        return self.host.texts[self.numbers[-1]]

    @property
    def data(self) -> bytes:
        return self.decoded[0]

    @cached_property
    def decoded(self) -> Decoded:
        none: Decoded = b"", []
        whole = _spliced(none, [(0, 0, self.host.texts[number].decoded) for number in self.numbers])
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
        cuts = [(*match.span(), value) for match, value in found if value]
        return _spliced(whole, cuts) if cuts else whole

    def _value(self, whole: Decoded, match: re.Match[bytes]) -> Decoded | None:
        """What stands at a placeholder: the first text of the host's that C allows there, else a stand-in."""
        data, (start, end) = whole[0], match.span()
        alone = _is_alone(data, start, end)
        for text in self.host.fills[match[0]]:
            if text.complete and (alone or text.data.strip()):
                return text.decoded
        if alone:
            return b"", []
        if not _OPERAND_BEFORE.search(data, max(start - 40, 0), start) or not _OPERAND_AFTER.match(data, end):
            return None
        host, host_end = _first(whole, start), _last(whole, end)
        return _STAND_IN, [Piece(0, 1, host, host_end - host, _at(whole, start).text, None, False)]

    def text_at(self, offset: int) -> Text:
        """The text of the host that holds a byte."""
        return _at(self.decoded, offset).text

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The bytes of the host that hold bytes `start` to `end`; of those in several texts, the ones in the first."""
        if start == end:
            place = self._place(start)[1]
            return place, place
        first = _at(self.decoded, start)
        pieces = self.decoded[1]
        own = [p for p in pieces[_index(pieces, start) : _index(pieces, end - 1) + 1] if p.text is first.text]
        return _first(self.decoded, start), max(_last(self.decoded, min(end, p.at + p.length)) for p in own)

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
        mine = [edit for edit in fix.edits if edit.path == path]
        others = [edit for edit in fix.edits if edit.path != path]
        try:
            return replace(fix, at=at, edits=[*(self.edits(mine) if mine else []), *others])
        except CannotWrite as why:
            doubt = f"; {fix.reason}" if fix.reason else ""
            return Fix(at, fix.message, Safety.ADVICE, reason=f"to be made by hand: {why}{doubt}")

    def edits(self, edits: Sequence[Edit]) -> list[Edit]:
        """Edits of the C as edits of the host, proven by reading the result. CannotWrite if there are none."""
        source = self.host.source
        wanted = apply(self.data, edits)
        for cautious in (False, True):
            made = [self._edit(edit, cautious) for edit in edits]
            again = read(source.path, apply(source.data, made))
            if len(again.texts) == len(self.host.texts) and again.island(self.numbers).data == wanted:
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
        over = pieces[_index(pieces, edit.start) : _index(pieces, edit.end - 1) + 1]
        first, last = over[0], over[-1]
        whole = (first.verbatim or first.at == edit.start) and (last.verbatim or last.at + last.length == edit.end)
        return first if whole and first.literal and all(p.literal is first.literal for p in over) else None

    def _place(self, offset: int) -> tuple[Piece | None, int]:
        """Where in the host new text goes that is to stand at `offset`: of two strings that meet there into the one
        that has the rest of the line."""
        data, pieces = self.decoded
        if not pieces:
            return None, self.text.start
        after = _at(self.decoded, offset) if offset < len(data) else None
        before = _at(self.decoded, offset - 1) if offset else None
        at_line_start = not offset or data[offset - 1 : offset] == b"\n"
        if after and after.literal and (at_line_start or before is None or before.literal is None):
            return after, _first(self.decoded, offset)
        if before:
            return before, _last(self.decoded, offset)
        return after, _first(self.decoded, offset)


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
    if of.fields is _PERCENT:
        text = text.replace(b"%", b"%%")
    if literal.braces or of.fields is _BRACED:
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
    found = host.data.rfind(b"\n", literal.body, place)
    found = host.data.find(b"\n", place, literal.body_end) if found < 0 else found
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


_EXPRESSION = re.compile(rb"\s*(?:\+|\.\.)\s*[\w.]+(?:\([\w., ]*\))?\s*(?:\+|\.\.)\s*")
_OPENING, _CLOSING = (b"(", b"[", b"{"), (b")", b"]", b"}")
_CONTINUED = re.compile(rb"\\\r?\n")
