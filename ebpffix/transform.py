"""The contract between the engine and the transforms: Transform, Fix, Edit, Safety, and the registry.

A transform is a module with two names: `TRANSFORM`, the facts, and `find(unit)`, a generator of fixes. Its docstring is
its page, which `ebpffix --explain` prints. Transforms are found through the entry point group `ebpffix.transforms`.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ebpffix.frontend import Unit

BCC = "bcc"
LIBBPF = "libbpf"


class Safety(enum.StrEnum):
    """How sure a fix is; the words are those of every report."""

    SAFE = "safe"  # whatever the old program was right about stays
    SUGGESTED = "suggested"  # right in nearly every program; the reason says when it is not
    ADVICE = "advice"  # no edit; the message says what to do


@dataclass(frozen=True, order=True)
class Edit:
    """Replace bytes `start` to `end` (0-based, end exclusive) of the file `path` by `text`; start == end inserts."""

    path: Path
    start: int
    end: int
    text: bytes


class Spanned(Protocol):
    """What a finding can point at: a Node, a Macro, or a `Span`."""

    @property
    def path(self) -> Path: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


@dataclass(frozen=True)
class Span:
    """A byte range of a file, 0-based, end exclusive."""

    path: Path
    start: int
    end: int


@dataclass(frozen=True)
class Fix:
    """One finding, with its edits if it has any.

    `at` is what the finding points at. `edits` may touch several places and files; they are made together or not at
    all. `reason` says why a fix is only suggested or only advice, and is required then.
    """

    at: Spanned
    message: str
    safety: Safety
    edits: list[Edit] = field(default_factory=list)
    reason: str = ""

    def __post_init__(self) -> None:
        if self.safety is not Safety.SAFE and not self.reason:
            raise ValueError(f"a fix that is {self.safety} needs a reason: {self.message}")
        if (self.safety is Safety.ADVICE) == bool(self.edits):
            raise ValueError(f"{self.safety} with {len(self.edits)} edits: {self.message}")


@dataclass(frozen=True)
class Transform:
    """The facts of one transform.

    `pattern` is the lesson's number; `triggers` are regexes over the bytes of a file with comments and literals
    blanked: a file in which none matches is not parsed for this transform. Best they begin with letters:
    a `\\b` in front makes the search several times slower. `kernel` says which kernels the form before the change
    concerns. `neighbours` are the endings of files next to the program that the transform reads
    (`Unit.neighbours`): a result is kept only as long as these stay the same.
    """

    name: str
    pattern: int
    dialects: tuple[str, ...]
    triggers: tuple[bytes, ...]
    summary: str
    kernel: str = ""
    neighbours: tuple[str, ...] = ()

    @cached_property
    def trigger(self) -> re.Pattern[bytes]:
        return re.compile(b"|".join(b"(?:%s)" % t for t in self.triggers), re.MULTILINE)


Finder = Callable[["Unit"], Iterator[Fix]]


@dataclass(frozen=True)
class Registered:
    """A transform that was found, with its generator and its page."""

    facts: Transform
    find: Finder
    page: str


def load_transforms() -> dict[str, Registered]:
    """All installed transforms by name, in the order of their pattern.

    Raises ValueError, naming the distribution's entry point, for a module that does not keep the contract.
    """
    from importlib.metadata import entry_points

    found: list[Registered] = []
    for point in entry_points(group="ebpffix.transforms"):
        module = point.load()
        facts, find = getattr(module, "TRANSFORM", None), getattr(module, "find", None)
        if not isinstance(facts, Transform) or not callable(find):
            raise ValueError(f"entry point {point.name} ({point.value}) has no TRANSFORM and find()")
        found.append(Registered(facts, find, (module.__doc__ or "").strip()))
    found.sort(key=lambda r: (r.facts.pattern, r.facts.name))
    return {r.facts.name: r for r in found}
