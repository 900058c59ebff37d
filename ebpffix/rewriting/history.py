"""What the passes so far did to all files, and which fixes cannot be told apart any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from ebpffix.fix import Edit, Fix, Span, Spanned
from ebpffix.rewriting.offsets import Composition, inserts, owners_of


class History:
    """The fixes that were made, known by their numbers from 0 on, as changes of the files before the run."""

    def __init__(self) -> None:
        self._compositions: dict[Path, Composition] = {}
        self._joined: list[frozenset[int]] = []
        self._count = 0

    def made(self, fixes: Sequence[Fix]) -> None:
        """Note one more pass: `fixes`, whose places and edits count bytes of the files as they were before it."""
        owners: dict[Path, dict[Edit, frozenset[int]]] = {}
        for number, fix in enumerate(fixes, self._count):
            mine = frozenset({number})
            for edit in fix.edits:
                of_path = owners.setdefault(edit.path, {})
                of_path[edit] = of_path.get(edit, frozenset()) | mine
            self._joined.append(mine | self._of(fix.at.path).owners(fix.at.start, fix.at.end))
        self._count += len(fixes)
        for path, edits in owners.items():
            self._compositions[path] = self._of(path).then(edits)

    def original(self, at: Spanned) -> Spanned:
        """A place in the files as they are by now, in bytes from before the run."""
        if at.path not in self._compositions:
            return at
        return Span(at.path, *self._compositions[at.path].original(at.start, at.end))

    def groups(self) -> Iterator[tuple[list[int], list[Edit]]]:
        """The numbers of fixes that build on each other, and their edits, in bytes from before the run."""
        joined, edits = self._all_joined(), self._edits_by_owner()
        done: set[int] = set()
        for number in range(self._count):
            if number not in done:
                group = _group(number, joined)
                done |= group
                yield sorted(group), _edits_of(group, edits)

    def edits_with(self, fix: Fix) -> list[Edit]:
        """The edits of a fix that was not made, and of those that it builds on, in bytes from before the run."""
        more = History()
        more._compositions, more._joined, more._count = dict(self._compositions), [*self._joined], self._count
        more.made([fix])
        return _edits_of(_group(self._count, more._all_joined()), more._edits_by_owner())

    def _of(self, path: Path) -> Composition:
        return self._compositions.get(path, Composition())

    def _all_joined(self) -> list[frozenset[int]]:
        """Fixes that are joined, also those whose insertions at one offset would else change their order.

        Several insertions at one offset stand in the order of their fixes; a group stands where its first fix stood.
        """
        joined = [one for one in self._joined if len(one) > 1]
        crowds: list[frozenset[int]] = []
        for composition in self._compositions.values():
            joined += (one for one in composition.joined if len(one) > 1)
            inserted = filter(inserts, composition.changes)
            for _, crowd in groupby(inserted, key=lambda change: change.start):
                crowds.append(owners_of(crowd))
        while moved := [one for one in crowds if any(not one.isdisjoint(other) for other in joined)]:
            joined += moved
            crowds = [one for one in crowds if one not in moved]
        return joined

    def _edits_by_owner(self) -> dict[int, list[tuple[int, Edit]]]:
        """The edits of each fix, each with its place among all edits."""
        edits: dict[int, list[tuple[int, Edit]]] = {}
        for place, (edit, owners) in enumerate(self._edits()):
            for owner in owners:
                edits.setdefault(owner, []).append((place, edit))
        return edits

    def _edits(self) -> Iterable[tuple[Edit, frozenset[int]]]:
        for path in sorted(self._compositions):
            for change in self._compositions[path].changes:
                yield Edit(path, change.start, change.end, change.text), change.owners


def _group(number: int, joined: Sequence[frozenset[int]]) -> frozenset[int]:
    """All fixes that are joined with `number`, directly or through others."""
    group = frozenset({number})
    while True:
        wider = group.union(*(one for one in joined if not one.isdisjoint(group)))
        if wider == group:
            return group
        group = wider


def _edits_of(group: frozenset[int], edits: Mapping[int, list[tuple[int, Edit]]]) -> list[Edit]:
    return [edit for _, edit in sorted({one for owner in group for one in edits.get(owner, [])})]
