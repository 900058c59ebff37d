"""The strings of Python, Go, C++ and Lua files, decoded to what the program that runs has of them.

A host file is read by one regular expression a language, on bytes: comments and literals are told from the rest, and
adjacent literals are one text. Each text knows for each of its bytes where that stands in the host.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

from ebpffix.sources.files import HOSTS
from ebpffix.sources.source import Source

# -- literals


@dataclass(frozen=True)
class _Kind:
    """How a token goes on behind its opening: up to and with `closing`; where that is empty, to the end of its line."""

    closing: bytes
    stop: re.Pattern[bytes]  # what is no plain character in it: an escape, the closing, a line's end if it ends there

    def end(self, data: bytes, at: int) -> tuple[bool, int]:
        """Whether it is closed, and where it ends or can go on no further."""
        for match in self.stop.finditer(data, at):
            found = match[0]
            if found == self.closing:
                return True, match.end()
            if found in _BREAKS:
                return not self.closing, match.start()
        return not self.closing, len(data)


_BREAKS = (b"\n", b"\r")


def _of_line(quote: bytes, escape: bytes) -> _Kind:
    """A literal that ends with its line at the latest."""
    return _Kind(quote, re.compile(escape + rb"|[\r\n]|" + quote, re.DOTALL))


def _line_comment(stop: bytes) -> _Kind:
    return _Kind(b"", re.compile(stop))


_PYTHON_LINES = {quote: _of_line(quote, rb"\\(?:\r\n|.)") for quote in (b'"', b"'")}
_PYTHON = {
    b"#": (_line_comment(rb"[\r\n]"),),
    **{quote: (kind,) for quote, kind in _PYTHON_LINES.items()},
    **{
        quote * 3: (_Kind(quote * 3, re.compile(rb"\\.|" + quote * 3, re.DOTALL)), kind)
        for quote, kind in _PYTHON_LINES.items()
    },
}
_BLOCK_COMMENT = _Kind(b"*/", re.compile(rb"\*/"))
_GO = {
    b"//": (_line_comment(rb"\n"),),
    b"/*": (_BLOCK_COMMENT,),
    b"`": (_Kind(b"`", re.compile(b"`")),),
    b'"': (_of_line(b'"', rb"\\."),),
    b"'": (_of_line(b"'", rb"\\."),),
}
_CPP = {
    b"//": (_line_comment(rb"\\\r?\n|\n"),),
    b"/*": (_BLOCK_COMMENT,),
    b'"': (_of_line(b'"', rb"\\(?:\r\n|.)"),),
    b"'": (_of_line(b"'", rb"\\."),),
}
_LUA = {
    b"--": (_line_comment(rb"[\r\n]"),),
    b'"': (_of_line(b'"', rb"\\(?:\r\n|z\s*|.)"),),
    b"'": (_of_line(b"'", rb"\\(?:\r\n|z\s*|.)"),),
}


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


@dataclass(frozen=True, eq=False)
class _Language:
    opening: re.Pattern[bytes]  # of a comment, or a literal, of characters too
    kinds: Mapping[bytes, tuple[_Kind, ...]]  # by the opening: what it may be the start of, the likeliest first
    comment: tuple[bytes, ...]  # how one begins
    literal: Callable[[bytes, int, int], Literal | None]  # of a token that is no comment; None for a character
    join: bytes  # what must stand between two literals that are one text, blanks and comments aside
    escape: re.Pattern[bytes]
    unescape: Callable[[bytes], bytes]  # of an escape without its backslash
    # Where an opening chooses its closing: the closing for one, b"" for an ordinary opening; all that look like one.
    closing: Callable[[bytes], bytes] = lambda opening: b""
    closings: re.Pattern[bytes] = re.compile(rb"(?!)")

    def tokens(self, data: bytes) -> Iterator[tuple[int, int]]:
        """The comments and literals of a file as (start, end), in order. What is not closed is none.

        In time that grows with the file, whatever is in it: what has no end is looked for once, since all that opens
        in the same way before that place has none either (what stands in its way is escaped there too).
        """
        at, barren = 0, dict[_Kind, int]()
        places: dict[bytes, list[int]] | None = None
        while match := self.opening.search(data, at):
            start, at, opening = match.start(), match.start() + 1, match[0]
            if closing := self.closing(opening):
                if places is None:
                    places = {}
                    for found in self.closings.finditer(data):
                        places.setdefault(found[1], []).append(found.start())
                ends = places.get(closing, [])
                if (number := bisect_left(ends, match.end())) < len(ends):
                    at = ends[number] + len(closing)
                    yield start, at
                    continue
                opening = opening[:2]
            for kind in self.kinds.get(opening, ()):
                if start < barren.get(kind, 0):
                    continue
                closed, end = kind.end(data, start + (len(kind.closing) or len(opening)))
                if closed:
                    yield start, end
                    at = end
                    break
                barren[kind] = end


def _cpp_closing(opening: bytes) -> bytes:
    """Of R"x(."""
    return b")" + opening[opening.index(b'"') + 1 : -1] + b'"' if opening[-1:] == b"(" else b""


