"""Fixes to new bytes: which edits can be made together, in how many passes, and which are taken back.

Pure: no file is read or written, and nothing here knows what a program means. The engine gives `fixpoint` a function
that analyses bytes, and gets back the new bytes and what became of each finding, in bytes of the files before the run.

Which edits go together. The edits of a fix are made all or none. Equal edits of several fixes (a header that two
programs fix, an include that two fixes add) are made once. Different insertions at one offset are all made, in the
order of their fixes. Any other two edits of *different* fixes that overlap or touch exclude each other: the fix that
stands first wins and the other waits for the next pass, where it is found afresh. Touching counts, because each edit
was made for the old neighbour: a prefix put before a name that another fix replaces glues to the wrong name. Inside
one fix touching is meant: an insertion at the start of a replacement goes before its text, one at its end after it.
"""

from __future__ import annotations

import os
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from ebpffix.fix import Edit, Fix, Safety, Span

Identity = tuple[str, Path, int, int, str]


@dataclass(frozen=True)
class Found:
    """A fix that `transform` proposed while `program` was analysed; the fix itself may lie in a header of it."""

    transform: str
    fix: Fix
    program: Path

    @property
    def identity(self) -> Identity:
        """What makes two findings one, whichever programs they were found through."""
        at = self.fix.at
        return self.transform, at.path, at.start, at.end, self.fix.message

    @property
    def through(self) -> str:
        """The program's name, seen from the file of the finding."""
        return os.path.relpath(self.program, self.fix.at.path.parent)


@dataclass(frozen=True)
class Applied(Found):
    """A fix that was made, its edits in bytes of the files before the run. `pass_number` counts from 1.

    Fixes that build on each other are one: it stands where the first stood, says all their messages, is as safe as
    the least safe of them, and has the edits of all.
    """

    pass_number: int


@dataclass(frozen=True)
class Analysis:
    """What an analysis saw: every program that was analysed is a key of `errors`, with its count of clang errors.

    One that cannot be analysed any more (a crash) must be there too, with more errors than before, so that the fixes
    that did it are dropped; a program that is not there keeps its findings.
    """

    found: list[Found]
    errors: Mapping[Path, int]


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


def _by_range(edit: Edit) -> tuple[int, int]:
    return edit.start, edit.end


def apply(data: bytes, edits: Iterable[Edit]) -> bytes:
    """`data` with `edits` made; equal ones once, insertions at one offset in the order given.

    All edits are of one file. ValueError for a range that is not in `data`, or two that overlap.
    """
    parts: list[bytes] = []
    done = 0
    for edit in sorted(dict.fromkeys(edits), key=_by_range):
        if not 0 <= edit.start <= edit.end <= len(data):
            raise ValueError(f"{edit.path}: edit of bytes {edit.start} to {edit.end}, the file has {len(data)}")
        if edit.start < done:
            raise ValueError(f"{edit.path}: edits overlap at byte {edit.start}")
        parts += (data[done : edit.start], edit.text)
        done = edit.end
    parts.append(data[done:])
    return b"".join(parts)


def edits_by_path(found: Iterable[Found]) -> dict[Path, list[Edit]]:
    """The edits of all of `found`, file by file, in the order that `apply` wants; equal ones once."""
    edits: dict[Path, dict[Edit, None]] = {}
    for one in found:
        for edit in one.fix.edits:
            edits.setdefault(edit.path, {})[edit] = None
    return {path: list(of_path) for path, of_path in edits.items()}


def apply_all(files: Mapping[Path, bytes], found: Iterable[Found]) -> dict[Path, bytes]:
    """`files` with the edits of all of `found` made. ValueError as for `apply`."""
    return {**files, **{path: apply(files[path], edits) for path, edits in edits_by_path(found).items()}}


# Choosing


def _position(found: Found) -> tuple[Path, int, int, str, str, list[Edit]]:
    at = found.fix.at
    return at.path, at.start, at.end, found.transform, found.fix.message, found.fix.edits


