"""A line of text with its colours, before anybody knows whether a terminal or a pipe gets it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """`pieces` are (text, style in rich's words, "" for none); what a stranger wrote went through `visible` before.

    `hang` is the column at which the line goes on where a terminal is too narrow for it; None for what is cut there,
    as code is.
    """

    pieces: tuple[tuple[str, str], ...]
    hang: int | None = 2

    def __str__(self) -> str:
        return "".join(text for text, _ in self.pieces)

    def with_end(self, text: str, style: str = "") -> Line:
        return Line((*self.pieces, (text, style)), self.hang)
