"""A refused load in plain words: where, what the verifier could not prove, and what cures it."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import count
from typing import BinaryIO

from ebpffix.repair.registry import load_strategies
from ebpffix.report.text import name
from ebpffix.shown import visible
from ebpffix.sources.source import Source
from ebpffix.transform import Transform, load_transforms
from ebpffix.verify.cause import Cause, cause
from ebpffix.verify.explain import cured_by
from ebpffix.verify.lineinfo import line_of
from ebpffix.verify.logs import Rejection, SourceLine, locate, read
from ebpffix.verify.objects import programs
from ebpffix.verify.trace import parse

_WIDTH = 100


class NoLog(ValueError):
    """What was given is no verifier log."""


def explain(log: BinaryIO, sources: Sequence[Source], objects: Sequence[bytes], say: Callable[[str], object]) -> int:
    """Say every refused load that a log tells of, as soon as it is read; 0 if it tells of none, else 1.

    Lines of source are shown of `sources` alone: a log and an object can name any file. `objects` are compiled
    programs, whose line tables say what a log without source lines does not. NoLog where there is nothing of
    a verifier in it.
    """
    named = [(data, [name for name, _ in programs(data)]) for data in objects]
    logs = count()
    found = False
    for rejection in read(log, lambda: next(logs)):
        known = located(rejection, named, sources)
        say("\n" * found + "\n".join(map(visible, lines(known, sources))))
        if objects and known.instruction and not (known.source and known.source.line):
            say("  no line for this instruction in the objects given: are they of another build?")
        found = True
    if not found:
        if not next(logs):
            raise NoLog("no verifier log in it")
        say("No refused load in this log.")
    return int(found)


def located(
    rejection: Rejection, objects: Sequence[tuple[bytes, Sequence[str]]], sources: Sequence[Source]
) -> Rejection:
    """With the source line out of the first object that has the program, unless the log names file and line. Objects
    come with the names of their programs."""
    said, instruction = rejection.source, rejection.instruction
    if instruction is None or (said and said.line):
        return rejection
    for data, names in objects:
        program = rejection.program or (names[0] if len(names) == 1 else "")
        try:
            line = line_of(data, program, instruction.number)
        except ValueError:  # broken where nobody looked yet
            continue
        if line and (said is None or said.text in (line.text, "")):
            return replace(rejection, source=line if line.text else replace(line, text=_text_of(line, sources)))
    return rejection


def _text_of(line: SourceLine, sources: Sequence[Source]) -> str:
    """The line as it stands in one of the sources, "" where there is none."""
    path = os.path.realpath(line.file)
    source = next((source for source in sources if str(source.path) == path), None)
    if source is None:
        return ""
    try:
        start = source.offset(line.line)
    except IndexError:
        return ""
    return source.data[start : source.line_end(start)].decode("utf-8", "replace").strip()


def lines(rejection: Rejection, sources: Sequence[Source]) -> Iterator[str]:
    """One rejection as a compiler would print an error: place, message, source line with a caret, explanation."""
    found = cause(rejection.message, parse(rejection.path))
    if found and found.explanation:
        rejection = replace(rejection, class_=found.explanation.key, explanation=found.explanation.text)
    places = locate(rejection, sources)
    place = places[0] if places else rejection.source
    program = f"{rejection.program}: " if rejection.program else ""
    yield f"{_where(place)}{program}refused: {rejection.message} [{rejection.class_}]"
    if place and place.text:
        yield from _marked(place.text)
    if rejection.instruction:
        yield f"  instruction {rejection.instruction.number}: {rejection.instruction.text}"
    if rejection.registers:
        yield f"  {rejection.registers}"
    if found:
        yield from _lost(found, rejection, sources)
    for paragraph in (rejection.explanation, rejection.suggestion and f"The kernel suggests: {rejection.suggestion}"):
        if paragraph:
            yield from textwrap.wrap(paragraph, _WIDTH, initial_indent="  ", subsequent_indent="  ")
    if cure := cured_by(rejection.class_, rejection.context, _facts()):
        yield f"  ebpffix --select {cure} looks for this; see ebpffix --explain {cure}"
    if strategy := _strategy(rejection.message):
        yield f"  ebpffix --repair --diff tries to mend this; see ebpffix --explain {strategy}"
    if len(places) > 1:
        yield f"  the same line stands in {len(places) - 1} more places: {', '.join(map(_at, places[1:4]))}"


def _lost(found: Cause, rejection: Rejection, sources: Sequence[Source]) -> Iterator[str]:
    """Where the proof was lost, if that is another line than the refused one."""
    places = locate(replace(rejection, source=found.source), sources)
    place = places[0] if places else found.source
    yield f"  {_where(place)}{found.words}:"
    if place.text:
        yield f"    {place.text.strip()}"


def _strategy(message: str) -> str:
    """The strategy of `--repair` that knows this message; "" for none. That of the lessons is told by its transform."""
    names = (name for name, known in load_strategies().items() if name != "lesson" and known.is_about(message))
    return next(names, "")


@cache
def _facts() -> list[Transform]:
    return [known.facts for known in load_transforms().values()]


def _where(place: SourceLine | None) -> str:
    return f"{_at(place)}: " if place and place.file and place.line else ""


def _at(place: SourceLine) -> str:
    from pathlib import Path

    return f"{name(Path(place.file))}:{place.line}"


def _marked(text: str) -> Iterator[str]:
    """The source line, and under it a mark from its first to its last visible character."""
    bare = visible(" ".join(text.split()))
    yield f"    {bare}"
    yield f"    ^{'~' * (len(bare) - 1)}"
