"""What the compiler and the verifier make of each fix: programs before and after, and a verdict.

The logic alone: what compiles and loads is behind `Target`, and the caller builds the files with some of its fixes.
A fix answers for the programs whose code it changes, judged with all the fixes made that are kept.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from operator import methodcaller
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar

from ebpffix.verify.compile import CompileError
from ebpffix.verify.load import ProgramResult, kernel_release
from ebpffix.verify.load import Verdict as Loaded
from ebpffix.verify.map_faults import Map, described
from ebpffix.verify.objects import VARIABLE
from ebpffix.verify.process import end_all
from ebpffix.verify.stated_maps import as_made

Verdict = Literal["fixed", "same-object", "still-accepted", "still-rejected", "worse", "untried"]
F = TypeVar("F")
Key = tuple[str, str]  # a program's name, and the kernel that it was loaded in


@dataclass(frozen=True)
class Compiled:
    """One program file, compiled. `parts` are equal for two texts that are the same to the kernel; what belongs to one
    program alone is under "program NAME". `inputs` are the real paths of the files that went in, `maps` those that
    are defined in the form that libbpf 1.0 refuses, `new_maps` the others. `object` is the file that came out, where
    there is one."""

    parts: Mapping[str, object]
    inputs: frozenset[Path]
    load: Callable[[], Sequence[ProgramResult]]
    maps: Mapping[str, Map] = field(default_factory=dict)
    new_maps: Mapping[str, Map] = field(default_factory=dict)
    object: bytes = b""


class Target(Protocol):
    """One program file, and the way to compile and load it."""

    @property
    def path(self) -> Path: ...
    @property
    def compiler(self) -> str: ...
    @property
    def kernel(self) -> str:
        """The releases of the kernels that load it, in one line."""
        ...

    def compile(self, overlay: Mapping[Path, bytes]) -> Compiled | CompileError: ...


@dataclass(frozen=True)
class ProgramProof:
    """One program before and after, in the words of the JSON report. "rejected" before is also what did not compile;
    `log` is of the load after, or of the one before if that was refused and this was not; `kernel` is the release of
    another kernel than the one that runs, which is ""."""

    name: str
    before: Loaded
    after: Loaded
    insns_before: int | None
    insns_after: int | None
    log: str
    reason: str = ""
    kernel: str = ""


@dataclass(frozen=True)
class MapProof:
    """One map that a fix defines anew, in words: as the kernel made it before (or, in the old form, as it was to be
    made) and as it made it after."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Proof:
    """What was found of one fix; a fix that is "worse" is to be dropped. `reason` says why it is untried, or worse."""

    verdict: Verdict
    kernel: str
    compiler: str
    programs: tuple[ProgramProof, ...] = ()
    reason: str = ""
    maps: tuple[MapProof, ...] = ()


SPENT = "the CPU time for proofs was used up"


class _Spent(Exception):
    """Nothing more may be compiled or loaded."""


def prove(
    fixes: Sequence[F],
    targets: Sequence[Target],
    build: Callable[[Sequence[F]], Mapping[Path, bytes]],
    paths: Callable[[F], Collection[Path]],
    spent: Callable[[], bool] = lambda: False,
) -> list[Proof]:
    """A proof for each fix, in order.

    `build` gives the contents of the files with some of the fixes made (with none: as they are), `paths` the files
    that a fix edits, as real paths; both are called from several threads, one a target. What is compiled and loaded
    for the same fixes is compiled and loaded once. As soon as `spent` is true nothing is compiled or loaded any more:
    what is not known by then is untried, for the reason `SPENT`.
    """
    trials = [_Trials(t, fixes, build, paths, spent) for t in targets]
    kept = frozenset(range(len(fixes)))
    worse: dict[int, Proof] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            while found := _first(pool.map(methodcaller("culprits", kept), trials)):
                worse |= found
                kept -= found.keys()
            shares = list(pool.map(methodcaller("shares", kept), trials))
        except (KeyboardInterrupt, SystemExit):
            end_all()  # else the threads would wait for what they started
            raise
    otherwise = SPENT if spent() else "no program that was checked includes it"
    return [worse.get(n) or _verdict([s[n] for s in shares if n in s], otherwise) for n in range(len(fixes))]


def _first(found: Iterable[dict[int, Proof]]) -> dict[int, Proof]:
    return {n: proof for each in reversed(list(found)) for n, proof in each.items()}


@dataclass(frozen=True)
class _Share:
    """What one target says of one fix: the programs that it changes; none if it changes nothing, or for a reason."""

    target: Target
    programs: tuple[ProgramProof, ...] = ()
    reason: str = ""
    maps: tuple[MapProof, ...] = ()


