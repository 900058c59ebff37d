"""Unified diffs: written from bytes with difflib, read back with unidiff, and put into mails that `git am` takes.

Lines end at `\\n` and nowhere else, as git sees them: a CR before it, a lone CR, a form feed and bytes of any encoding
are content. Names are relative to the root of the tree and quoted as git quotes them.
"""

from __future__ import annotations

import difflib
import io
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

# After so many differing lines the search for the shortest edit script settles on what it has: it is quadratic in them.
_EXACT = 128

_NO_NEWLINE = b"\n\\ No newline at end of file\n"
_ESCAPES = {7: b"a", 8: b"b", 9: b"t", 10: b"n", 11: b"v", 12: b"f", 13: b"r", 34: b'"', 92: b"\\"}
_UNESCAPES = {escape: bytes([byte]) for byte, escape in _ESCAPES.items()}


def _lines(data: bytes) -> list[bytes]:
    return io.BytesIO(data).readlines()


class _Matcher(difflib.SequenceMatcher[bytes]):
    """difflib's matcher, whose own search is quadratic in lines that repeat, or with autojunk blind to them.

    The matching blocks come from the greedy search for the shortest edit script instead (Myers, 1986), whose cost
    grows with the lines that differ, not with those that repeat.
    """

    a: Sequence[bytes]
    b: Sequence[bytes]

    def get_matching_blocks(self) -> list[difflib.Match]:
        a, b = self.a, self.b
        most = min(len(a), len(b))
        ahead = next((n for n in range(most) if a[n] != b[n]), most)
        behind = next((n for n in range(most - ahead) if a[-1 - n] != b[-1 - n]), most - ahead)
        blocks = [difflib.Match(0, 0, ahead)]
        i = j = ahead
        while i < len(a) - behind and j < len(b) - behind:
            runs, i_end, j_end = _shortest(a[i : len(a) - behind], b[j : len(b) - behind])
            blocks += (difflib.Match(i + run_a, j + run_b, size) for run_a, run_b, size in runs)
            i, j = i + i_end, j + j_end
        blocks += [difflib.Match(len(a) - behind, len(b) - behind, behind), difflib.Match(len(a), len(b), 0)]
        return [block for block in blocks[:-1] if block.size] + blocks[-1:]


Runs = list[tuple[int, int, int]]


def _shortest(a: Sequence[bytes], b: Sequence[bytes]) -> tuple[Runs, int, int]:
    """The matching runs (start in a, start in b, lines) of a shortest edit script, and where in a and b it ends.

    That is the end of both, or what is furthest after `_EXACT` edits.
    """
    reached = {1: 0}  # by diagonal (place in a minus place in b): how far into a one gets with so many edits
    trail = [reached]
    for edits in range(_EXACT + 1):
        here: dict[int, int] = {}
        for diagonal in range(-edits, edits + 1, 2):
            i = _step(reached, diagonal, edits)[1]
            while i < len(a) and 0 <= i - diagonal < len(b) and a[i] == b[i - diagonal]:
                i += 1
            here[diagonal] = i
            if i == len(a) and i - diagonal == len(b):
                return _runs(trail, i, i - diagonal), len(a), len(b)
        trail.append(here)
        reached = here
    inside = [(i, i - diagonal) for diagonal, i in reached.items() if i <= len(a) and i - diagonal <= len(b)]
    i, j = max(inside, key=sum)
    return _runs(trail[:-1], i, j), i, j


def _step(reached: dict[int, int], diagonal: int, edits: int) -> tuple[int, int]:
    """The diagonal from which one more edit gets furthest on `diagonal`, and the place in a that it gets to."""
    if diagonal == -edits or (diagonal != edits and reached[diagonal - 1] < reached[diagonal + 1]):
        return diagonal + 1, reached[diagonal + 1]
    return diagonal - 1, reached[diagonal - 1] + 1


def _runs(trail: list[dict[int, int]], i: int, j: int) -> Runs:
    """Walk back from (i, j) through what each number of edits, one less than the place in `trail`, had reached."""
    runs: Runs = []
    for edits in range(len(trail) - 1, -1, -1):
        diagonal = i - j
        before, start = _step(trail[edits], diagonal, edits)
        if i > start:
            runs.append((start, start - diagonal, i - start))
        i = trail[edits][before]
        j = i - before
    return runs[::-1]


# Writing


def quoted(name: bytes) -> bytes:
    """A name as git writes it in a diff: in C quotes if it has control characters, quotes, backslashes or non-ASCII."""
    if all(32 <= byte < 127 and byte not in b'"\\' for byte in name):
        return name
    return b'"' + b"".join(_escaped(byte) for byte in name) + b'"'


def _escaped(byte: int) -> bytes:
    if byte in _ESCAPES:
        return b"\\" + _ESCAPES[byte]
    return bytes([byte]) if 32 <= byte < 127 else b"\\%03o" % byte


