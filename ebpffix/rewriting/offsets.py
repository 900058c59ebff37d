"""Offsets of one file through several passes: what became of which bytes, and who did it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from ebpffix.fix import Edit, apply


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
        new = sorted(edits, key=lambda edit: (edit.start, edit.end))
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
    if edit.start == edit.end and inserts(change):
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
    owners = owners_of(change for _, _, change in old).union(*edits.values())
    return Change(
        old[0][2].start - (old[0][0] - low), old[-1][2].end + (high - old[-1][1]), apply(bytes(text), moved), owners
    )


def _distinct(changes: list[Change], joined: list[frozenset[int]]) -> Composition:
    """A composition in which no two changes are equal, for `apply` makes equal edits once.

    Different insertions at one offset become equal when a later pass changes one into the other.
    """
    result: list[Change] = []
    for _, group in groupby(enumerate(changes), key=lambda one: one[1].start if inserts(one[1]) else -1 - one[0]):
        crowd = [change for _, change in group]
        if len({change.text for change in crowd}) < len(crowd):
            owners = owners_of(crowd)
            crowd = [replace(crowd[0], text=b"".join(change.text for change in crowd), owners=owners)]
            joined = [*joined, owners]
        result += crowd
    return Composition(tuple(result), tuple(joined))


def inserts(change: Change) -> bool:
    return change.start == change.end


def owners_of(changes: Iterable[Change]) -> frozenset[int]:
    return frozenset().union(*(change.owners for change in changes))