@dataclass
class _Trials(Generic[F]):
    """One target under several sets of fixes, which are known by their numbers."""

    target: Target
    fixes: Sequence[F]
    build: Callable[[Sequence[F]], Mapping[Path, bytes]]
    paths: Callable[[F], Collection[Path]]
    spent: Callable[[], bool]
    _compiled: dict[frozenset[int], Compiled | CompileError] = field(default_factory=dict)
    _loaded: dict[frozenset[int], dict[Key, ProgramResult]] = field(default_factory=dict)

    def mine(self, kept: Collection[int]) -> frozenset[int]:
        """The fixes in files that go into this target. Of one that does not compile only its own file is known."""
        if not kept:
            return frozenset()
        before = self.compiled(frozenset())
        files = before.inputs if isinstance(before, Compiled) else {self.target.path}
        return frozenset(n for n in kept if not files.isdisjoint(self.paths(self.fixes[n])))

    def compiled(self, chosen: frozenset[int]) -> Compiled | CompileError:
        if chosen not in self._compiled:
            self._go_on()
            overlay = self.build([self.fixes[n] for n in sorted(chosen)])
            self._compiled[chosen] = self.target.compile(overlay)
        return self._compiled[chosen]

    def loaded(self, chosen: frozenset[int]) -> dict[Key, ProgramResult]:
        """Empty for what does not compile."""
        if chosen not in self._loaded:
            made = self.compiled(chosen)
            self._go_on()
            self._loaded[chosen] = {(r.name, r.kernel): r for r in made.load()} if isinstance(made, Compiled) else {}
        return self._loaded[chosen]

    def _go_on(self) -> None:
        if self.spent():
            raise _Spent

    def culprits(self, kept: Collection[int]) -> dict[int, Proof]:
        """The fixes that make a program worse, as far as there is time to find them."""
        found: dict[int, Proof] = {}
        with contextlib.suppress(_Spent):
            self._find(kept, found)
        return found

    def _find(self, kept: Collection[int], found: dict[int, Proof]) -> None:
        """The culprits, found by making the fixes one after the other."""
        mine = self.mine(kept)
        if not mine or not self._worse(mine):
            return
        good: frozenset[int] = frozenset()
        for number in sorted(mine):
            reason = self._worse(good | {number})
            if reason:
                chosen = good | {number}
                proofs = tuple(self.proof(p, chosen) for p in self.touched(frozenset(), chosen))
                found[number] = Proof("worse", self.target.kernel, self.target.compiler, proofs, reason)
            else:
                good |= {number}

    def shares(self, kept: Collection[int]) -> dict[int, _Share]:
        """What this target says of each fix that goes into it, with all that are kept made."""
        try:
            return self._shares(kept)
        except _Spent:
            mine = self.mine(kept) if frozenset() in self._compiled else kept
            return dict.fromkeys(mine, _Share(self.target, reason=SPENT))

    def _shares(self, kept: Collection[int]) -> dict[int, _Share]:
        mine = self.mine(kept)
        if not mine:
            return {}
        before, after = self.compiled(frozenset()), self.compiled(mine)
        if isinstance(after, CompileError):
            return dict.fromkeys(mine, _Share(self.target, reason=f"does not compile: {after.lines[0]}"))
        if isinstance(before, Compiled) and before.parts == after.parts:
            return dict.fromkeys(mine, _Share(self.target))
        if not self.loaded(mine):
            return dict.fromkeys(mine, _Share(self.target, reason="no program in it"))
        return {n: self._share(n, mine) for n in mine}

    def _share(self, number: int, mine: frozenset[int]) -> _Share:
        rest = mine - {number}
        uncompiled = isinstance(self.compiled(frozenset()), CompileError)
        if not uncompiled or not rest or isinstance(self.compiled(rest), CompileError):
            proofs = tuple(self.proof(p, mine) for p in self._changed(number, mine))
        else:
            # Others make it compile: this one is judged by what it changes on top of them.
            proofs = tuple(self.proof(p, mine, rest) for p in self.touched(rest, mine))
        return _Share(self.target, proofs, maps=tuple(self._map_proofs(number, mine)))

    def _map_proofs(self, number: int, mine: frozenset[int]) -> Iterator[MapProof]:
        """The maps that one fix defines anew, with all that are kept made."""
        was, now = self._definitions(frozenset()), self._definitions(frozenset({number}))
        before, after = self._maps(frozenset()), self._maps(mine)
        for name in was:
            if was[name] != now.get(name) and name in before and name in after:
                yield MapProof(name, described(as_made(before[name], after[name])), described(after[name]))

    def _definitions(self, chosen: frozenset[int]) -> dict[str, object]:
        """What defines each map, by name. Of what does not compile only maps in the old form are known."""
        made = self.compiled(chosen)
        parts = made.parts if isinstance(made, Compiled) else {}
        new = {name.removeprefix(VARIABLE): part for name, part in parts.items() if name.startswith(VARIABLE)}
        return {**new, **made.maps}

    def _maps(self, chosen: frozenset[int]) -> dict[str, Map]:
        """The maps by name, as the kernel made them; those of the old form as they were to be made."""
        loaded = self.loaded(chosen).values()
        return {**self.compiled(chosen).maps, **{n: made for result in loaded for n, made in result.maps.items()}}

    def _changed(self, number: int, mine: frozenset[int]) -> list[Key]:
        """The programs that one fix changes; by itself if that compiles, else as the last of all."""
        alone = frozenset({number})
        if len(mine) > 1 and isinstance(self.compiled(alone), CompileError):
            return self.touched(mine - alone, mine)
        return self.touched(frozenset(), alone)

    def _worse(self, chosen: frozenset[int]) -> str:
        """Why these fixes must not be made, "" if they may."""
        before, after = self.compiled(frozenset()), self.compiled(chosen)
        if isinstance(after, CompileError):
            return "" if isinstance(before, CompileError) else f"no longer compiles: {after.lines[0]}"
        if isinstance(before, Compiled) and before.parts == after.parts:
            return ""
        old, new = self.loaded(frozenset()), self.loaded(chosen)
        for key, result in new.items():
            verdict = old[key].verdict if key in old else "accepted"  # a program that a fix adds must load
            if result.verdict == "rejected" and verdict == "accepted" and isinstance(before, Compiled):
                return f"{result.name} is refused{f' by Linux {result.kernel}' if result.kernel else ''}"
        for name, stated in after.new_maps.items():
            was = before.maps.get(name, stated)
            if was.type == stated.type and was != stated:  # who makes it one of another type means to
                return f"the map {name} is another one: {described(was)}, now {described(stated)}"
        gone = next((name for name, kernel in old if (name, kernel) not in new), "")
        return f"{gone} is gone" if gone else ""

    def touched(self, base: frozenset[int], chosen: frozenset[int]) -> list[Key]:
        """The programs that differ between two sets of fixes: all of them when something that they share does."""
        before, after = self.compiled(base), self.compiled(chosen)
        programs = list(self.loaded(frozenset()) | self.loaded(chosen))
        if not (isinstance(before, Compiled) and isinstance(after, Compiled)):
            return programs
        keys = before.parts.keys() | after.parts.keys()
        changed = {k for k in keys if before.parts.get(k) != after.parts.get(k)}
        own = {p: f"program {p[0].split(' ')[0]}" for p in programs}
        return [p for p in programs if own[p] in changed] if changed <= {*own.values()} else programs

    def proof(self, program: Key, chosen: frozenset[int], base: frozenset[int] = frozenset()) -> ProgramProof:
        """One program with the fixes of `base` alone, and with all that are chosen."""
        name, kernel = program
        unbuilt = self.compiled(base)
        missing = ProgramResult(name, "", "untried", reason="not in the program before")
        if isinstance(unbuilt, CompileError):
            missing = ProgramResult(name, "", "rejected", log=str(unbuilt))
        before = self.loaded(base).get(program, missing)
        made = self.compiled(chosen)
        gone = ProgramResult(name, "", "untried", reason="not in the program after")
        if isinstance(made, CompileError):
            gone = ProgramResult(name, "", "rejected", log=str(made))
        after = self.loaded(chosen).get(program, gone)
        log = after.log if after.verdict != "accepted" else before.log
        reason = after.reason or before.reason
        return ProgramProof(name, before.verdict, after.verdict, before.insns, after.insns, log, reason, kernel)


def _verdict(shares: Sequence[_Share], otherwise: str) -> Proof:
    """What is to be said of a fix that is kept, over all targets that it goes into; `otherwise` if there are none."""
    programs = tuple(p for s in shares for p in s.programs)
    maps = tuple(dict.fromkeys(m for s in shares for m in s.maps))
    compiler, kernel = (shares[0].target.compiler, shares[0].target.kernel) if shares else ("", kernel_release())
    pairs = {(p.before, p.after) for p in programs}
    reason = ""
    verdict: Verdict = "untried"
    if ("rejected", "accepted") in pairs:
        verdict = "fixed"
    elif ("rejected", "rejected") in pairs:
        verdict = "still-rejected"
    elif ("accepted", "accepted") in pairs:
        verdict = "still-accepted"
    elif programs:
        first = programs[0]
        reason = first.reason if first.after == "untried" else f"{first.after} now, but before: {first.reason}"
    elif any(not s.reason for s in shares):
        verdict = "same-object"
    else:
        reason = shares[0].reason if shares else otherwise
    return Proof(verdict, kernel, compiler, programs, reason, maps)