def unified(path_name: str, old: bytes, new: bytes) -> bytes:
    """The change of one file as git writes it, with three lines of context; empty if nothing changed.

    `path_name` is relative to the root of the tree, with `/`. The `diff --git` line is there because without it
    `git apply` in a subfolder guesses how much of the names to strip, from the first file for all of them. With it, git
    applies there what lies below the subfolder, as it does with its own diffs.
    """
    if old == new:
        return b""
    name = os.fsencode(path_name)
    before, after = quoted(b"a/" + name), quoted(b"b/" + name)
    tab = b"\t" if b" " in name else b""  # ends a name with blanks, as git does
    parts = [b"diff --git ", before, b" ", after, b"\n--- ", before, tab, b"\n+++ ", after, tab, b"\n"]
    matcher = _Matcher(None, _lines(old), _lines(new))
    a, b = matcher.a, matcher.b
    for group in matcher.get_grouped_opcodes(3):
        (_, i1, _, j1, _), (_, _, i2, _, j2) = group[0], group[-1]
        parts.append(b"@@ -%s +%s @@\n" % (_range(i1, i2), _range(j1, j2)))
        for tag, i, i_end, j, j_end in group:
            if tag == "equal":
                parts += (_marked(b" ", line) for line in a[i:i_end])
            else:
                parts += (_marked(b"-", line) for line in a[i:i_end])
                parts += (_marked(b"+", line) for line in b[j:j_end])
    return b"".join(parts)


def _range(start: int, end: int) -> bytes:
    if end - start == 1:
        return b"%d" % end
    return b"%d,%d" % (start + (end > start), end - start)


def _marked(mark: bytes, line: bytes) -> bytes:
    return mark + line if line.endswith(b"\n") else mark + line + _NO_NEWLINE


@dataclass(frozen=True)
class Hunk:
    """Whole lines `start_line` to `end_line` of the old file (1-based, both included) become `new`.

    Lines keep their ends. Where nothing is removed, `new` goes before `start_line`, and `end_line` is one less.
    """

    start_line: int
    end_line: int
    old: list[str]
    new: list[str]


def hunks(old: bytes, new: bytes) -> list[Hunk]:
    """The lines that differ, without context, for reports.

    Decoded as UTF-8 if both are UTF-8, else as Latin-1, so that encoding them again gives the bytes.
    """
    encoding = "utf-8" if _is_utf8(old) and _is_utf8(new) else "latin-1"
    matcher = _Matcher(None, _lines(old), _lines(new))
    return [
        Hunk(
            i + 1,
            i_end,
            [line.decode(encoding) for line in matcher.a[i:i_end]],
            [line.decode(encoding) for line in matcher.b[j:j_end]],
        )
        for tag, i, i_end, j, j_end in matcher.get_opcodes()
        if tag != "equal"
    ]


def changed_spans(old: bytes, new: bytes) -> list[tuple[int, int, bytes]]:
    """The bytes of `old` that differ, as (start, end, what stands there in `new`), in whole lines."""
    matcher = _Matcher(None, _lines(old), _lines(new))
    starts = [0]
    for line in matcher.a:
        starts.append(starts[-1] + len(line))
    return [
        (starts[i], starts[i_end], b"".join(matcher.b[j:j_end]))
        for tag, i, i_end, j, j_end in matcher.get_opcodes()
        if tag != "equal"
    ]


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def lines_since(old: bytes, new: bytes) -> set[int]:
    """The 1-based lines of `new` that are not those of `old`. Line ends do not count: git may convert them."""
    before, after = ([line.rstrip(b"\r\n") for line in _lines(data)] for data in (old, new))
    opcodes = _Matcher(None, before, after).get_opcodes()
    return {line for tag, _, _, j, j_end in opcodes if tag != "equal" for line in range(j + 1, j_end + 1)}


# Reading


def changed_lines(diff: bytes | str) -> dict[str, set[int]]:
    """The 1-based lines that `diff` adds or changes, on its new side, by name without `b/`; deleted files are left out.

    A file of which lines are only removed, or which is only renamed, has an empty set. ValueError, one line, for what
    is no unified diff.
    """
    from unidiff.errors import UnidiffParseError
    from unidiff.patch import PatchSet

    text = diff if isinstance(diff, str) else diff.decode("latin-1")
    try:
        patch = PatchSet.from_string(text)
    except UnidiffParseError as error:
        raise ValueError(f"not a unified diff: {' '.join(str(error).split())}") from error
    if not patch and text.strip() and not re.search(r"^(diff --git|Binary files) ", text, re.MULTILINE):
        raise ValueError("not a unified diff: no file and no hunk in it")
    lines: dict[str, set[int]] = {}
    for file in patch:
        if file.is_removed_file or file.target_file == "/dev/null":
            continue
        # Without prefixes both names are the same; with them they differ at least in these.
        prefixed = file.source_file != file.target_file
        changed = lines.setdefault(_unquoted(file.target_file, prefixed, isinstance(diff, str)), set())
        changed.update(line.target_line_no for hunk in file for line in hunk if line.is_added and line.target_line_no)
    return lines