def choose(candidates: Iterable[Found]) -> tuple[list[Found], list[Found]]:
    """Part fixes into those that can be made together, and those that wait for the next pass.

    Both in the order of the files, whatever the order of `candidates`. Each fix must be free of overlaps in itself.
    """
    taken: list[Found] = []
    waiting: list[Found] = []
    made: dict[Path, list[tuple[Edit, Fix]]] = {}
    for found in sorted(candidates, key=_position):
        if any(_clash(edit, found.fix, made.get(edit.path, [])) for edit in found.fix.edits):
            waiting.append(found)
            continue
        taken.append(found)
        for edit in found.fix.edits:
            insort(made.setdefault(edit.path, []), (edit, found.fix), key=lambda one: _by_range(one[0]))
    return taken, waiting


def _clash(edit: Edit, fix: Fix, made: list[tuple[Edit, Fix]]) -> bool:
    """Whether `edit` of `fix` cannot go with the edits `made`, which are sorted and free of overlaps."""
    return any(other != edit and not _both_insert(edit, fix, other, owner) for other, owner in _near(edit, made))


def _near(edit: Edit, made: list[tuple[Edit, Fix]]) -> Iterator[tuple[Edit, Fix]]:
    """Those of `made` that overlap or touch `edit`."""
    middle = bisect_left(made, edit.start, key=lambda one: one[0].start)
    for index in range(middle - 1, -1, -1):
        if made[index][0].end < edit.start:
            break
        yield made[index]
    for index in range(middle, len(made)):
        if made[index][0].start > edit.end:
            break
        yield made[index]


def _both_insert(edit: Edit, fix: Fix, other: Edit, owner: Fix) -> bool:
    """Whether both insert, and safely: two fixes that each put a pair of brackets could cross, `([` … `)]`."""
    if not edit.start == edit.end == other.start == other.end:
        return False
    return not (_insertions(fix, owner) > 1 and _insertions(owner, fix) > 1)


def _insertions(fix: Fix, other: Fix) -> int:
    return len({edit for edit in fix.edits if edit.start == edit.end} - set(other.edits))


# Offsets through several passes


@dataclass(frozen=True)
class Change:
    """Bytes `start` to `end` of the original became `text`; `owners` are the numbers of the fixes that did it."""

    start: int
    end: int
    text: bytes
    owners: frozenset[int]

    @property
    def growth(self) -> int:
        return len(self.text) - (self.end - self.start)


