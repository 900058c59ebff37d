"""The search: from a refused program to one that loads, candidate by candidate.

Depth first, the least effect first: a candidate is compiled and loaded, and where the program is still refused, but for
another reason, the search goes on from there. All is bounded and deterministic: no more than `depth` edits on each
other, `tries` candidates and `seconds` in all, `width` ways on from one state.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from ebpffix.frontend import Unit
from ebpffix.repair import locate, needed, oracle
from ebpffix.repair.model import Candidate, Effect, Refusal
from ebpffix.repair.registry import Known
from ebpffix.rewriting.patch import changed_spans
from ebpffix.verify import lineinfo
from ebpffix.verify.load import Place, ProgramResult
from ebpffix.verify.logs import SourceLine
from ebpffix.verify.trace import Trace, parse, with_columns

Files = Mapping[Path, bytes]
Signature = tuple[str, str, bytes]


@dataclass(frozen=True)
class Built:
    """A state of the program, compiled and loaded; `error` is the compiler's, and then there are no programs."""

    programs: tuple[ProgramResult, ...] = ()
    error: str = ""
    data: bytes = b""

    @property
    def refused(self) -> list[ProgramResult]:
        return [p for p in self.programs if p.verdict == "rejected"]


class Bench(Protocol):
    """What the search needs to try something; given by whoever knows the program."""

    @property
    def place(self) -> Place | None:
        """The kernel that repaired programs are run in, None for the one that runs."""
        ...

    def unit(self, files: Files) -> Unit: ...
    def build(self, files: Files) -> Built: ...
    def walk(self, built: Built) -> dict[str, str]:
        """What the verifier says on its way through each program of a state that loads, at level 2; it may be none."""


@dataclass(frozen=True)
class Limits:
    """`seconds` of wall time for one program file."""

    depth: int = 8
    tries: int = 60
    seconds: float = 20
    width: int = 3


@dataclass(frozen=True)
class Made:
    """A candidate that was made, and what for: the refused program, the verifier's words, the line where it refused,
    and that where the proof was lost: 1-based, of the file before the repair, 0 for a line that the repair brought."""

    candidate: Candidate
    program: str
    message: str
    path: Path
    line: int
    lost_path: Path
    lost_line: int


@dataclass(frozen=True)
class Found:
    """How far the search came. `made` are the candidates in order, `files` what they make of the files; `left` is what
    the verifier says then ("" if all load); `others` are accepted in place of the last of `made`.

    What the oracle found: `differs` are runs that were fine and end otherwise now, `unreached` helpers that no path
    calls any more, `disagrees` an input for which one of `others` does something else.
    """

    files: Files
    made: tuple[Made, ...]
    left: str
    built: Built
    others: tuple[Candidate, ...] = ()
    tried: int = 0
    seconds: float = 0.0
    differs: tuple[oracle.Difference, ...] = ()
    unreached: tuple[str, ...] = ()
    disagrees: str = ""

    @property
    def left_at(self) -> SourceLine | None:
        """The line that is refused still, as the log names it."""
        last = _read(self.built.refused[0].log)[1].last if self.left else None
        return last.source if last else None

    @property
    def repaired(self) -> bool:
        return not self.left

    @property
    def effect(self) -> Effect:
        claimed = max((m.candidate.effect for m in self.made), key=lambda effect: effect.rank, default=Effect.EXACT)
        seen = Effect.EXACT
        if self.differs:
            seen = Effect.EARLY if all(difference.left for difference in self.differs) else Effect.CHANGING
        # What reaches less of the program than before is not to be taken without a look.
        return max(claimed, Effect.CHANGING if self.unreached else seen, key=lambda effect: effect.rank)


