"""`--repair --log FILE`: what would cure the refusals of a log that came from anywhere. Nothing is compiled or loaded,
so nothing is proven."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ebpffix.repair.locate import line_of
from ebpffix.repair.model import Candidate, Refusal
from ebpffix.repair.needed import made_in
from ebpffix.repair.registry import Known
from ebpffix.run.jobs import Jobs
from ebpffix.run.repairs import parsed
from ebpffix.run.settings import Settings
from ebpffix.sources.discover import Discovery
from ebpffix.verify.logs import Rejection, read
from ebpffix.verify.trace import parse


@dataclass(frozen=True)
class Proposal:
    """A candidate for one refusal of a log, the best that was found. `before` and `after` are the files that it edits;
    without a candidate both are empty."""

    rejection: Rejection
    candidate: Candidate | None
    before: dict[Path, bytes]
    after: dict[Path, bytes]


def propose(log: BinaryIO, discovery: Discovery, settings: Settings, strategies: Sequence[Known]) -> Iterator[Proposal]:
    """A proposal for each refusal, in order: the first candidate for the first program that the refused line is of."""
    jobs = Jobs(discovery, settings)
    for rejection in read(log):
        yield next(_of(rejection, jobs, strategies), Proposal(rejection, None, {}, {}))


def _of(rejection: Rejection, jobs: Jobs, strategies: Sequence[Known]) -> Iterator[Proposal]:
    trace = parse(rejection.path)
    for program in jobs.programs.values():
        if not program.on_disk or rejection.source is None:
            continue
        sources = jobs.prepare(program, jobs.before).job.sources
        files = {path: data for path, data in jobs.before.items() if path in sources}
        if not any(rejection.source.text.encode() in data for data in files.values()):
            continue
        unit = parsed(jobs, program, files)
        function = next((f for f in unit.functions if f.name == rejection.program), None)
        section = unit.program_section(function).decode(errors="replace") if function else ""
        refusal = Refusal(unit, rejection.program, section, rejection.message, trace)
        if line_of(unit, rejection.source) is None:
            continue
        found = [c for known in strategies for c in known.candidates(refusal) if not c.fallback]
        for candidate in sorted(found, key=lambda candidate: candidate.effect.rank):
            try:
                after = made_in(files, candidate.edits)
            except (ValueError, KeyError):
                continue
            changed = {path: data for path, data in after.items() if data != files[path]}
            yield Proposal(rejection, candidate, {path: files[path] for path in changed}, changed)