def _lua_closing(opening: bytes) -> bytes:
    """Of [==[ and --[==[."""
    return opening.removeprefix(b"--").replace(b"[", b"]") if opening[-1:] == b"[" else b""


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

        try:
            return unicodedata.lookup(code[2:-1].decode("latin-1")).encode()
        except KeyError:
            return b"\\" + code
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
        re.compile(rb'#|"""|\'\'\'|"|\''),
        _PYTHON,
        (b"#",),
        _python_literal,
        b"",
        re.compile(rb"\\(?:\r\n|[0-7]{1,3}|x[0-9A-Fa-f]{2}|N\{[^}\r\n]{0,100}\}|" + _HEX4 + rb"|.)", re.DOTALL),
        _python_escape,
    ),
    "go": _Language(
        re.compile(rb'//|/\*|`|"|\''),
        _GO,
        (b"//", b"/*"),
        _go_literal,
        b"+",
        re.compile(rb"\\(?:[0-7]{3}|x[0-9A-Fa-f]{2}|" + _HEX4 + rb"|.)", re.DOTALL),
        _c_escape,
    ),
    "cpp": _Language(
        re.compile(rb'//|/\*|(?<!\w)(?:u8|[uUL])?R"[^()\\\s"]{0,16}\(|"|(?<!\w)\'(?!\')'),
        _CPP,
        (b"//", b"/*"),
        _cpp_literal,
        b"",
        re.compile(rb"\\(?:\r\n|[0-7]{1,3}|x[0-9A-Fa-f]+|" + _HEX4 + rb"|.)", re.DOTALL),
        _c_escape,
        _cpp_closing,
        re.compile(rb'(\)[^()\\\s"]{0,16}")'),
    ),
    "lua": _Language(
        re.compile(rb'--\[=*\[|--|\[=*\[|"|\''),
        _LUA,
        (b"--",),
        _lua_literal,
        b"..",
        re.compile(rb"\\(?:\r\n|z\s*|\d{1,3}|x[0-9A-Fa-f]{2}|u\{[0-9A-Fa-f]+\}|.)", re.DOTALL),
        _lua_escape,
        _lua_closing,
        re.compile(rb"(?=(\]=*\]))"),
    ),
}  # fmt: skip


# -- texts


@dataclass(frozen=True, eq=False)
class _HostSource(Source):
    """A host file; its comments are those of its own language."""

    tokens: tuple[tuple[int, int, bool], ...] = ()  # (start, end, is it a comment)

    @cached_property
    def _opaque(self) -> list[tuple[int, int]]:
        return [(start, end) for start, end, _ in self.tokens]

    @cached_property
    def comments(self) -> list[tuple[int, int]]:
        return [(start, end) for start, end, comment in self.tokens if comment]

    @cached_property
    def formatted(self) -> frozenset[bytes]:
        """The variables that a `%` stands behind, with something that goes into their text."""
        return frozenset(_FORMATTED.findall(self.code))


_FORMATTED = re.compile(rb"\b(\w+)\s*%\s*[\w({\[]")


