"""Fixes to new bytes, pass by pass until none is left, and back from those that do harm.

Pure: no file is read or written, and nothing here knows what a program means. The engine gives `fixpoint` a function
that analyses bytes, and gets back the new bytes and what became of each finding, in bytes of the files before the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ebpffix.fix import Fix, apply
from ebpffix.rewriting.choose import choose
from ebpffix.rewriting.found import Applied, Found, apply_all
from ebpffix.rewriting.history import History
from ebpffix.rewriting.merge import least_safe, merge, same_place


@dataclass(frozen=True)
class Analysis:
    """What an analysis saw: every program that was analysed is a key of `errors`, with its count of clang errors.

    One that cannot be analysed any more (a crash) must be there too, with more errors than before, so that the fixes
    that did it are dropped; a program that is not there keeps its findings.
    """

    found: list[Found]
    errors: Mapping[Path, int]
    unknown: Mapping[Path, frozenset[str]] = field(default_factory=dict)  # names that nobody declares, by program


@dataclass(frozen=True)
class Outcome:
    """The result of a run; all positions are bytes of the files before it.

    `files` holds the new content of the files that changed. `applied` is in the order of the passes and, in a pass,
    of the files; where several of them insert at one offset, their texts stand in this order. `remaining` was not
    accepted; `dropped` was, and could not be made: each comes with a reason in words.
    """

    files: dict[Path, bytes]
    applied: list[Applied]
    remaining: list[Found]
    dropped: list[tuple[Found, str]]


Analyse = Callable[[Mapping[Path, bytes], set[Path] | None], Analysis]
Accept = Callable[[Found], bool]


def fixpoint(files: Mapping[Path, bytes], analyse: Analyse, accept: Accept, max_passes: int = 10) -> Outcome:
    """Make the accepted fixes, pass by pass, until none is left.

    `analyse(files, changed)` gets the whole content by now; `changed` are the files that differ from the last
    analysis that was kept (None: analyse all), and only programs that they affect need to be in the answer: the
    other programs' findings stand. `accept` is asked with the finding where it stood before the run.

    A fix that gives a program more clang errors, or names that nobody declares, is dropped. So is every fix of a
    transform that still finds something to fix in a file after `max_passes`: a run away is not written, the files are
    as if that transform had not fixed that file.
    """
    first = analyse(files, None)
    restless: set[tuple[str, Path]] = set()
    while True:
        run = _Run(files, first, analyse, accept, restless, max_passes)
        left = run.passes()
        if not left:
            return run.outcome(files)
        restless |= {(found.transform, found.fix.at.path) for found in left}


class _Run:
    """The state between the passes: content, findings and error counts by now, and what was done so far."""

    def __init__(
        self,
        files: Mapping[Path, bytes],
        first: Analysis,
        analyse: Analyse,
        accept: Accept,
        restless: set[tuple[str, Path]],
        max_passes: int,
    ) -> None:
        self.files = dict(files)
        self.analyse = analyse
        self.accept = accept
        self.restless = restless
        self.max_passes = max_passes
        self.errors: dict[Path, int] = {}
        self.unknown: dict[Path, frozenset[str]] = {}
        self.found: dict[Path, list[Found]] = {}
        self.history = History()
        self.applied: list[tuple[Found, int]] = []
        self.dropped: list[tuple[Found, str]] = []
        self._keep(first)
        merged, differing = merge(first.found)
        self.first: dict[tuple[str, Path], list[Found]] = {}
        for found in [*merged, *(found for found, _ in differing)]:
            self.first.setdefault((found.transform, found.fix.at.path), []).append(found)

    def passes(self) -> list[Found]:
        """Run the passes; the fixes that are still to be made after the last one."""
        for number in range(1, self.max_passes + 1):
            taken, _ = choose(self._sorted()[0])
            if not taken:
                return []
            self._make(taken, number)
        return self._sorted()[0]

    def outcome(self, before: Mapping[Path, bytes]) -> Outcome:
        placed = (self._place(found) for found in self._sorted()[1])
        remaining = list({found.identity: found for found in placed}.values())
        changed = {path: data for path, data in self.files.items() if data != before[path]}
        return Outcome(changed, list(self._findings()), remaining, self.dropped)

    def _sorted(self) -> tuple[list[Found], list[Found]]:
        """The findings by now: those to be made, and those that are only told. What cannot be made is dropped."""
        ready: list[Found] = []
        told: list[Found] = []
        merged, differing = merge(found for program in sorted(self.found) for found in self.found[program])
        for found, reason in differing:
            self._drop(found, reason)
        for found in merged:
            seen = self._seen(found)
            if any(same_place(seen, other) for other, _ in self.dropped):
                continue
            if not found.fix.edits or not self.accept(seen):
                told.append(found)
            elif (found.transform, found.fix.at.path) in self.restless:
                self._drop(found, f"{found.transform} still finds more to fix here after {self.max_passes} passes")
            elif reason := _fault(found.fix, self.files):
                self._drop(found, reason)
            else:
                ready.append(found)
        return ready, told

    def _make(self, taken: list[Found], number: int) -> None:
        """Make those of `taken` that give no program more errors."""
        while taken:
            analysis = self._try(taken)
            worse = self._worse(analysis)
            if not worse:
                break
            bad, reason = self._culprits(worse[0], taken, analysis)
            for found in bad:
                self._drop(found, reason)
            taken = [found for found in taken if found not in bad]
        else:
            return
        self._record(taken, number)
        self.files = apply_all(self.files, taken)
        self._keep(analysis)

    def _keep(self, analysis: Analysis) -> None:
        self.errors |= analysis.errors
        self.unknown |= analysis.unknown
        self.found |= {program: [] for program in [*analysis.errors, *(found.program for found in analysis.found)]}
        for found in analysis.found:
            self.found[found.program].append(found)

    def _try(self, taken: Sequence[Found]) -> Analysis:
        files = apply_all(self.files, taken)
        return self.analyse(files, {path for path in files if files[path] != self.files[path]})

    def _worse(self, analysis: Analysis) -> list[Path]:
        return sorted(
            path
            for path, count in analysis.errors.items()
            if count > self.errors.get(path, count) or self._newly_unknown(path, analysis)
        )

    def _newly_unknown(self, program: Path, analysis: Analysis) -> frozenset[str]:
        unknown = analysis.unknown.get(program, frozenset())
        return unknown - self.unknown.get(program, unknown)

    def _culprits(self, program: Path, taken: list[Found], analysis: Analysis) -> tuple[list[Found], str]:
        """Those of `taken` to leave out so that `program` is no worse than before, as `analysis` says that it is.

        One whose absence suffices, the last such; else all that do harm alone; else all that touch the program.
        """

        def harms(fixes: list[Found]) -> bool:
            return bool(fixes) and program in self._worse(self._try(fixes))

        reason = f"clang errors in {program.name}: {analysis.errors[program]} with it, {self.errors[program]} without"
        if unknown := self._newly_unknown(program, analysis):
            reason = f"nothing declares {', '.join(sorted(unknown))} in {program.name}"
        near = [
            found
            for found in taken
            if any(edit.path == program or edit.path not in self.errors for edit in found.fix.edits)
        ]
        suspects = near if harms(near) else taken
        if len(suspects) == 1:
            return suspects, reason
        for found in reversed(suspects):
            if not harms([one for one in suspects if one is not found]):
                return [found], reason
        alone = [found for found in suspects if harms([found])]
        return (alone, reason) if alone else (suspects, f"{reason} and the others of its pass")

    def _record(self, taken: list[Found], number: int) -> None:
        self.applied += [(self._seen(found), number) for found in taken]
        self.history.made([found.fix for found in taken])

    def _seen(self, found: Found) -> Found:
        """The finding where it stood before the run, its edits as they are."""
        at = self.history.original(found.fix.at)
        return found if at is found.fix.at else replace(found, fix=replace(found.fix, at=at))

    def _place(self, found: Found) -> Found:
        """The finding as it was in the first pass, or else with its place and edits in bytes from before the run.

        A later one that builds on fixes that were made has their edits too.
        """
        seen = self._seen(found)
        known = [one for one in self.first.get((found.transform, found.fix.at.path), []) if same_place(one, seen)]
        if known:
            return next((one for one in known if one.identity == seen.identity), known[0])
        if not found.fix.edits:
            return seen
        return replace(seen, fix=replace(seen.fix, edits=self.history.edits_with(found.fix)))

    def _drop(self, found: Found, reason: str) -> None:
        if not any(same_place(self._seen(found), other) for other, _ in self.dropped):
            faulty = _fault(found.fix, self.files)
            self.dropped.append((self._seen(found) if faulty else self._place(found), reason))

    def _findings(self) -> Iterator[Applied]:
        """What was made, fixes that build on each other as one."""
        for group, edits in self.history.groups():
            found, pass_number = self.applied[group[0]]
            fixes = [self.applied[number][0].fix for number in group]
            fix = replace(
                found.fix,
                message="; ".join(dict.fromkeys(fix.message for fix in fixes)),
                safety=least_safe(fix.safety for fix in fixes),
                reason="; ".join(dict.fromkeys(fix.reason for fix in fixes if fix.reason)),
                edits=edits,
            )
            yield Applied(found.transform, fix, found.program, pass_number)


def _fault(fix: Fix, files: Mapping[Path, bytes]) -> str:
    """Why the edits of `fix` cannot be made, whatever else is made; empty if they can."""
    for edit in fix.edits:
        if edit.path not in files:
            return f"it edits {edit.path.name}, which is not a file of this run"
    for path in {edit.path for edit in fix.edits}:
        try:
            apply(files[path], [edit for edit in fix.edits if edit.path == path])
        except ValueError as error:
            return str(error)
    if all(files[edit.path][edit.start : edit.end] == edit.text for edit in fix.edits):
        return "its edits change nothing"
    return ""
