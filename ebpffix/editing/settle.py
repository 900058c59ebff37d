"""One way to say no: an edit that cannot be made raises NoEdit, and `settle` turns that into advice.

raise NoEdit("a comment in it would be lost")
yield settle(node, "`x` is not needed", lambda: Made([delete_statement(unit, statement)]))
made = first_of(self.split, self.hoisted)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ebpffix.fix import Edit, Fix, Safety, Spanned

T = TypeVar("T")


class NoEdit(Exception):
    """Why an edit cannot be made without harm; the text is the reason of an advice, so a person reads it."""


@dataclass(frozen=True)
class Made:
    """Edits that can be made. `how` goes on with the message, `doubt` says why they are only suggested."""

    edits: list[Edit]
    how: str = ""
    doubt: str = ""


def settle(at: Spanned, what: str, make: Callable[[], Made], by_hand: str = "", *, origin: Sequence[str] = ()) -> Fix:
    """The finding `what` with the edits that `make` makes: safe, or suggested where there is a doubt.

    Where they cannot be made it is advice: `by_hand` goes on with the message, and NoEdit's text is the reason.
    `origin` is that of the Fix.
    """
    try:
        made = make()
    except NoEdit as reason:
        return Fix(at, what + by_hand, Safety.ADVICE, reason=str(reason), origin=list(origin))
    safety = Safety.SUGGESTED if made.doubt else Safety.SAFE
    return Fix(at, what + made.how, safety, made.edits, made.doubt, list(origin))


def first_of(*ways: Callable[[], T]) -> T:
    """What the first way that works makes. NoEdit, with what the last one says, where none does."""
    said = NoEdit("there is no way to do it")
    for way in ways:
        try:
            return way()
        except NoEdit as reason:
            said = reason
    raise said
