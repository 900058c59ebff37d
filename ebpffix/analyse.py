"""One program: parsed, asked by every transform whose trigger is in it, and what could not be seen is noted.

This runs inside the worker; a `Job` goes in, a `Result` comes out, and both can be sent between processes.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ebpffix.frontend import Unit, clang
from ebpffix.frontend.environment import Setup
from ebpffix.frontend.parse import parse
from ebpffix.source import Source
from ebpffix.transform import Fix, Registered, Span


class Status(enum.StrEnum):
    """How far a file was understood; the words are those of the report."""

    ANALYSED = "analysed"
    PARTIAL = "partial"  # some names or statements could not be understood; the notes say which
    SKIPPED = "skipped"  # nothing in it that a transform looks for
    FAILED = "failed"  # no analysis: the notes say why


@dataclass(frozen=True)
class Job:
    """One program to analyse, with all that libclang must be told.

    `sources` are the files of the run in it, the program among them; `virtual` other texts for some files (as edited in
    an earlier pass, or with includes blanked that nothing resolves), by name.
    """

    path: Path
    dialect: str
    setup: Setup
    sources: Mapping[Path, bytes]
    virtual: Mapping[str, bytes]
    transforms: tuple[str, ...]  # those that have something to look for in the sources
    target_kernel: tuple[int, int] = (5, 10)
    shared_with_user_space: frozenset[Path] = frozenset()
    btf: Path | None = None


@dataclass
class Result:
    """What one program gave: findings as (transform, fix), and how far it was understood."""

    status: Status
    findings: list[tuple[str, Fix]] = field(default_factory=list)
    errors: int = 0  # of libclang, in this program with all its headers
    notes: list[str] = field(default_factory=list)


def analyse(job: Job, transforms: Mapping[str, Registered], pch: Path | None) -> Result:
    """Parse one program and collect what the transforms of the job say of it."""
    source = Source(job.path, job.sources[job.path])
    try:
        parsed = parse(source, job.setup, job.virtual, pch=pch)
    except clang.LoadError:
        return Result(Status.FAILED, notes=["libclang could not read it; is it C?"])
    unit = Unit(
        path=job.path,
        dialect=job.dialect,
        tu=parsed.tu,
        sources={path: source if path == job.path else Source(path, data) for path, data in job.sources.items()},
        target_kernel=job.target_kernel,
        made_up=parsed.made_up,
        missing=parsed.missing,
        shared_with_user_space=job.shared_with_user_space,
        btf_path=job.btf,
        errors=len(parsed.errors),
    )
    result = Result(Status.ANALYSED, errors=unit.errors, notes=list(job.setup.notes))
    wanted = [transforms[name] for name in job.transforms]
    for transform in wanted:
        _run(transform, unit, result)
    result.notes += unit.notes
    unseen = list(_unseen(unit, wanted))
    if unit.missing:
        result.notes.append("not understood: " + "; ".join(unit.missing[:5]))
    result.notes += [note for _, note in unseen]
    if result.status is Status.ANALYSED and (unit.missing or any(lost for lost, _ in unseen)):
        result.status = Status.PARTIAL
    return result


def _run(transform: Registered, unit: Unit, result: Result) -> None:
    name = transform.facts.name
    try:
        result.findings += [(name, _plain(fix)) for fix in transform.find(unit)]
    except Exception as error:  # a mistake in one transform must not cost the others
        result.status = Status.FAILED
        result.notes.append(f"{name} failed on it ({type(error).__name__}: {error}); please report this")


def _plain(fix: Fix) -> Fix:
    """The fix without the syntax tree that it points into."""
    return Fix(Span(fix.at.path, fix.at.start, fix.at.end), fix.message, fix.safety, list(fix.edits), fix.reason)


def _unseen(unit: Unit, transforms: Sequence[Registered]) -> Iterator[tuple[bool, str]]:
    """The trigger positions that no node covers, as (lost, note): lost is what libclang dropped, against what an #if
    leaves out or a macro's body holds."""
    for path, source in unit.sources.items():
        said = set()
        for start, end, why in _out_of_sight(unit, path):
            for transform in transforms:
                for match in transform.facts.trigger.finditer(source.code, start, end):
                    line = source.line(match.start())
                    if line not in said and (why or not unit.covers(path, match.start())):
                        said.add(line)
                        where = f"line {line}" if path == unit.path else f"{path.name} line {line}"
                        yield not why, f"{where}: {why or 'not understood by libclang'}, not analysed"


def _out_of_sight(unit: Unit, path: Path) -> Iterator[tuple[int, int, str]]:
    """The parts of a file that no node stands for, as (start, end, why). With errors, all of it may have such places,
    which libclang gives no reason for."""
    for start, end in unit.directives(path):
        yield start, end, "in a macro's body or directive"
    for start, end in unit.inactive_spans(path):
        yield start, end, "left out by an #if"
    if unit.errors:  # only an error makes libclang lose text
        yield 0, len(unit.sources[path].data), ""
