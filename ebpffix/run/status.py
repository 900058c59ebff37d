"""How far each file of a run was understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ebpffix.fix import BCC
from ebpffix.run.analyse import Result, Status
from ebpffix.run.findings import Findings
from ebpffix.run.jobs import Jobs
from ebpffix.sources.program import Header, Program
from ebpffix.sources.reader import read_file
from ebpffix.sources.source import Source


@dataclass
class File:
    """One file of the run and how far it was understood. Of a header: as the program that understood it best.
    `ignores` are notes on comments that silence nothing."""

    path: Path
    dialect: str
    status: Status
    encoding: str
    notes: list[str] = field(default_factory=list)
    ignores: list[str] = field(default_factory=list)


def files_of(jobs: Jobs, results: Mapping[Path, Result], findings: Findings) -> list[File]:
    """Every file of the run, in order of path; `results` are those of the first pass, by program."""
    by_file: dict[Path, list[Program]] = {path: [] for path in jobs.discovery.unread}
    for program in jobs.discovery.programs:
        by_file.setdefault(program.file, []).append(jobs.programs[program.path])
    found = []
    for path, programs in by_file.items():
        file = _program_file(jobs, results, path, programs)
        if programs:
            sources = [program.source for program in programs if not program.on_disk]
            file.ignores = [note for source in sources for note in findings.unknown_ignores(source)]
            file.ignores += _ignores(findings, programs[0].whole, programs, results)
        found.append(file)
    for header in jobs.discovery.headers:
        file = _header_file(jobs, results, header)
        file.ignores = _ignores(findings, Source(header.path, jobs.before[header.path]), header.programs, results)
        found.append(file)
    return sorted(found, key=lambda file: file.path)


def _ignores(
    findings: Findings, source: Source, programs: Sequence[Program], results: Mapping[Path, Result]
) -> list[str]:
    """What is wrong with a file's ignore comments; what was not understood may be what one silences."""
    known = [results[program.path].status for program in programs if program.path in results]
    understood = all(status is Status.ANALYSED for status in known)
    return findings.unknown_ignores(source) + (findings.idle_ignores(source) if understood else [])


def _program_file(jobs: Jobs, all_results: Mapping[Path, Result], path: Path, programs: Sequence[Program]) -> File:
    """A program's file, or one with several in it: as the one that was understood worst."""
    source = Source(path, jobs.before[path] if path in jobs.before else read_file(path))
    dialect = programs[0].dialect if programs else BCC
    results = [(program, result) for program in programs if (result := all_results.get(program.path))]
    unread = jobs.discovery.unread.get(path, [])
    if not results and not unread:
        return _file(source, dialect, None)
    order = [Status.ANALYSED, Status.PARTIAL, Status.FAILED]
    worst = max([*(r.status for _, r in results), *[Status.PARTIAL] * bool(unread)], key=order.index)
    notes = [program.placed_note(note) for program, result in results for note in result.notes]
    return _file(source, dialect, Result(worst, notes=[*dict.fromkeys(notes), *unread]))


def _header_file(jobs: Jobs, all_results: Mapping[Path, Result], header: Header) -> File:
    results = [all_results[p.path] for p in header.programs if p.path in all_results]
    source = Source(header.path, jobs.before[header.path])
    order = [Status.FAILED, Status.PARTIAL, Status.ANALYSED]
    best = max(results, key=lambda r: order.index(r.status)) if results and jobs.triggered[header.path] else None
    return _file(source, header.programs[0].dialect, best and Result(best.status))


def _file(source: Source, dialect: str, result: Result | None) -> File:
    if result is None:
        note = "nothing in it that a transform looks for"
        return File(source.path, dialect, Status.SKIPPED, source.encoding, [note])
    return File(source.path, dialect, result.status, source.encoding, result.notes)
