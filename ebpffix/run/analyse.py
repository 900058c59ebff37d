"""One program: parsed, asked by every transform whose trigger is in it, and what could not be seen is noted.

This runs inside the worker; a `Job` goes in, a `Result` comes out, and both can be sent between processes.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ebpffix.fix import Fix, Span
from ebpffix.frontend import LoadError, Unit
from ebpffix.frontend.environment import Setup
from ebpffix.frontend.made_up import Diagnostic
from ebpffix.frontend.parse import OutOfReach, parse
from ebpffix.run.doubts import Doubts
from ebpffix.sources.source import Source
from ebpffix.sources.user_space import UserSpace
from ebpffix.transform import Registered


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
    shared_with_programs: frozenset[Path] = frozenset()
    btf: Path | None = None
    user_space: UserSpace = field(default_factory=UserSpace)


@dataclass
class Result:
    """What one program gave: findings as (transform, fix), and how far it was understood."""

    status: Status
    findings: list[tuple[str, Fix]] = field(default_factory=list)
    errors: int = 0  # of a compiler of today, in this program with all its headers
    notes: list[str] = field(default_factory=list)
    guessed: list[str] = field(default_factory=list)  # names that no header has and nobody knows


def unit_of(job: Job, pch: Path | None) -> Unit:
    """One program, parsed. clang.LoadError or OutOfReach where that cannot be."""
    source = Source(job.path, job.sources[job.path])
    parsed = parse(source, job.setup, job.virtual, pch=pch)
    return Unit(
        path=job.path,
        dialect=job.dialect,
        parsed=parsed,
        sources={path: source if path == job.path else Source(path, data) for path, data in job.sources.items()},
        target_kernel=job.target_kernel,
        shared_with_user_space=job.shared_with_user_space,
        shared_with_programs=job.shared_with_programs,
        btf_path=job.btf,
        user_space=job.user_space,
    )


def analyse(job: Job, transforms: Mapping[str, Registered], pch: Path | None) -> Result:
    """Parse one program and collect what the transforms of the job say of it."""
    try:
        unit = unit_of(job, pch)
    except LoadError:
        return Result(Status.FAILED, notes=["libclang could not read it; is it C?"])
    except OutOfReach as error:
        return Result(Status.FAILED, notes=[str(error)])
    result = Result(Status.ANALYSED, errors=unit.errors + unit.parsed.looser, notes=list(job.setup.notes))
    result.guessed = sorted(unit.guessed)
    wanted = [transforms[name] for name in job.transforms]
    for transform in wanted:
        _run(transform, unit, result)
    certain = {transform.facts.name for transform in wanted if transform.facts.from_errors}
    doubts = Doubts(unit)
    result.findings = [(name, doubts.weighed(fix, from_errors=name in certain)) for name, fix in result.findings]
    result.notes += unit.notes
    if unit.parsed.assumed:
        macros = ", ".join(f"`{name}`" for name in unit.parsed.assumed)
        result.notes.append(f"{macros} taken as defined, by what the project's headers and build files say")
    result.notes += [f"{what}: not understood" for what in _places(unit, unit.parsed.lost)][:_MOST]
    result.notes += [f"{what}: fixes beside it are only suggested" for what in _places(unit, unit.parsed.local)]
    unseen = _unseen(unit, wanted)
    result.notes += [_told(unit, path, why, lines) for (path, why), lines in unseen.items()]
    # What follows an #error is read all the same.
    lost = any(not error.directive for error in unit.parsed.lost)
    if result.status is Status.ANALYSED and (lost or any(why == _LOST for _, why in unseen)):
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
    return replace(fix, at=Span(fix.at.path, fix.at.start, fix.at.end), edits=list(fix.edits))


_LOST = "not understood by libclang"
_LINES, _MOST = 8, 5  # that a note names; notes on what was not understood


def _unseen(unit: Unit, transforms: Sequence[Registered]) -> dict[tuple[Path, str], list[int]]:
    """The lines with a trigger for which no node stands, by file and the reason why."""
    found: dict[tuple[Path, str], list[int]] = {}
    for path, source in unit.sources.items():
        said = set()
        for start, end, why in _out_of_sight(unit, path):
            for transform in transforms:
                for match in transform.facts.trigger.finditer(source.code, start, end):
                    line, at = source.line(match.start()), match.start()
                    lost = why == _LOST and not unit.in_directive(path, at) and not unit.covers(path, at)
                    if line not in said and (lost or why != _LOST):
                        said.add(line)
                        found.setdefault((path, why), []).append(line)
    return found


def _out_of_sight(unit: Unit, path: Path) -> Iterator[tuple[int, int, str]]:
    """The parts of a file that no node may stand for, as (start, end, why)."""
    data = unit.sources[path].data
    for start, end in unit.directives(path):
        if b"define" in data[start:end]:
            yield start, end, "in a macro's body"
    for start, end in unit.inactive_spans(path):
        yield start, end, "left out by an #if"
    if unit.errors:  # only an error makes libclang lose text
        yield 0, len(data), _LOST


def _places(unit: Unit, errors: Sequence[Diagnostic]) -> Iterator[str]:
    """One line for each thing that libclang says, and where."""
    places: dict[tuple[Path, str], list[int]] = {}
    for error in errors:
        places.setdefault((unit.file(error.file), error.message), []).append(error.line)
    for (path, message), lines in places.items():
        yield _at(unit, path, sorted(set(lines)), message)


def _told(unit: Unit, path: Path, why: str, lines: list[int]) -> str:
    """The note on the lines of a file that were not analysed for one reason."""
    return _at(unit, path, sorted(lines), f"{why}, not analysed")


def _at(unit: Unit, path: Path, lines: list[int], what: str) -> str:
    shown = ", ".join(map(str, lines[:_LINES])) + (", …" if len(lines) > _LINES else "")
    where = "" if path == unit.path else f"{path.name} "
    return f"{where}line{'s' * (len(lines) > 1)} {shown}: {what}"
