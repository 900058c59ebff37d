"""`--repair`: every program of a run that the verifier refuses, searched for a repair, each in a process of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from ebpffix.fix import BCC, Edit, Fix, Safety, Span, apply
from ebpffix.frontend import LoadError, Unit
from ebpffix.frontend.parse import OutOfReach
from ebpffix.frontend.pch import PrecompiledHeaders
from ebpffix.repair.bench import ClangBench, TargetBench
from ebpffix.repair.model import Effect
from ebpffix.repair.registry import Known
from ebpffix.repair.search import Found, Limits, Made, Search
from ebpffix.rewriting.patch import changed_spans
from ebpffix.run.analyse import unit_of
from ebpffix.run.apart import each
from ebpffix.run.jobs import Jobs
from ebpffix.run.settings import Settings
from ebpffix.sources.discover import Discovery
from ebpffix.sources.program import Program
from ebpffix.sources.source import Source
from ebpffix.verify import CannotVerify
from ebpffix.verify.proof import Target
from ebpffix.verify.session import Loadable, Verifier
from ebpffix.verify.targets import LibbpfTarget

Status = Literal["accepted", "repaired", "partial", "stuck", "uncompilable", "untried"]
_PLACE = re.compile(r"(.*):(\d+):")
_EMULATED = 120.0  # seconds for one program file where each candidate is loaded in other kernels
_SPARE = 60.0  # seconds of wall time above those of the search: the last load, a machine that is busy


@dataclass(frozen=True)
class Repair:
    """One program of the run. `changed` are its files after the repair, those alone that differ; `found` says how it
    was come to. `reason` says why nothing could be tried."""

    program: Path
    status: Status
    found: Found | None = None
    changed: Mapping[Path, bytes] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class Repairs:
    """`before` is what the files of the run held; `changed` what the repairs that are taken make of them."""

    before: Mapping[Path, bytes]
    repairs: Sequence[Repair]
    changed: Mapping[Path, bytes]
    problems: Sequence[str]
    errors: Sequence[str] = ()


def repair_all(
    discovery: Discovery,
    settings: Settings,
    verifier: Verifier,
    strategies: Sequence[Known],
    *,
    limits: Limits | None = None,
    unsafe: bool = False,
) -> Repairs:
    """Search for a repair of each program that is refused. Of a file that several programs share only the first repair
    is taken: the others are found again by the next run."""
    limits = limits or Limits(seconds=_EMULATED if verifier.tells_kernels else Limits.seconds)
    jobs = Jobs(discovery, settings)
    verifier.start(wait=True)
    work = []
    for loadable in jobs.loadable({program.file for program in jobs.programs.values()}):
        target = verifier.inner(loadable)
        if target is None:
            continue
        work.append(partial(_repair, jobs, loadable, target, strategies, limits))
    # One BCC serves all, so its programs take turns.
    most = 1 if any(w.args[1].program.dialect == BCC for w in work) else settings.jobs
    results = each(work, most, limits.seconds + _SPARE)
    found = [result or _died(w.args[1]) for w, result in zip(work, results, strict=True)]
    changed: dict[Path, bytes] = {}
    for one in found:
        taken = one.found is not None and (unsafe or one.found.effect is not Effect.CHANGING)
        if taken and changed.keys().isdisjoint(one.changed):
            changed |= one.changed
    return Repairs(jobs.before, found, changed, verifier.problems, discovery.errors)


def _died(loadable: Loadable) -> Repair:
    return Repair(loadable.program.file, "untried", reason="its analysis ended early, or took too long")


def _repair(jobs: Jobs, loadable: Loadable, target: Target, strategies: Sequence[Known], limits: Limits) -> Repair:
    program = loadable.program
    headers = [p for p in jobs.prepare(program, jobs.before).job.sources if p != program.path]
    files = {program.path: program.source.data, **{path: jobs.before[path] for path in headers}}
    unit = partial(parsed, jobs, program)
    try:
        if isinstance(target, LibbpfTarget) and program.on_disk:
            with ClangBench(
                program.path, target.clang, target.args, unit, cap_bpf=target.cap_bpf, places=target.places
            ) as bench:
                return _searched(program, files, Search(bench, strategies, limits))
        return _searched(program, files, Search(TargetBench(target, unit), strategies, limits))
    except CannotVerify as error:
        return Repair(program.file, "untried", reason=str(error))
    except LoadError:
        return Repair(program.file, "untried", reason="libclang could not read it; is it C?")
    except OutOfReach as error:
        return Repair(program.file, "untried", reason=str(error))


def parsed(jobs: Jobs, program: Program, files: Mapping[Path, bytes]) -> Unit:
    """The program parsed, with other contents for its files."""
    now = replace(program, source=Source(program.path, files[program.path]))  # type: ignore[type-var]
    known = {path: data for path, data in files.items() if path in jobs.before}
    job = jobs.prepare(now, {**jobs.before, **known}).job
    cache = jobs.settings.cache
    header = None
    if cache and job.setup.prefix:
        store = PrecompiledHeaders(cache / "pch")
        key = job.setup.prefix, job.setup.prefix_args, job.setup.digest
        header = store.find(*key) or store.build(*key, job.setup.reach)
    return unit_of(job, header)


def _searched(program: Program, files: Mapping[Path, bytes], search: Search) -> Repair:
    found = search.run(files)
    if found is None:
        built = search.bench.build(files)
        if built.error:
            return Repair(program.file, "uncompilable", reason=built.error.splitlines()[0])
        waits = next((p.reason for p in built.programs if p.verdict == "untried"), "")
        return Repair(program.file, "untried" if waits else "accepted", reason=waits)
    if not program.on_disk:
        found = replace(found, made=tuple(_placed(program, made) for made in found.made))
    if not found.made:
        return Repair(program.file, "stuck", found)
    changed = {path: data for path, data in found.files.items() if data != files[path]}
    if not program.on_disk and program.path in changed:
        changed = _in_host(program, changed)
    return Repair(program.file, "repaired" if found.repaired else "partial", found, changed)


def _placed(program: Program, made: Made) -> Made:
    """With the lines of the file that holds the C."""

    def placed(line: int) -> tuple[Path, int]:
        match = _PLACE.match(program.placed_message(f"{program.path}:{line}:"))
        return (Path(match[1]), int(match[2])) if match and line else (program.file, 0)

    (path, line), (lost_path, lost_line) = placed(made.line), placed(made.lost_line)
    return replace(made, path=path, line=line, lost_path=lost_path, lost_line=lost_line)


def _in_host(program: Program, changed: Mapping[Path, bytes]) -> dict[Path, bytes]:
    """The changes of C in a string as changes of the file that holds the string."""
    before, after = program.source.data, changed[program.path]
    edits = [Edit(program.path, a, b, text) for a, b, text in changed_spans(before, after)]
    fix = Fix(Span(program.path, edits[0].start, edits[0].end), "repair", Safety.SAFE, edits)
    placed = program.placed(fix)
    others = {path: data for path, data in changed.items() if path != program.path}
    if not placed.edits:
        return others
    return {**others, program.file: apply(program.whole.data, placed.edits)}