@dataclass(frozen=True)
class Composition:
    """The edits of several passes over one file, as changes of the file before the first pass.

    `changes` are in order and do not overlap. `joined` are sets of fixes that cannot be told apart any more, as a
    later one changed text of an earlier one, or inserted right beside an insertion of it, where only the order of
    the passes says which comes first.
    """

    changes: tuple[Change, ...] = ()
    joined: tuple[frozenset[int], ...] = ()

    def then(self, edits: Mapping[Edit, frozenset[int]]) -> Composition:
        """With one more pass made: `edits`, each with its owners, count bytes of the file as it is by now."""
        old = list(self._current())
        new = sorted(edits, key=_by_range)
        changes: list[Change] = []
        joined = list(self.joined)
        shift = i = j = 0
        while i < len(old) or j < len(new):
            if i < len(old) and j < len(new) and _meet(old[i], new[j]):
                first_old, first_new = i, j
                i, j = i + 1, j + 1
                while True:  # a change may reach into the next edit, and that into the next change
                    if i < len(old) and _meet(old[i], new[j - 1]):
                        i += 1
                    elif j < len(new) and _meet(old[i - 1], new[j]):
                        j += 1
                    else:
                        break
                change = _melt(old[first_old:i], {edit: edits[edit] for edit in new[first_new:j]})
                changes.append(change)
                joined.append(change.owners)
                shift += sum(one.growth for _, _, one in old[first_old:i])
            elif j == len(new) or (i < len(old) and _before(old[i], new[j])):
                changes.append(old[i][2])
                shift += old[i][2].growth
                i += 1
            else:
                edit = new[j]
                changes.append(Change(edit.start - shift, edit.end - shift, edit.text, edits[edit]))
                j += 1
        return _distinct(changes, joined)

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Where current bytes `start` to `end` came from: text that was put in stands for all that it replaced."""
        first = last = None
        shift = 0
        for begin, stop, change in self._current():
            if first is None and start < stop:
                first = change.start if begin <= start else start - shift
            if last is None and end <= begin:
                last = end - shift
            elif last is None and end < stop:
                last = change.end
            shift += change.growth
        first = start - shift if first is None else first
        last = end - shift if last is None else last
        return first, max(first, last)

    def owners(self, start: int, end: int) -> frozenset[int]:
        """The fixes in whose text current bytes `start` to `end` wholly lie; none if they do not."""
        for begin, stop, change in self._current():
            if begin <= start and end <= stop and begin < stop:
                return change.owners
        return frozenset()

    def edits(self, path: Path) -> list[Edit]:
        """The changes as edits of the original file `path`."""
        return [Edit(path, change.start, change.end, change.text) for change in self.changes]

    def _current(self) -> Iterator[tuple[int, int, Change]]:
        """Each change with the range of its text in the file as it is by now."""
        shift = 0
        for change in self.changes:
            start = change.start + shift
            yield start, start + len(change.text), change
            shift += change.growth


def _meet(old: tuple[int, int, Change], edit: Edit) -> bool:
    start, end, change = old
    if edit.start == edit.end and _inserts(change):
        return start <= edit.start <= end
    return edit.start < end and start < edit.end


def _before(old: tuple[int, int, Change], edit: Edit) -> bool:
    """Of two that do not meet, whether the change comes first."""
    return old[1] <= edit.start


def _melt(old: Sequence[tuple[int, int, Change]], edits: Mapping[Edit, frozenset[int]]) -> Change:
    """One change out of a chain of changes and edits that meet. Kept bytes between the changes lie under an edit."""
    low = min([old[0][0], *(edit.start for edit in edits)])
    high = max([old[-1][1], *(edit.end for edit in edits)])
    text = bytearray()
    for start, _, change in old:
        text += bytes(start - low - len(text)) + change.text
    text += bytes(high - low - len(text))
    moved = [replace(edit, start=edit.start - low, end=edit.end - low) for edit in edits]
    owners = _owners(change for _, _, change in old).union(*edits.values())
    return Change(
        old[0][2].start - (old[0][0] - low), old[-1][2].end + (high - old[-1][1]), apply(bytes(text), moved), owners
    )


def _distinct(changes: list[Change], joined: list[frozenset[int]]) -> Composition:
    """A composition in which no two changes are equal, for `apply` makes equal edits once.

    Different insertions at one offset become equal when a later pass changes one into the other.
    """
    result: list[Change] = []
    for _, group in groupby(enumerate(changes), key=lambda one: one[1].start if _inserts(one[1]) else -1 - one[0]):
        crowd = [change for _, change in group]
        if len({change.text for change in crowd}) < len(crowd):
            owners = _owners(crowd)
            crowd = [replace(crowd[0], text=b"".join(change.text for change in crowd), owners=owners)]
            joined = [*joined, owners]
        result += crowd
    return Composition(tuple(result), tuple(joined))


def _inserts(change: Change) -> bool:
    return change.start == change.end


def _owners(changes: Iterable[Change]) -> frozenset[int]:
    return frozenset().union(*(change.owners for change in changes))


def _group(number: int, joined: Sequence[frozenset[int]]) -> frozenset[int]:
    """All fixes that are joined with `number`, directly or through others."""
    group = frozenset({number})
    while True:
        wider = group.union(*(one for one in joined if not one.isdisjoint(group)))
        if wider == group:
            return group
        group = wider


# One finding through many programs

_DOUBT = list(Safety)


def merge(found: Iterable[Found]) -> tuple[list[Found], list[tuple[Found, str]]]:
    """One finding for each identity, in the order of the files, and those that cannot be one, each with the reason.

    The least safe one speaks for all, also where a program sees another reason for a finding at the same place (a
    header that is read differently). Programs that want different edits in one place cannot all be right.
    """
    merged: list[Found] = []
    differing: list[tuple[Found, str]] = []
    ordered = sorted(found, key=lambda one: (one.identity, one.program))
    for _, group in groupby(ordered, key=lambda one: one.identity[:4]):
        for same in _by_message(list(group)):
            lowest = max(same, key=lambda one: _DOUBT.index(one.fix.safety))
            other = next((one for one in same if set(one.fix.edits) != set(lowest.fix.edits)), None)
            if other is None or lowest.fix.safety is Safety.ADVICE:
                merged.append(lowest)
            elif other.program == lowest.program:
                differing.append((lowest, f"{lowest.through} gives two different fixes for it"))
            else:
                differing.append((lowest, f"{lowest.through} and {other.through} need different fixes for it"))
    return merged, differing


def _by_message(found: list[Found]) -> list[list[Found]]:
    """The findings of a transform at one place that are one: those of the same message, or, where no message is that
    of all programs that see something there, all of them."""
    by_message = [list(group) for _, group in groupby(found, key=lambda one: one.identity)]
    everyone = {one.program for one in found}
    agreed = any({one.program for one in same} == everyone for same in by_message)
    return by_message if agreed else [found]


def _same_place(one: Found, other: Found) -> bool:
    """Whether two findings are one that moved: their ranges, mapped back, differ where a neighbour was deleted."""
    if (one.transform, one.fix.at.path, one.fix.message) != (other.transform, other.fix.at.path, other.fix.message):
        return False
    a, b = one.fix.at, other.fix.at
    return (a.start, a.end) == (b.start, b.end) or (a.start < b.end and b.start < a.end)


# The fixpoint


def fixpoint(files: Mapping[Path, bytes], analyse: Analyse, accept: Accept, max_passes: int = 10) -> Outcome:
    """Make the accepted fixes, pass by pass, until none is left.

    `analyse(files, changed)` gets the whole content by now; `changed` are the files that differ from the last
    analysis that was kept (None: analyse all), and only programs that they affect need to be in the answer: the
    other programs' findings stand. `accept` is asked with the finding where it stood before the run.

    A fix that gives a program more clang errors is dropped. So is every fix of a transform that still finds something
    to fix in a file after `max_passes`: a run away is not written, the files are as if that transform had not fixed
    that file.
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
        self.found: dict[Path, list[Found]] = {}
        self.compositions: dict[Path, Composition] = {}
        self.applied: list[tuple[Found, int]] = []
        self.joined: list[frozenset[int]] = []
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
            if any(_same_place(seen, other) for other, _ in self.dropped):
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
            bad, reason = self._culprits(worse[0], taken, analysis.errors[worse[0]])
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
        self.found |= {program: [] for program in [*analysis.errors, *(found.program for found in analysis.found)]}
        for found in analysis.found:
            self.found[found.program].append(found)

    def _try(self, taken: Sequence[Found]) -> Analysis:
        files = apply_all(self.files, taken)
        return self.analyse(files, {path for path in files if files[path] != self.files[path]})

    def _worse(self, analysis: Analysis) -> list[Path]:
        return sorted(path for path, count in analysis.errors.items() if count > self.errors.get(path, count))

    def _culprits(self, program: Path, taken: list[Found], count: int) -> tuple[list[Found], str]:
        """Those of `taken` to leave out so that `program`, which now has `count` errors, has no more than before.

        One whose absence suffices, the last such; else all that do harm alone; else all that touch the program.
        """

        def harms(fixes: list[Found]) -> bool:
            return bool(fixes) and program in self._worse(self._try(fixes))

        reason = f"clang errors in {program.name}: {count} with it, {self.errors[program]} without"
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
        owners: dict[Path, dict[Edit, frozenset[int]]] = {}
        for found in taken:
            mine = frozenset({len(self.applied)})
            for edit in found.fix.edits:
                of_path = owners.setdefault(edit.path, {})
                of_path[edit] = of_path.get(edit, frozenset()) | mine
            self.joined.append(mine | self._owners_of_place(found))
            self.applied.append((self._seen(found), number))
        for path, edits in owners.items():
            self.compositions[path] = self._composition(path).then(edits)

    def _composition(self, path: Path) -> Composition:
        return self.compositions.get(path, Composition())

    def _owners_of_place(self, found: Found) -> frozenset[int]:
        at = found.fix.at
        return self._composition(at.path).owners(at.start, at.end)

    def _seen(self, found: Found) -> Found:
        """The finding where it stood before the run, its edits as they are."""
        at = found.fix.at
        if at.path not in self.compositions:
            return found
        start, end = self.compositions[at.path].original(at.start, at.end)
        return replace(found, fix=replace(found.fix, at=Span(at.path, start, end)))

    def _place(self, found: Found) -> Found:
        """The finding as it was in the first pass, or else with its place and edits in bytes from before the run.

        A later one that builds on fixes that were made has their edits too.
        """
        seen = self._seen(found)
        known = [one for one in self.first.get((found.transform, found.fix.at.path), []) if _same_place(one, seen)]
        if known:
            return next((one for one in known if one.identity == seen.identity), known[0])
        if not found.fix.edits:
            return seen
        number = len(self.applied)
        compositions = dict(self.compositions)
        for path, edits in edits_by_path([found]).items():
            compositions[path] = self._composition(path).then(dict.fromkeys(edits, frozenset({number})))
        joined = [*self.joined, self._owners_of_place(found) | {number}]
        group = _group(number, _all_joined(compositions, joined))
        return replace(seen, fix=replace(seen.fix, edits=_edits_of(group, _edits_by_owner(compositions))))

    def _drop(self, found: Found, reason: str) -> None:
        if not any(_same_place(self._seen(found), other) for other, _ in self.dropped):
            faulty = _fault(found.fix, self.files)
            self.dropped.append((self._seen(found) if faulty else self._place(found), reason))

    def _findings(self) -> Iterator[Applied]:
        """What was made, fixes that build on each other as one."""
        joined = _all_joined(self.compositions, self.joined)
        edits = _edits_by_owner(self.compositions)
        done: set[int] = set()
        for number, (found, pass_number) in enumerate(self.applied):
            if number in done:
                continue
            group = _group(number, joined)
            done |= group
            fixes = [self.applied[one][0].fix for one in sorted(group)]
            fix = replace(
                found.fix,
                message="; ".join(dict.fromkeys(fix.message for fix in fixes)),
                safety=max((fix.safety for fix in fixes), key=_DOUBT.index),
                reason="; ".join(dict.fromkeys(fix.reason for fix in fixes if fix.reason)),
                edits=_edits_of(group, edits),
            )
            yield Applied(found.transform, fix, found.program, pass_number)