def _unquoted(name: str, prefixed: bool, decoded: bool) -> str:
    """The name of a file, without `b/` if `prefixed`, from a `+++` line that was read as Latin-1 unless `decoded`."""
    raw = os.fsencode(name) if decoded else name.encode("latin-1")
    raw = raw.rstrip(b"\r")
    if len(raw) > 1 and raw.startswith(b'"') and raw.endswith(b'"'):
        raw = re.sub(rb"\\([0-7]{3}|.)", _unescaped, raw[1:-1], flags=re.DOTALL)
    return os.fsdecode(re.sub(rb"\A[bciow12]/", b"", raw) if prefixed else raw)


def _unescaped(match: re.Match[bytes]) -> bytes:
    escape = match[1]
    return bytes([int(escape, 8) & 255]) if len(escape) == 3 else _UNESCAPES.get(escape, escape)


# Mails

Series = Sequence[tuple[str, str, Sequence[tuple[str, bytes, bytes]]]]

_MBOX_FROM = b"From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n"
# What `git am` would take for the end of the message or for a header in it.
_MISREAD = re.compile(r"^(?=---|diff -|Index: |From[: ]|Subject:|Date:|>From )", re.MULTILINE)


def format_patch(
    directory: Path,
    series: Series,
    *,
    author: tuple[str, str] | None = None,
    date: datetime | None = None,
) -> list[Path]:
    """Write `0001-….patch` and so on into `directory`, each on top of the one before; the paths written.

    `series` holds (subject, body, [(path_name, old, new)]), each with a change, for `git am` refuses an empty patch.
    `author` is (name, address), ebpffix unless given; the date is now, unless given. A patch that has a CR, long lines
    or bytes that are not ASCII is encoded as quoted-printable, so that mail does not touch them: `git am` then keeps
    CRLF files whole without `--keep-cr`. Nothing is written if `directory` holds other numbered patches, which `git am`
    would take too: ValueError. OSError passes through; each file is written whole or not at all.
    """
    author = author or ("ebpffix", "ebpffix@localhost")
    date = date or datetime.now().astimezone()
    mails: dict[Path, bytes] = {}
    for number, (subject, body, files) in enumerate(series, 1):
        slug = re.sub(r"[^A-Za-z0-9_.]+", "-", subject).strip("-.")[:52].rstrip("-.") or "patch"
        counter = f"{number}/{len(series)}" if len(series) > 1 else ""
        subject = " ".join(subject.encode(errors="replace").decode().split())
        mail = _mail(subject, counter, body, files, author, date)
        mails[directory / f"{number:04}-{slug}.patch"] = mail
    directory.mkdir(parents=True, exist_ok=True)
    stale = sorted(path for path in directory.glob("[0-9][0-9][0-9][0-9]-*.patch") if path not in mails)
    if stale:
        raise ValueError(f"{directory}: holds other patches already ({stale[0].name}); name an empty folder")
    for path, mail in mails.items():
        _write(path, mail)
    return list(mails)


def _mail(
    subject: str,
    counter: str,
    body: str,
    files: Iterable[tuple[str, bytes, bytes]],
    author: tuple[str, str],
    date: datetime,
) -> bytes:
    from email.header import Header
    from email.utils import format_datetime, formataddr

    prefix = f"[PATCH {counter}] " if counter else "[PATCH] "
    header = Header(prefix + subject, "us-ascii" if subject.isascii() else "utf-8", header_name="Subject")
    diff = b"".join(unified(*file) for file in files)
    message = _MISREAD.sub(" ", body.strip()).encode(errors="replace")
    content = (message + b"\n" if message else b"") + b"---\n\n" + diff
    plain = content.isascii() and b"\r" not in content and b"\0" not in content and max(map(len, _lines(content))) < 900
    headers = [
        f"From: {formataddr(author)}",
        f"Date: {format_datetime(date)}",
        f"Subject: {header.encode()}",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=UTF-8",
        f"Content-Transfer-Encoding: {'7bit' if plain else 'quoted-printable'}",
    ]
    head = "".join(f"{line}\n" for line in headers).encode("ascii")
    return _MBOX_FROM + head + b"\n" + (content if plain else _quoted_printable(content))


def _quoted_printable(content: bytes) -> bytes:
    """Line by line, since the library takes CR LF for a line end of the mail and would not encode it."""
    from binascii import b2a_qp

    return b"".join(b2a_qp(line.removesuffix(b"\n"), istext=False) + b"\n" for line in _lines(content))


def _write(path: Path, data: bytes) -> None:
    from ebpffix.write import put

    mask = os.umask(0)
    os.umask(mask)
    put(path, data, lambda handle, name: os.chmod(name, 0o666 & ~mask))  # a temporary file has 0600