@dataclass
class Search:
    """One search. `most` is the greatest effect that a candidate may have."""

    bench: Bench
    strategies: Sequence[Known]
    limits: Limits = field(default_factory=Limits)
    most: Effect = Effect.CHANGING

    def run(self, files: Files) -> Found | None:
        """The repair of a program file, or as far as it got; None where nothing is refused."""
        self._began = time.monotonic()
        self._start = files
        self._tried = 0
        self._seen: set[tuple[tuple[Path, bytes], ...]] = {_key(files)}
        built = self.bench.build(files)
        if not built.refused:
            return None
        self._first = built
        self._accepted = {(p.name, p.kernel) for p in built.programs if p.verdict == "accepted"}
        self._best = Found(files, (), _words(built), built)
        done = self._from(files, built, (), frozenset()) or self._best
        done = self._least(done) if done.repaired else done
        return replace(done, tried=self._tried, seconds=self._elapsed)

    def _least(self, found: Found) -> Found:
        """A repair without the candidates that later ones made needless."""
        for number in reversed(range(len(found.made) - 1)):
            if self._over:
                break
            made = (*found.made[:number], *found.made[number + 1 :])
            try:
                files = needed.without(self._start, [m.candidate.edits for m in found.made], number)
            except (ValueError, KeyError):
                continue
            if files is None or _key(files) in self._seen:
                continue
            self._seen.add(_key(files))
            self._tried += 1
            built = self.bench.build(files)
            loads = not built.error and not built.refused and not self._harmed(built)
            if loads and not oracle.gone(self._first.data, built.data):
                return self._least(self._judged(Found(files, made, "", built)))
        return found

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    @property
    def _over(self) -> bool:
        return self._tried >= self.limits.tries or self._elapsed > self.limits.seconds

    def _from(self, files: Files, built: Built, made: tuple[Made, ...], behind: frozenset[Signature]) -> Found | None:
        refusal = Refusal(self.bench.unit(files), *_first(built))
        behind |= {_signature(files, built)}
        passed: list[Found] = []
        further: list[tuple[Made, Files, Built]] = []
        for candidate in self.candidates(refusal):
            if self._over or len(passed) > self.limits.width or (passed and candidate.fallback):
                break
            tried = self._try(files, candidate)
            if tried is None:
                continue
            changed, after = tried
            step = self._made(candidate, refusal, files)
            if not after.refused:
                if not oracle.gone(self._first.data, after.data):
                    passed.append(self._judged(Found(changed, (*made, step), "", after)))
            elif _signature(changed, after) not in behind:
                further.append((step, changed, after))
        passed.sort(key=lambda found: found.effect.rank)
        if passed and passed[0].effect is not Effect.CHANGING:
            return self._chosen(passed)
        for step, changed, after in further[: self.limits.width]:
            if len(made) + 1 > len(self._best.made):
                self._best = Found(changed, (*made, step), _words(after), after)
            deep = len(made) + 1 >= self.limits.depth
            if not deep and (found := self._from(changed, after, (*made, step), behind)):
                return found
        return self._chosen(passed) if passed else None

    def _judged(self, found: Found) -> Found:
        """A repair with what the oracle says of it, for the programs that were refused."""
        differs: list[oracle.Difference] = []
        unreached: list[str] = []
        walks = self.bench.walk(found.built)
        for name, section in dict.fromkeys((p.name, p.section) for p in self._first.refused):
            differs += oracle.differences(self._first.data, found.built.data, name, section, self.bench.place)
            unreached += oracle.unreached(walks.get(name, ""), found.built.data, name)
        return replace(found, differs=tuple(sorted(differs, key=lambda d: d.left)[:3]), unreached=tuple(unreached))

    def _chosen(self, passed: Sequence[Found]) -> Found:
        first, *rest = passed
        others = tuple(found.made[-1].candidate for found in rest)
        program = self._first.refused[0]
        named = program.name, program.section, self.bench.place
        compared = (oracle.disagreement(first.built.data, f.built.data, *named) for f in rest)
        return replace(first, others=others, disagrees=next(filter(None, compared), ""))

    def _made(self, candidate: Candidate, refusal: Refusal, files: Files) -> Made:
        place = locate.line_of(refusal.unit, refusal.step.source) if refusal.step else None
        path, line = place or (refusal.unit.path, 0)
        lost = candidate.at
        lost_path = lost.path if lost else path
        lost_line = line
        if lost and lost.path in files:
            lost_line = files[lost.path].count(b"\n", 0, lost.start) + 1
        return Made(
            candidate,
            refusal.program,
            refusal.message,
            path,
            self._before(files, path, line),
            lost_path,
            self._before(files, lost_path, lost_line),
        )

    def _before(self, files: Files, path: Path, line: int) -> int:
        """The line of the file before the repair that a line of it is by now; 0 for a new one."""
        old = new = 1  # the first lines that are not yet passed
        for start, end, text in changed_spans(self._start.get(path, b""), files.get(path, b"")):
            begins = self._start[path].count(b"\n", 0, start) + 1
            if line < new + begins - old:
                break
            new += begins - old
            old = begins
            added, removed = text.count(b"\n"), self._start[path].count(b"\n", start, end)
            if line < new + added:
                return 0 if not removed else old
            new, old = new + added, old + removed
        return old + line - new

    def _try(self, files: Files, candidate: Candidate) -> tuple[Files, Built] | None:
        """A candidate made, compiled and loaded; None for one that was seen before, or that does harm."""
        changed = _apply(files, candidate)
        if changed is None or _key(changed) in self._seen:
            return None
        self._seen.add(_key(changed))
        self._tried += 1
        after = self.bench.build(changed)
        return None if after.error or self._harmed(after) else (changed, after)

    def candidates(self, refusal: Refusal) -> Iterator[Candidate]:
        """What the strategies propose, the least effect first; the strategies' order where that is equal."""
        found: list[Candidate] = []
        for known in self.strategies:
            found += (c for c in known.candidates(refusal) if c.effect.rank <= self.most.rank)
        return iter(sorted(found, key=lambda c: (c.fallback, c.effect.rank)))

    def _harmed(self, after: Built) -> bool:
        """Whether a program is refused now, or gone, that was accepted before."""
        now = {(p.name, p.kernel) for p in after.programs if p.verdict == "accepted"}
        return not self._accepted <= now