def _all_joined(compositions: Mapping[Path, Composition], joined: list[frozenset[int]]) -> list[frozenset[int]]:
    """`joined`, what the compositions joined, and fixes whose insertions at one offset would else change their order.

    Several insertions at one offset stand in the order of their fixes; a group stands where its first fix stood.
    """
    joined = [one for one in joined if len(one) > 1]
    crowds: list[frozenset[int]] = []
    for composition in compositions.values():
        joined += (one for one in composition.joined if len(one) > 1)
        inserted = filter(_inserts, composition.changes)
        for _, crowd in groupby(inserted, key=lambda change: change.start):
            crowds.append(_owners(crowd))
    while moved := [one for one in crowds if any(not one.isdisjoint(other) for other in joined)]:
        joined += moved
        crowds = [one for one in crowds if one not in moved]
    return joined


def _edits_by_owner(compositions: Mapping[Path, Composition]) -> dict[int, list[tuple[int, Edit]]]:
    """The edits of each fix, each with its place among all edits."""
    changes = ((path, change) for path in sorted(compositions) for change in compositions[path].changes)
    edits: dict[int, list[tuple[int, Edit]]] = {}
    for place, (path, change) in enumerate(changes):
        for owner in change.owners:
            edits.setdefault(owner, []).append((place, Edit(path, change.start, change.end, change.text)))
    return edits


def _edits_of(group: frozenset[int], edits: Mapping[int, list[tuple[int, Edit]]]) -> list[Edit]:
    return [edit for _, edit in sorted({one for owner in group for one in edits.get(owner, [])})]


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
