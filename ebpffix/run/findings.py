"""What came back from a program, as findings of the run: in its files, not answered by a comment, with its doubts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path

from ebpffix.fix import Edit, Fix, Safety
from ebpffix.rewriting.found import Found
from ebpffix.run.analyse import Result
from ebpffix.run.jobs import Jobs
from ebpffix.run.suppress import Suppressions
from ebpffix.sources.program import Program
from ebpffix.sources.source import Source


class Findings:
    """Turns results into findings."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._in_run = frozenset(p.path for p in jobs.discovery.programs) | jobs.headers.keys()
        self._suppressions: dict[tuple[Path, bytes], Suppressions] = {}

    def of(self, program: Program, result: Result, files: Mapping[Path, bytes]) -> Iterator[Found]:
        """The findings of one program, with the files as they are by now."""
        for name, fix in result.findings:
            path = fix.at.path
            if path not in self._in_run:
                continue
            source = program.source if path == program.path else Source(path, files[path])
            places = program.answering(fix)
            own = self._ignores(source).covers(name, fix.at.start, fix.at.end)
            around = [self._ignores(program.whole).covers(name, place, place + 1) for place in places]
            if not own and not any(around):
                yield Found(name, program.placed(self._doubted(fix)), program.path)

    def _ignores(self, source: Source) -> Suppressions:
        key = (source.path, source.data)
        if key not in self._suppressions:
            self._suppressions[key] = Suppressions(source)
        return self._suppressions[key]

    def unknown_ignores(self, source: Source) -> list[str]:
        """The names in a file's ignore comments that are no transforms'."""
        return self._ignores(source).unknown(self._names)

    def idle_ignores(self, source: Source) -> list[str]:
        """The ignore comments of a file as it was before the run that silenced nothing in any pass."""
        ignores = self._ignores(source)
        versions = [known for (path, _), known in self._suppressions.items() if path == source.path]
        if any(len(version) != len(ignores) for version in versions):
            return []  # a fix took one with it: which is which is not known
        heeded = {one for version in versions for one in version.heeded}
        return ignores.idle(self._jobs.settings.transforms.keys(), self._names, heeded)

    @property
    def _names(self) -> Set[str]:
        return self._jobs.settings.known | self._jobs.settings.transforms.keys()

    def _doubted(self, fix: Fix) -> Fix:
        """A fix is only suggested in a header that user space compiles too: nobody here has seen that code."""
        shared = sorted(self._jobs.shared.intersection(edit.path for edit in fix.edits))
        if not shared or fix.safety is not Safety.SAFE:
            return fix
        return replace(fix, safety=Safety.SUGGESTED, reason=f"user-space code includes {shared[0].name} too")

    def largest(self, found: Sequence[Found]) -> list[Found]:
        """Without what another finding in the same place says too: a part of a file goes into several programs, each
        with parts of its own beside it."""
        by_place: dict[tuple[str, Path, int], list[set[Edit]]] = {}
        for one in found:
            place = one.transform, one.fix.at.path, one.fix.at.start
            by_place.setdefault(place, []).append(set(one.fix.edits))

        def is_part(one: Found) -> bool:
            edits = set(one.fix.edits)
            beside = by_place[one.transform, one.fix.at.path, one.fix.at.start]
            on_disk = self._jobs.programs[one.program].on_disk
            return not on_disk and bool(edits) and any(edits < other for other in beside)

        return [one for one in found if not is_part(one)]
