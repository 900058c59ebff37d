"""A run: the programs of a discovery analysed, their fixes made to a fixpoint, and what became of each finding.

Here the two loops close: `fixpoint` gets a function that analyses again, and what it made can be judged and left out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ebpffix.fix import Safety
from ebpffix.rewriting.fixpoint import Analysis, fixpoint
from ebpffix.rewriting.found import Applied, Found, Identity, apply_all
from ebpffix.run.analyse import Result, Status
from ebpffix.run.cache import ResultCache, Results
from ebpffix.run.findings import Findings
from ebpffix.run.jobs import Jobs
from ebpffix.run.settings import Settings
from ebpffix.run.status import File, files_of
from ebpffix.run.warm import Warm
from ebpffix.run.worker import Worker
from ebpffix.sources.discover import Discovery
from ebpffix.sources.program import Program

if TYPE_CHECKING:
    from ebpffix.verify.proof import Proof
    from ebpffix.verify.session import Loadable, Loads, Verifier

Progress = Callable[[int, int], object]


@dataclass
class Report:
    """What a run gives: `changed` maps files to their new content; positions of all findings are bytes of `before`."""

    files: list[File]
    before: Mapping[Path, bytes]
    changed: dict[Path, bytes]
    applied: list[Applied]
    remaining: list[Found]
    dropped: list[tuple[Found, str]]
    errors: list[str]
    proofs: dict[Identity, Proof] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)  # why there are no proofs
    programs: list[Loadable] = field(default_factory=list)  # with --verify: what the fixes go into
    loads: list[Loads] = field(default_factory=list)  # where kernels were asked for: all programs, as they are

    @property
    def findings(self) -> list[Found]:
        """All that was found and is not dropped, in order of place."""
        found: list[Found] = [*self.applied, *self.remaining]
        return sorted(found, key=lambda f: (f.fix.at.path, f.fix.at.start, f.fix.at.end, f.transform))


def run(
    discovery: Discovery,
    settings: Settings,
    progress: Progress = lambda done, of: None,
    warm: Warm | None = None,
) -> Report:
    """Analyse all, and make the fixes that the settings take, in memory. `progress` is told how many
    programs of how many are done, anew in each pass. `warm` is what was kept of earlier runs."""
    jobs = Jobs(discovery, settings)
    if settings.verifier and jobs.programs:
        settings.verifier.start()  # kernels boot while programs are analysed
    with contextlib.ExitStack() as stack:
        if warm:
            analyser = _Analyser(jobs, warm.worker, progress, warm.results)
        else:
            worker = Worker(settings.transforms, settings.jobs, settings.cache, settings.precompile_from)
            results = ResultCache(settings.cache / "results") if settings.cache else None
            analyser = _Analyser(jobs, stack.enter_context(worker), progress, results)
        taken = (Safety.SAFE, Safety.SUGGESTED) if settings.unsafe else (Safety.SAFE,)
        outcome = fixpoint(
            jobs.before,
            analyser,
            lambda found: found.fix.safety in taken and settings.wanted(found),
        )
    report = Report(
        files_of(jobs, analyser.results, analyser.findings),
        jobs.before,
        outcome.files,
        outcome.applied,
        [found for found in outcome.remaining if settings.wanted(found)],
        [(found, why) for found, why in outcome.dropped if settings.wanted(found)],
        list(discovery.errors),
    )
    if settings.verifier:
        if settings.verifier.tells_kernels:
            report.loads = settings.verifier.loads(jobs.loadable({program.file for program in jobs.programs.values()}))
        report.programs = jobs.loadable({e.path for found in report.applied for e in found.fix.edits})
        if not settings.stepwise:
            _prove(report, settings.verifier)
        report.problems = settings.verifier.problems
    return report


def programs_to_load(discovery: Discovery, settings: Settings) -> list[Loadable]:
    """All programs of a discovery, with the arguments for a real compiler."""
    jobs = Jobs(discovery, settings)
    return jobs.loadable({program.file for program in jobs.programs.values()})


def _prove(report: Report, verifier: Verifier) -> None:
    """Put the proofs into the report, and take out of it the fixes that make a program worse."""
    proofs = verifier.prove(report.applied, report.before, report.programs)
    kept: list[Applied] = []
    for found, proof in zip(report.applied, proofs, strict=True):
        if proof and proof.verdict == "worse":
            report.dropped.append((found, f"it does harm: {proof.reason}"))
        else:
            kept.append(found)
        if proof:
            report.proofs[found.identity] = proof
    files = apply_all(report.before, kept)
    report.applied = kept
    report.changed = {path: data for path, data in files.items() if data != report.before[path]}


class _Analyser:
    """The analysis that `fixpoint` asks for. `results` are those of the first pass, by program."""

    def __init__(self, jobs: Jobs, worker: Worker, progress: Progress, cache: Results | None) -> None:
        self.jobs = jobs
        self.worker = worker
        self.progress = progress
        self.findings = Findings(jobs)
        self.cache = cache
        self.results: dict[Path, Result] = {}

    def __call__(self, files: Mapping[Path, bytes], changed: set[Path] | None) -> Analysis:
        done = self._results(self.jobs.affected(files, changed), files)
        if changed is None:
            self._otherwise(done, files)
            self.results = {path: result for path, (_, result) in done.items()}
        found = [one for program, result in done.values() for one in self.findings.of(program, result, files)]
        results = {path: result for path, (_, result) in done.items()}
        return Analysis(
            self.findings.largest(found),
            {path: result.errors for path, result in results.items()},
            {path: frozenset(result.guessed) for path, result in results.items()},
        )

    def _otherwise(self, done: dict[Path, tuple[Program, Result]], files: Mapping[Path, bytes]) -> None:
        """Where a program can be another one, and is not understood: the other, if that is."""
        partly = [program for program, result in done.values() if result.status is Status.PARTIAL]
        others = [other for program in partly if (other := program.otherwise())]
        for path, (program, result) in self._results(others, files).items():
            if result.errors < done[path][1].errors:
                done[path] = program, result
                self.jobs.take(program)

    def _results(self, programs: Iterable[Program], files: Mapping[Path, bytes]) -> dict[Path, tuple[Program, Result]]:
        """What analysis says of those programs in which there is something to look for, by path."""
        done: dict[Path, tuple[Program, Result]] = {}
        jobs, waiting = [], {}
        for program in programs:
            prepared = self.jobs.prepare(program, files)
            # A program that was fixed is parsed again even if no trigger is left: its errors are counted.
            if not prepared.job.transforms and program.path not in self.results:
                continue
            key = self.jobs.key(prepared) if self.cache else ""
            kept = self.cache.get(key, prepared.job) if self.cache else None
            if kept:
                done[program.path] = program, kept
            else:
                jobs.append(prepared.job)
                waiting[program.path] = program, key
        if jobs:
            self.progress(0, len(jobs))
        for number, (job, result) in enumerate(self.worker.run(jobs), 1):
            self.progress(number, len(jobs))
            program, key = waiting[job.path]
            if self.cache:
                self.cache.put(key, result)
            done[program.path] = program, result
        if self.cache:
            self.cache.prune()
        return done