@dataclass(frozen=True, eq=False)
class Text:
    """One literal of the host, or adjacent ones. `data` is what the program gets of it."""

    host: _HostSource
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
                parts.append(STAND_IN)
                pieces.append(Piece(at, len(STAND_IN), before.end, literal.start - before.end, self, None, False))
                at += len(STAND_IN)
            before = literal
            for host, size, part in _parts(self.host.data, literal, self.language):
                verbatim = part is None
                part = self.host.data[host : host + size] if part is None else part
                if part:
                    parts.append(part)
                    pieces.append(Piece(at, len(part), host, size, self, literal, verbatim))
                    at += len(part)
        decoded = b"".join(parts), pieces
        return spliced(decoded, list(_fields(self, decoded))) if self.fields else decoded

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
        if _PERCENT_AFTER.match(code, self.end, self.end + _NEAR) or _PERCENT_BEFORE.search(
            code, max(self.start - 80, 0), self.start
        ):
            return PERCENT
        if self.variable in self.host.formatted:
            return PERCENT
        return BRACED if _FORMAT_AFTER.match(code, self.end, self.end + _NEAR) else None

    @cached_property
    def complete(self) -> bool:
        """Can it stand in C as it is: nothing is added to it, and its brackets are balanced?"""
        if _ADDED_AFTER.match(self.host.code, self.end):
            return False
        return all(
            self.data.count(one) == self.data.count(other) for one, other in zip(_OPENING, _CLOSING, strict=True)
        )


_NEAR = 1000  # bytes of blanks and comments between a text and what is done with it
_ASSIGNED = re.compile(rb"\b(\w+)\s*=[\s(\\]*\Z")
_ADDED_AFTER = re.compile(rb"[ \t]*(?:\+|\.\.)")
STAND_IN = b"1"  # what an expression of the host is read as: a number, or a text that is not known here
_PERCENT_AFTER = re.compile(rb"[\s)\\]*%(?!=)|[\s)]*:format\s*\(")
_PERCENT_BEFORE = re.compile(rb"\b(?:Sprintf|string\.format)\s*\(\s*\Z")
PERCENT = re.compile(rb"%%|%(?:\(\w+\))?[-#0 +]*\d*(?:\.\d+)?[hlL]?[diouxXeEfFgGcrsqv]")
_FORMAT_AFTER = re.compile(rb"[\s)\\]*\.format\s*\(")
BRACED = re.compile(rb"\{\{|\}\}|\{\w*(?:![rsa])?(?::[^{}\n]*)?\}")


def _fields(text: Text, decoded: Decoded) -> Iterator[tuple[int, int, Decoded]]:
    """The places that the host fills in, or halves, as it formats a text, with what is read there instead."""
    data = decoded[0]
    assert text.fields
    for number, match in enumerate(text.fields.finditer(data), 1):
        start, end = match.span()
        host, host_end = first_byte(decoded, start), last_byte(decoded, end)
        found = match[0]
        if found in (b"%%", b"{{", b"}}"):
            stand_in, literal = found[:1], piece_at(decoded, start).literal
        else:
            stand_in, literal = _stand_in(data, start, end, number), None
        pieces = [Piece(0, len(stand_in), host, host_end - host, text, literal, False)]
        yield start, end, (stand_in, pieces if stand_in else [])


_NAME_AFTER = re.compile(rb"\w")
_STATEMENT_AFTER = re.compile(rb"[ \t]+\w")


def is_alone(data: bytes, start: int, end: int) -> bool:
    """Does it stand alone in its line, as a statement?"""
    return _begins_line(data, start) and _REST.match(data, end) is not None


_REST = re.compile(rb"[ \t\r;]*(?:\n|\Z)")
_BLANK = frozenset(b" \t\r\f\v")


def _begins_line(data: bytes, start: int) -> bool:
    """Are there only blanks before it in its line? Looked at are these alone: a line may hold very many fields."""
    while start and data[start - 1] in _BLANK:
        start -= 1
    return not start or data[start - 1 : start] == b"\n"


def _stand_in(data: bytes, start: int, end: int, number: int) -> bytes:
    """Nothing for a field that is a statement, a name for a part of one, else a number; names of functions differ."""
    if is_alone(data, start, end) or (_begins_line(data, start) and _STATEMENT_AFTER.match(data, end)):
        return b""
    if data[end : end + 1] == b"(":
        return b"x%d" % number
    return b"x1" if _NAME_AFTER.match(data, end) else STAND_IN


def spliced(whole: Decoded, cuts: Sequence[tuple[int, int, Decoded]]) -> Decoded:
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
    for number in range(piece_index(pieces, start), len(pieces)):
        piece = pieces[number]
        first, last = max(piece.at, start), min(piece.at + piece.length, end)
        if piece.at >= end:
            break
        if first < last:
            host, size = (piece.host + first - piece.at, last - first) if piece.verbatim else (piece.host, piece.size)
            found.append(piece._replace(at=first - start, length=last - first, host=host, size=size))
    return data[start:end], found


def piece_index(pieces: list[Piece], offset: int) -> int:
    return max(bisect_right(pieces, offset, key=lambda piece: piece.at) - 1, 0)


