"""Which fixes can be made together, and which wait.

The edits of a fix are made all or none. Equal edits of several fixes (a header that two programs fix, an include that
two fixes add) are made once. Different insertions at one offset are all made, in the order of their fixes. Any other
two edits of *different* fixes that overlap or touch exclude each other: the fix that stands first wins and the other
waits for the next pass, where it is found afresh. Touching counts, because each edit was made for the old neighbour: a
prefix put before a name that another fix replaces glues to the wrong name. Inside one fix touching is meant: an
insertion at the start of a replacement goes before its text, one at its end after it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from pathlib import Path

from ebpffix.fix import Edit, Fix
from ebpffix.rewriting.found import Found


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
            insort(made.setdefault(edit.path, []), (edit, found.fix), key=lambda one: (one[0].start, one[0].end))
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
