"""The contract between the engine and the transforms: Transform, Trigger, Cure, and the registry.

A transform is a module with two names: `TRANSFORM`, the facts, and `find(unit)`, a generator of fixes. Its docstring is
its page, which `ebpffix --explain` prints. Transforms are found through the entry point group `ebpffix.transforms`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from ebpffix.fix import Fix
    from ebpffix.frontend import Unit


DEFAULT = "default"  # the group of what runs unless something is selected
ALL = "all"


@dataclass(frozen=True)
class Cure:
    """What a transform does about refused loads: `refusal` is a class of `verify.explain`.

    With a `pattern` only those whose context it finds: four lines, "@" and the loader ("libbpf", "bcc", …), the
    instruction, the source line, and the verifier's message, each empty where the log does not tell. One with a pattern
    speaks before one without.
    """

    refusal: str
    pattern: str = ""


@dataclass(frozen=True)
class Transform:
    """The facts of one transform.

    `pattern` is the number of the lesson (0: none). `triggers` are regexes over the bytes of a file with comments and
    literals blanked: a file in which none matches is not parsed for this transform. Best they begin with letters:
    a `\\b` in front makes the search several times slower. `kernel` says which kernels the form before the change
    concerns. `neighbours` are the endings of files next to the program that the transform reads
    (`Unit.neighbours`): a result is kept only as long as these stay the same. `user_space` says that it asks what the
    project does beside the program (`Unit.user_space`), as all do that follow pointers. `from_errors` says that what it
    finds is an error to clang: for other transforms an error anywhere in the program makes their fixes doubtful.
    `structs` gives names too many for a regex: `struct NAME` with one of them is a trigger too. `cures` are the
    refused loads that it is about.

    `group` is what it may be selected by together with others. Those of another group than `DEFAULT` look for nothing
    unless they are selected.

    `imperative` is what a commit with its fixes does, as its subject says it ("" for a transform that only advises).

    `shape`, `safe`, `suggested` and `advice` are its row in the table of the README, in Markdown: the pattern, and when
    a fix is how sure ("" for never).
    """

    name: str
    pattern: int
    dialects: tuple[str, ...]
    triggers: tuple[bytes, ...]
    summary: str
    group: str = DEFAULT
    imperative: str = ""
    kernel: str = ""
    neighbours: tuple[str, ...] = ()
    user_space: bool = False
    from_errors: bool = False
    structs: Callable[[], Set[bytes]] | None = None
    cures: tuple[Cure, ...] = ()
    shape: str = ""
    safe: str = ""
    suggested: str = ""
    advice: str = ""

    def cures_of(self, refusal: str) -> list[Cure]:
        """The cures that are about one class of `verify.explain`."""
        return [cure for cure in self.cures if cure.refusal == refusal]

    @cached_property
    def trigger(self) -> Trigger:
        return Trigger(self.triggers, self.structs)


class Trigger:
    """Where a file has something that a transform looks for."""

    def __init__(self, triggers: tuple[bytes, ...], structs: Callable[[], Set[bytes]] | None) -> None:
        self._pattern = re.compile(b"|".join(b"(?:%s)" % t for t in triggers), re.MULTILINE)
        self._structs = structs

    def search(self, code: bytes) -> re.Match[bytes] | None:
        """The first match, None without one."""
        return self._pattern.search(code) or next(self._mentions(code, 0, len(code)), None)

    def finditer(self, code: bytes, start: int, end: int) -> Iterator[re.Match[bytes]]:
        """All matches in a part of the code; those of structs after the others."""
        yield from self._pattern.finditer(code, start, end)
        yield from self._mentions(code, start, end)

    def _mentions(self, code: bytes, start: int, end: int) -> Iterator[re.Match[bytes]]:
        names = self._structs() if self._structs else frozenset()
        if not names.isdisjoint(_STRUCT.findall(code, start, end)):
            yield from (m for m in _STRUCT.finditer(code, start, end) if m[1] in names)


_STRUCT = re.compile(rb"struct(?<!\wstruct)\s+(\w+)")


BUILT_IN = "ebpffix"  # the distribution whose transforms nobody replaces

Finder = Callable[["Unit"], Iterator["Fix"]]


@dataclass(frozen=True)
class Registered:
    """A transform that was found, with its generator, its page, and the distribution that brought it."""

    facts: Transform
    find: Finder
    page: str
    distribution: str = BUILT_IN


def load_transforms() -> dict[str, Registered]:
    """All installed transforms by name, those of the default group first, in the order of their pattern.

    An entry point names one module, or a package of which each module and each sub-package is a transform. Raises
    ValueError, naming the distribution and its entry point, for a module that does not keep the contract, and for a
    name that is taken, be it by a group.
    """
    from importlib.metadata import entry_points

    found: list[Registered] = []
    points = entry_points(group="ebpffix.transforms")
    for point in sorted(points, key=lambda point: (_distribution(point) != BUILT_IN, _distribution(point))):
        origin = _distribution(point)
        for module in walked(point.load(), "TRANSFORM"):
            facts, find = getattr(module, "TRANSFORM", None), getattr(module, "find", None)
            if not isinstance(facts, Transform) or not callable(find):
                raise ValueError(f"{origin}: entry point {point.name} ({module.__name__}) has no TRANSFORM and find()")
            if taken := next((known for known in found if known.facts.name == facts.name), None):
                raise ValueError(
                    f"{origin}: {module.__name__} calls itself {facts.name}, as one of {taken.distribution}"
                )
            found.append(Registered(facts, find, (module.__doc__ or "").strip(), origin))
    groups = {ALL, *(known.facts.group for known in found)}
    if both := next((known for known in found if known.facts.name in groups), None):
        raise ValueError(f"{both.distribution}: a transform is called as a group of them, {both.facts.name}")
    found.sort(key=lambda r: (r.facts.group != DEFAULT, r.facts.group, r.facts.pattern, r.facts.name))
    return {r.facts.name: r for r in found}


def selectable(known: Mapping[str, Registered]) -> dict[str, tuple[str, ...]]:
    """What can be selected and ignored, and the transforms that it means: each by its name, each group, and all."""
    groups: dict[str, list[str]] = {}
    for name, one in known.items():
        groups.setdefault(one.facts.group, []).append(name)
    return {**{name: (name,) for name in known}, **{g: tuple(names) for g, names in groups.items()}, ALL: tuple(known)}


def _distribution(point: EntryPoint) -> str:
    """The name of the distribution that has an entry point, as an index spells it."""
    return re.sub(r"[-_.]+", "-", point.dist.name).lower() if point.dist else "an unknown package"


def walked(module: ModuleType, facts: str) -> Iterator[ModuleType]:
    """The module itself where it has the name `facts`, else the modules of the package that it is."""
    from importlib import import_module
    from pkgutil import iter_modules

    if hasattr(module, facts) or not hasattr(module, "__path__"):
        yield module
        return
    for inner in iter_modules(module.__path__, module.__name__ + "."):
        yield import_module(inner.name)
