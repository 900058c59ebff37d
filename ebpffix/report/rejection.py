"""A refused load in plain words: where, what the verifier could not prove, and what cures it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from ebpffix.report.text import name
from ebpffix.source import Source
from ebpffix.verify.logs import Rejection, SourceLine, locate, read

_WIDTH = 100


def explain(log: BinaryIO, sources: Sequence[Source]) -> int:
    """Print every refused load that a log tells of; 0 if it tells of none, else 1."""
    found = False
    for rejection in read(log):
        print("\n" * found + "\n".join(lines(rejection, sources)))
        found = True
    if not found:
        print("No refused load in this log.")
    return int(found)


def lines(rejection: Rejection, sources: Sequence[Source]) -> Iterator[str]:
    """One rejection as a compiler would print an error: place, message, source line with a caret, explanation."""
    places = locate(rejection, sources)
    place = places[0] if places else rejection.source
    program = f"{rejection.program}: " if rejection.program else ""
    yield f"{_where(place)}{program}refused: {rejection.message} [{rejection.class_}]"
    if place:
        yield from _marked(place.text)
    if rejection.instruction:
        yield f"  instruction {rejection.instruction.number}: {rejection.instruction.text}"
    if rejection.registers:
        yield f"  {rejection.registers}"
    for paragraph in (rejection.explanation, rejection.suggestion and f"The kernel suggests: {rejection.suggestion}"):
        if paragraph:
            yield from textwrap.wrap(paragraph, _WIDTH, initial_indent="  ", subsequent_indent="  ")
    if rejection.transform:
        yield f"  ebpffix --select {rejection.transform} looks for this; see ebpffix --explain {rejection.transform}"
    if len(places) > 1:
        yield f"  the same line stands in {len(places) - 1} more places: {', '.join(map(_at, places[1:4]))}"


def _where(place: SourceLine | None) -> str:
    return f"{_at(place)}: " if place and place.file and place.line else ""


def _at(place: SourceLine) -> str:
    from pathlib import Path

    return f"{name(Path(place.file))}:{place.line}"


def _marked(text: str) -> Iterator[str]:
    """The source line, and under it a mark from its first to its last visible character."""
    bare = text.strip()
    yield f"    {bare}"
    yield f"    ^{'~' * (len(bare) - 1)}"