def piece_at(decoded: Decoded, offset: int) -> Piece:
    """The piece that holds a byte."""
    return decoded[1][piece_index(decoded[1], offset)]


def first_byte(decoded: Decoded, offset: int) -> int:
    """Where in the host a byte begins."""
    piece = piece_at(decoded, offset)
    return piece.host + (offset - piece.at if piece.verbatim else 0)


def last_byte(decoded: Decoded, offset: int) -> int:
    """Where in the host the byte before `offset` ends."""
    piece = piece_at(decoded, offset - 1)
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
class Host:
    """One host file, and its texts in order."""

    source: Source
    texts: tuple[Text, ...]

    @cached_property
    def fills(self) -> dict[bytes, list[Text]]:
        """What the host puts in the place of a word, `text.replace("FILTER", "if (…) …")`: the literals, in order."""
        found: dict[bytes, list[Text]] = {}
        assigned: dict[bytes, deque[Text]] = {}  # the latest first
        code = self.source.code
        starts = {text.start: text for text in self.texts}
        for text in self.texts:
            if text.variable:
                assigned.setdefault(text.variable, deque(maxlen=_MOST_VALUES)).appendleft(text)
            if not _REPLACES.search(code, max(text.start - 80, 0), text.start) or not _PLACEHOLDER.fullmatch(text.data):
                continue
            if len(found) == _MOST_FILLS and text.data not in found:
                continue
            values = found.setdefault(text.data, [])
            if len(values) > _MOST_VALUES:
                continue
            glue, end = _COMMA, text.end
            while (match := glue.match(self.source.data, end)) and (following := starts.get(match.end())):
                values.append(following)
                glue, end = _OR, following.end
            if end == text.end and (variable := _ARGUMENT.match(code, end)):
                values += assigned.get(variable[1], [])
        return found


# More than any program has; each is looked for in each of its texts.
_MOST_FILLS, _MOST_VALUES = 100, 20

_REPLACES = re.compile(rb"\b(?:replace|gsub|Replace|ReplaceAll)\s*\((?:\s*\w+\s*,)?\s*\Z")
_PLACEHOLDER = re.compile(rb"(?=.*[A-Z#@$_])[\w#@$<>{}]{3,}")
_COMMA = re.compile(rb"\s*,[\s(\\]*")
_OR = re.compile(rb"\s*if\b[^,\n]*\belse[\s(\\]*")  # "a" if … else "b"
_ARGUMENT = re.compile(rb"\s*,\s*(\w+)\s*\)")


def read(path: Path, data: bytes) -> Host:
    """All texts of a host file, whatever they hold."""
    language = _LANGUAGES[HOSTS[path.suffix]]
    tokens: list[tuple[int, int, bool]] = []
    groups: list[tuple[list[Literal], bool]] = []
    parts: list[bytes] = []  # the code since the last literal
    depth = done = 0  # of brackets; where the last token ended
    for start, end in language.tokens(data):
        comment = data.startswith(language.comment, start)
        literal = None if comment else language.literal(data, start, end)
        start = literal.start if literal else start
        parts.append(data[done:start])
        tokens.append((start, end, comment))
        done = end
        if comment:
            continue
        if literal is None:
            parts.append(b"'")
            continue
        gap = b"".join(parts)
        parts.clear()
        depth = max(depth + sum(map(gap.count, _OPENING)) - sum(map(gap.count, _CLOSING)), 0)
        glue = _CONTINUED.sub(b"", gap)
        lines_end = language is _LANGUAGES["python"] and not depth
        joins = glue.strip() == language.join or _EXPRESSION.fullmatch(glue)
        if groups and joins and not (lines_end and b"\n" in glue):
            groups[-1][0].append(literal)
        else:
            alone = lines_end and glue.rstrip(b" \t\f")[-1:] in (b"", b"\n", b"\r", b";", b"\xbf")  # the last of a BOM
            groups.append(([literal], alone))
    source = _HostSource(path, data, tuple(tokens))
    return Host(source, tuple(Text(source, language, tuple(group), alone) for group, alone in groups))


_EXPRESSION = re.compile(rb"\s*(?:\+|\.\.)\s*[\w.]+(?:\([\w., ]*\))?\s*(?:\+|\.\.)\s*")
_OPENING, _CLOSING = (b"(", b"[", b"{"), (b")", b"]", b"}")
_CONTINUED = re.compile(rb"\\\r?\n")
