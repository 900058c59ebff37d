"""Findings for people: one line each, then a summary."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ebpffix.fix import Safety
from ebpffix.rewriting.found import Found
from ebpffix.run.analyse import Status
from ebpffix.run.engine import Report
from ebpffix.shown import visible
from ebpffix.sources.source import Source

if TYPE_CHECKING:
    from ebpffix.verify.proof import ProgramProof, Proof

_COLOURS = {Safety.SAFE: "32", Safety.SUGGESTED: "33", Safety.ADVICE: "36"}


def name(path: Path) -> str:
    """A file's name as a user in the current folder would type it, if it is one that can be read."""
    relative = os.path.relpath(path)
    return visible(relative if not relative.startswith("..") else str(path))


def lines(report: Report, found: Sequence[Found], *, colour: bool, verbose: bool = False) -> Iterator[str]:
    """`path:line:column: transform: message [safety] (reason)`, and with `verbose` where the pointer comes from that it
    is about; `found` in the order in which they are printed."""
    sources: dict[Path, Source] = {}
    for one in found:
        at = one.fix.at
        source = sources.setdefault(at.path, Source(at.path, report.before[at.path]))
        place = f"{name(at.path)}:{source.line(at.start)}:{source.column(at.start)}"
        safety = str(one.fix.safety)
        reason = f" ({one.fix.reason})" if one.fix.reason else ""
        if colour:
            place = f"\x1b[1m{place}\x1b[0m"
            safety = f"\x1b[{_COLOURS[one.fix.safety]}m{safety}\x1b[0m"
        yield f"{place}: {one.transform}: {visible(one.fix.message)} [{safety}]{visible(reason)}"
        if verbose:
            yield from (f"    {visible(way)}" for way in one.fix.origin)
        if proof := report.proofs.get(one.identity):
            yield f"    {proved(proof)}"


def proved(proof: Proof) -> str:
    """A proof in one line: the verdict, what became of each program, and with what that was found."""
    programs = ", ".join(map(_program, proof.programs)) or proof.reason
    return visible(f"{proof.verdict}{': ' if programs else ''}{programs} (kernel {proof.kernel}, {proof.compiler})")


def _program(program: ProgramProof) -> str:
    if "untried" in (program.before, program.after):
        return f"{program.name} untried: {program.reason}"
    fate = program.after if program.before == program.after else f"{program.before}, now {program.after}"
    before, after = program.insns_before, program.insns_after
    if before is None or after is None or program.before != program.after:
        return f"{program.name} {fate}"
    return f"{program.name} {fate}, {_change(after - before)}"


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


def files_line(report: Report) -> str:
    """How many files were looked at, and how well they were understood."""
    by = Counter(file.status for file in report.files)
    parts = ", ".join(f"{by[s]} {s}" for s in Status if by[s])
    return f"{plural(len(report.files), 'eBPF file')}: {parts}" if report.files else "no eBPF files found"


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
    """Findings by transform and safety, most first."""
    by = Counter((one.transform, one.fix.safety) for one in found)
    width = len(str(max(by.values(), default=0)))
    for (transform, safety), count in sorted(by.items(), key=lambda item: (-item[1], item[0])):
        yield f"{count:>{width}}  {transform} [{safety}]"


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
