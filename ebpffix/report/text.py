"""Findings for people: one line each, then a summary."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ebpffix.fix import Safety
from ebpffix.report.line import Line
from ebpffix.rewriting.found import Found
from ebpffix.run.analyse import Status
from ebpffix.run.engine import Report
from ebpffix.shown import visible
from ebpffix.sources.source import Source

if TYPE_CHECKING:
    from ebpffix.verify.proof import MapProof, ProgramProof, Proof

COLOURS = {Safety.SAFE: "green", Safety.SUGGESTED: "yellow", Safety.ADVICE: "cyan"}


def name(path: Path) -> str:
    """A file's name as a user in the current folder would type it, if it is one that can be read."""
    relative = os.path.relpath(path)
    return visible(relative if not relative.startswith("..") else str(path))


def lines(report: Report, found: Sequence[Found], *, verbose: bool = False) -> Iterator[Line]:
    """`path:line:column: transform: message [safety] (reason)`, and with `verbose` where the pointer comes from that it
    is about; `found` in the order in which they are printed."""
    sources: dict[Path, Source] = {}
    for one in found:
        at = one.fix.at
        source = sources.setdefault(at.path, Source(at.path, report.before[at.path]))
        yield Line(
            (
                (f"{name(at.path)}:{source.line(at.start)}:{source.column(at.start)}", "bold"),
                (f": {one.transform}: {visible(one.fix.message)} [", ""),
                (str(one.fix.safety), COLOURS[one.fix.safety]),
                (f"]{visible(f' ({one.fix.reason})' if one.fix.reason else '')}", ""),
            )
        )
        if verbose:
            for way in one.fix.origin:
                yield Line(((f"    {visible(way)}", ""),), 4)
        if proof := report.proofs.get(one.identity):
            yield Line(((f"    {proved(proof)}", ""),), 4)


def proved(proof: Proof) -> str:
    """A proof in one line: the verdict, what became of each program, and with what that was found."""
    found = [", ".join(map(_program, proof.programs)) or proof.reason, *map(_map, proof.maps)]
    told = "; ".join(filter(None, found))
    return visible(f"{proof.verdict}{': ' if told else ''}{told} (kernel {proof.kernel}, {proof.compiler})")


def _map(map_: MapProof) -> str:
    if map_.before == map_.after:
        return f"{map_.name} is the same map: {map_.after}"
    return f"{map_.name} was {map_.before}; it is {map_.after} now"


def _program(program: ProgramProof) -> str:
    name = f"{program.name} on {program.kernel}" if program.kernel else program.name
    if "untried" in (program.before, program.after):
        return f"{name} untried: {program.reason}"
    fate = program.after if program.before == program.after else f"{program.before}, now {program.after}"
    before, after = program.insns_before, program.insns_after
    if before is None or after is None or program.before != program.after:
        return f"{name} {fate}"
    return f"{name} {fate}, {_change(after - before)}"


def _change(instructions: int) -> str:
    if not instructions:
        return "as many instructions"
    return f"{plural(abs(instructions), 'instruction')} {'more' if instructions > 0 else 'fewer'}"


def proof_table(report: Report) -> Iterator[str]:
    """How many fixes came out how, most first, and why some could not be tried."""
    by = Counter(proof.verdict for proof in report.proofs.values())
    for verdict, count in sorted(by.items(), key=lambda item: (-item[1], item[0])):
        yield f"{count:>5}  {verdict}"
    yield from report.problems


def counts(found: Sequence[Found]) -> str:
    """ "3 findings (2 safe, 1 suggested)", "no findings"."""
    if not found:
        return "no findings"
    by = Counter(one.fix.safety for one in found)
    parts = ", ".join(f"{by[s]} {s}" for s in Safety if by[s])
    return f"{plural(len(found), 'finding')} ({parts})"


_STATES = {
    Status.ANALYSED: ("analysed", "analysed"),
    Status.PARTIAL: ("analysed in part", "analysed in part"),
    Status.SKIPPED: ("has nothing to look for", "have nothing to look for"),
    Status.FAILED: ("not analysed", "not analysed"),
}


def files_line(report: Report) -> str:
    """How many files were looked at, and how well they were understood."""
    if not report.files:
        return "no eBPF files found"
    by = Counter(file.status for file in report.files)
    parts = ", ".join(f"{by[s]} {words[by[s] != 1]}" for s, words in _STATES.items() if by[s])
    return f"{plural(len(report.files), 'eBPF file')}: {parts}"


def notes(report: Report) -> Iterator[str]:
    """What was not understood, file by file, ignore comments that silence nothing, and the fixes that were dropped.

    Notes that all files share are told only once.
    """
    shared = Counter(note for file in report.files for note in set(file.notes))
    common = {note for note, count in shared.items() if count > 1}
    for file in report.files:
        if file.status in (Status.PARTIAL, Status.FAILED):
            said = [note for note in file.notes if note not in common] or file.notes or ["see the files around it"]
            for note in said:
                yield f"{name(file.path)}: {file.status}: {visible(note)}"
    for file in report.files:
        yield from (f"{name(file.path)}: {visible(note)}" for note in file.ignores)
    for found, reason in report.dropped:
        yield f"{name(found.fix.at.path)}: {found.transform}: a fix was left out: {visible(reason)}"


def statistics(found: Sequence[Found]) -> Iterator[str]:
    """A table: findings by transform, most first, and how many of them are how sure."""
    by = Counter((one.transform, one.fix.safety) for one in found)
    total = Counter(one.transform for one in found)
    counts = {name: [by[name, safety] for safety in Safety] for name in sorted(total, key=lambda n: (-total[n], n))}
    counts["all"] = [sum(column) for column in zip(*counts.values(), strict=True)] or [0] * len(Safety)
    table = [["transform", *Safety, "total"]]
    table += [[name, *map(str, row), str(sum(row))] for name, row in counts.items()]
    widths = [max(len(row[n]) for row in table) for n in range(len(table[0]))]
    for row in table:
        yield "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
        )


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
