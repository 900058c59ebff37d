"""One finding through many programs: a header's finding is seen by each program that includes it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from ebpffix.fix import Safety
from ebpffix.rewriting.found import Found

_DOUBT = list(Safety)


def least_safe(safeties: Iterable[Safety]) -> Safety:
    return max(safeties, key=_DOUBT.index)


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


def same_place(one: Found, other: Found) -> bool:
    """Whether two findings are one that moved: their ranges, mapped back, differ where a neighbour was deleted."""
    if (one.transform, one.fix.at.path, one.fix.message) != (other.transform, other.fix.at.path, other.fix.message):
        return False
    a, b = one.fix.at, other.fix.at
    return (a.start, a.end) == (b.start, b.end) or (a.start < b.end and b.start < a.end)