def _apply(files: Files, candidate: Candidate) -> dict[Path, bytes] | None:
    try:
        return needed.made_in(files, candidate.edits)
    except (ValueError, KeyError):  # edits that overlap, or in a file that is not the user's
        return None


def _key(files: Files) -> tuple[tuple[Path, bytes], ...]:
    return tuple(sorted(files.items()))


@functools.lru_cache(16)
def _read(log: str) -> tuple[str, Trace]:
    return message_of(log), parse(log)


def _first(built: Built) -> tuple[str, str, str, Trace]:
    """Program, section, message and path of the first refusal."""
    result = built.refused[0]
    message, trace = _read(result.log)
    return result.name, result.section, message, with_columns(trace, lineinfo.table(built.data, result.name))


def _signature(files: Files, built: Built) -> Signature:
    """What tells one refusal from another: program, message without numbers, source text."""
    program, _, message, trace = _first(built)
    source = trace.last.source if trace.last else None
    text = b""
    for path, data in files.items():
        if source and locate.name_in_log(path) == source.file.rpartition("/")[2]:
            text = b"".join(data.splitlines()[source.line - 1 : source.line]).strip()
    return program, re.sub(r"-?(?:0x[0-9a-f]+|\d+)", "#", message), text


def message_of(log: str) -> str:
    """The verifier's own words: what stands between the last instruction and the statistics."""
    from io import BytesIO

    from ebpffix.verify.logs import read

    found = list(read(BytesIO(log.encode())))
    return found[-1].message if found else ""


def _words(built: Built) -> str:
    return _read(built.refused[0].log)[0]
