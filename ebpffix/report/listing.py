"""Findings as a compiler shows them: the source line, what is meant in it underlined, and what it becomes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from ebpffix.fix import Fix, Safety, Spanned, apply
from ebpffix.report.line import Line
from ebpffix.report.text import COLOURS, name, plural, proved
from ebpffix.rewriting.found import Found
from ebpffix.shown import visible, visible_code
from ebpffix.sources.source import Source

if TYPE_CHECKING:
    from ebpffix.run.engine import Report

_TAB = "    "
_HELP = 100  # columns of what a line becomes
_WIDTH = 120  # of code, where nobody says how wide the terminal is
_ORDER = list(Safety)


def lines(report: Report, found: Sequence[Found], *, verbose: bool = False, width: int = 0) -> Iterator[Line]:
    """File by file, the safe first; advice of one transform in a file is one line unless `verbose`, which also says
    where pointers come from. `width` is that of the terminal in columns, 0 if there is none."""
    ordered = sorted(found, key=lambda f: (f.fix.at.path, _ORDER.index(f.fix.safety), f.transform, f.fix.at.start))
    sources: dict[Path, Source] = {}
    folded = False  # the finding above
    for (path, safety, _), group in groupby(ordered, lambda f: (f.fix.at.path, f.fix.safety, f.transform)):
        source = sources.setdefault(path, Source(path, report.before[path]))
        if safety is Safety.ADVICE and not verbose:
            yield _folded(list(group), source)
            folded = True
            continue
        if folded:
            yield Line(())
            folded = False
        for one in sorted(group, key=lambda f: f.fix.at.start):
            yield from _finding(report, one, source, verbose, width or _WIDTH)
            yield Line(())
    if folded:
        yield Line(())


def _folded(found: list[Found], source: Source) -> Line:
    """The advice of one transform in one file."""
    first = found[0]
    at = first.fix.at
    places = [f"{source.line(at.start)}:{source.column(at.start)}"]
    if len(found) > 1:
        places = list(dict.fromkeys(str(source.line(one.fix.at.start)) for one in found))
    shown = ",".join(places[:8]) + (",\u2026" if len(places) > 8 else "")
    times = f" {len(found)} times, first" if len(found) > 1 else ""
    return _head(f"{name(at.path)}:{shown}", first, times)


def _head(place: str, found: Found, times: str = "") -> Line:
    safety = found.fix.safety
    return Line(
        (
            (place, "bold"),
            (f": {found.transform} ", ""),
            (f"[{safety}]", COLOURS[safety]),
            (f"{times}: {visible(found.fix.message)}", ""),
        )
    )


def _finding(report: Report, found: Found, source: Source, verbose: bool, width: int) -> Iterator[Line]:
    fix = found.fix
    line = source.line(fix.at.start)
    gutter = " " * len(str(line))
    yield _head(f"{name(fix.at.path)}:{line}:{source.column(fix.at.start)}", found)
    code, mark = _marked(source, fix.at, width - len(gutter) - 4)
    yield Line(((f"{gutter} |", "blue"),), None)
    yield Line(((f"{line} | ", "blue"), (code, "")), None)
    yield Line(((f"{gutter} | ", "blue"), (mark, COLOURS[fix.safety])), None)
    if fix.edits:
        yield _told(gutter, "help", becomes(fix, source))
    if fix.reason:
        yield _told(gutter, "advice" if fix.safety is Safety.ADVICE else "only suggested", visible(fix.reason))
    if verbose:
        for way in fix.origin:
            yield _told(gutter, "the pointer", visible(way))
    if proof := report.proofs.get(found.identity):
        yield _told(gutter, "proof", proved(proof))


def _told(gutter: str, what: str, text: str) -> Line:
    return Line(((f"{gutter} = ", "blue"), (f"{what}: ", "bold"), (text, "")), len(gutter) + 3)


def becomes(fix: Fix, source: Source) -> str:
    """The first line that a fix with edits writes, or what it does to the file else; in one line, for the eye."""
    edits = sorted(edit for edit in fix.edits if edit.path == source.path)
    elsewhere = len({edit.path for edit in fix.edits} - {source.path})
    others = f" (and {plural(elsewhere, 'more file')})" if elsewhere else ""
    if not edits:
        return f"the change is in {name(fix.edits[0].path)}"
    start, end = source.line_start(edits[0].start), source.line_end(max(edits[0].start, edits[0].end - 1))
    here = [edit for edit in edits if edit.end <= end]
    moved = [replace(edit, start=edit.start - start, end=edit.end - start) for edit in here]
    old, new = source.data[start:end], apply(source.data[start:end], moved)
    before, after = ([line.strip() for line in text.split(b"\n")] for text in (old, new))
    while before and after and before[0] == after[0]:
        del before[0], after[0]
    while before and after and before[-1] == after[-1]:
        del before[-1], after[-1]
    after = [line for line in after if line]
    if not after:
        return f"delete {'this line' if len(before) == 1 else f'these {len(before)} lines'}{others}"
    more = len(after) - 1
    follow = f" \u2026 and {plural(more, 'more line')}" if more else ""
    was, now = (visible_code(_decoded(source, line)).expandtabs(4) for line in (before[0] if before else b"", after[0]))
    same = next((i for i, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), min(len(was), len(now)))
    if len(now) > _HELP and same > _HELP // 2:  # what is new is to be seen
        now = "\u2026" + now[same - _HELP // 2 :]
    return f"{_clipped(now, _HELP)}{follow}{others}"


def _marked(source: Source, at: Spanned, width: int) -> tuple[str, str]:
    """The line on which a span begins, and under it marks as wide as the part of the span that is there; at most
    `width` columns of both, with the span's beginning among them."""
    start = source.line_start(at.start)
    line_end = source.data.find(b"\n", start)
    end = len(source.data) if line_end < 0 else line_end
    stop = max(at.start, min(at.end, end))
    before, meant, behind = (
        visible_code(_decoded(source, part).removesuffix("\r").removeprefix("\ufeff")).replace("\t", _TAB)
        for part in (source.data[start : at.start], source.data[at.start : stop], source.data[stop:end])
    )
    most = max(width, 40)
    if len(before) > most // 2:
        before = "\u2026" + before[-(most // 2) :]
    meant = _clipped(meant, most - len(before) - 1)
    behind = _clipped(behind, most - len(before) - len(meant))
    return f"{before}{meant}{behind}", " " * _columns(before) + "^" * max(1, _columns(meant.rstrip()))


def _clipped(text: str, most: int) -> str:
    return text if len(text) <= most else text[: max(most - 1, 0)] + "\u2026"


def _decoded(source: Source, data: bytes) -> str:
    return data.decode("latin-1" if source.encoding == "latin-1" else "utf-8", "replace")


def _columns(text: str) -> int:
    """How wide a terminal shows it: some characters take two columns, some none."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
