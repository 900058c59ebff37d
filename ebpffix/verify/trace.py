"""A verifier log as the path that was refused: steps with the states behind them, and questions about where a value
came from.

    trace = parse(log)
    trace.chain(register)      the steps that made its value, the use first, the origin last
    trace.origin(id)           the first step behind which a state shows that id
    trace.last_check(register) the last comparison of that packet pointer with the packet's end
    trace.moved_by(register)   the helper that moved the packet since the register was a pointer into it
    trace.refs()               what was acquired on the path and is still held

Logs of every kernel are taken, at level 1 and 2; older kernels print fewer states, or none, so that all questions but
`origin` are answered from the instructions alone. The last `STEPS` steps are kept, whatever the log's length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, replace

from ebpffix.kernel.helpers import GIVEN_BACK_TO, helper
from ebpffix.verify.lineinfo import Table
from ebpffix.verify.logs import SourceLine

STEPS = 1 << 17

_STEP = re.compile(r"(\d+): (\([0-9a-f]{2}\) [^;]*?)(?:\s*; ?(.*)|\s+(?=\d+: )(.*))?$")
_SOURCE = re.compile(r"; ?(.*?)(?: @ ([^@]*):(\d+))?$")
_FROM = re.compile(r"from (\d+) to (\d+)(?: \(.*\))?: ?(.*)$")
_NUMBERED = re.compile(r"\d+: ((?:frame\d+: )?R\d.*)$")
_STATES = re.compile(r"(?:frame\d+: )?(?:R\d+(?:_\w+)?=|fp-?\d+(?:_\w+)?=)")
_TARGET = re.compile(r"\((?:[0-9a-f]{2})\) (?:[rw](\d+) |lock .*|\*\(.*)")
_OPERAND = re.compile(r"[rw](\d+)")
_COPY = re.compile(r"\([0-9a-f]{2}\) [rw](\d+) = (?:\(s\d+\))?[rw](\d+)$")
_ARITHMETIC = re.compile(r"\([0-9a-f]{2}\) [rw](\d+) (?:s?[-+*/%&|^]|s?>>|<<|s[/%])= ?(?:[rw](\d+)|.*)$")
_ONE_OPERAND = re.compile(r"\([0-9a-f]{2}\) [rw](\d+) = (?:-|(?:be|le|bswap)\d+ )[rw](\d+)$")
_LOAD = re.compile(r"\([0-9a-f]{2}\) [rw](\d+) = \*\(\w+ \*\)\(r(\d+) ?([-+]\d+)\)")
_STORE = re.compile(r"\([0-9a-f]{2}\) \*\(u?\d*\w* \*\)\(r(\d+) ?([-+]\d+)\) = (?:r(\d+)|.*)$")
_CALL = re.compile(r"\(85\) call (?:(\w+)#-?\d+|pc\+?(-?\d+))")
_COMPARE = re.compile(r"\([0-9a-f]{2}\) if r(\d+) (?:<|>|<=|>=|==|!=) r(\d+) goto")


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction of the path. `number` counts from 0 in the loaded program, `frame` the functions that are open
    above it; `states` is what the log says of registers and stack behind it, as it stands there."""

    number: int
    text: str
    source: SourceLine | None
    frame: int
    states: str = ""

    @property
    def call(self) -> str:
        """The helper or kernel function that is called, "" for anything else."""
        match = _CALL.match(self.text)
        return match[1] or "" if match else ""

    @property
    def target(self) -> int | None:
        """The register that it writes; None for none."""
        if self.call or self.text.startswith("(95)"):
            return 0
        if match := re.match(r"\([0-9a-f]{2}\) [rw](\d+) (?:=|s?[-+*/%&|^<>]+=)", self.text):
            return int(match[1])
        return None


@dataclass(frozen=True)
class Trace:
    """The path to the refusal; `before` is the state in front of the first step. `cut`: its beginning was dropped."""

    steps: tuple[Step, ...]
    before: str = ""
    cut: bool = False

    @property
    def last(self) -> Step | None:
        return self.steps[-1] if self.steps else None

    # -- states

    def state(self, register: int, at: int | None = None) -> str:
        """What is known of a register in front of step `at` (the last one unless given), such as "pkt(off=14,r=34)";
        "" where the log does not say."""
        at = len(self.steps) - 1 if at is None else at
        frame = self.steps[at].frame if 0 <= at < len(self.steps) else 0
        for position in range(at - 1, -1, -1):
            step = self.steps[position]
            if step.frame != frame and not step.states:
                continue
            if found := _value(step.states, f"R{register}", frame):
                return found
            if step.frame == frame and step.target == register:
                return ""
            if step.frame == frame and step.call and 1 <= register <= 5:
                return ""
        return _value(self.before, f"R{register}", 0)

    def origin(self, number: int) -> int | None:
        """The position of the first step behind which a state shows `id=number`; None if none does."""
        shown = re.compile(rb"(?<![a-z_])id=%d\b".decode() % number)
        return next((n for n, step in enumerate(self.steps) if shown.search(step.states)), None)

    # -- where a value came from

    def chain(self, register: int, at: int | None = None) -> list[int]:
        """The positions of the steps that made the value which a register has in front of step `at` (the last one
        unless given): the nearest first, through copies, arithmetic, the stack and the functions of the program; the
        last ones are what it began with (a call, a load from memory that is not the stack, a constant)."""
        at = len(self.steps) - 1 if at is None else at
        if not self.steps:
            return []
        found: dict[int, None] = {}
        wanted = [(register, self.steps[at].frame, at)]
        seen: set[int] = set()  # instructions: a loop comes by the same ones again and again
        while wanted:
            position = self._writer(*wanted.pop(0), seen)
            if position is not None:
                seen.add(self.steps[position].number)
                found[position] = None
                wanted += self._sources(position)
        return list(found)

    def _writer(self, register: int, frame: int, before: int, seen: Set[int]) -> int | None:
        """The step that last wrote a register of a frame in front of step `before`, those of `seen` aside."""
        for position in range(before - 1, -1, -1):
            step = self.steps[position]
            if step.frame > frame:
                # The end of a function of the program, which gave its result to r0.
                if register == 0 and step.text.startswith("(95)") and step.frame == frame + 1:
                    return position
                continue
            if step.frame < frame:  # the call that opened this function: its arguments are the caller's registers
                if not 1 <= register <= 5:
                    return None
                frame = step.frame
            if step.target == register and step.number not in seen:
                return position
            if step.call and 1 <= register <= 5:
                return None
        return None

    def _sources(self, position: int) -> Iterator[tuple[int, int, int]]:
        """The registers that the value which a step made came from, as (register, frame, in front of which step)."""
        step = self.steps[position]
        if step.text.startswith("(95)"):
            yield 0, step.frame, position
        elif match := (_COPY.match(step.text) or _ONE_OPERAND.match(step.text)):
            yield int(match[2]), step.frame, position
        elif match := _ARITHMETIC.match(step.text):
            yield int(match[1]), step.frame, position
            if match[2]:
                yield int(match[2]), step.frame, position
        elif (match := _LOAD.match(step.text)) and match[2] == "10":
            stored = self._stored(int(match[3]), step.frame, position)
            if stored is not None:
                register = _STORE.match(self.steps[stored].text)
                if register and register[3]:
                    yield int(register[3]), step.frame, stored

    def _stored(self, offset: int, frame: int, before: int) -> int | None:
        """The step that last wrote a slot of the stack through r10."""
        for position in range(before - 1, -1, -1):
            step = self.steps[position]
            if step.frame == frame and (match := _STORE.match(step.text)):
                if match[1] == "10" and int(match[2]) == offset:
                    return position
            elif step.frame == frame and step.call and self._is_given(offset, position):
                return None
        return None

    def _is_given(self, offset: int, call: int) -> bool:
        """Whether a call gets the address of a slot of the stack, so that it may have written it."""
        return any(self.state(register, call) == f"fp{offset}" for register in range(1, 6))

    # -- what was proven, moved, acquired

    def last_check(self, register: int, at: int | None = None) -> int | None:
        """The last step that compares a pointer into the same part of the packet with the packet's end, and where that
        proved something; None if there is none. The same part: an equal id, so that only a constant lies between."""
        at = len(self.steps) - 1 if at is None else at
        wanted = _id(self.state(register, at))
        for position in range(at - 1, -1, -1):
            match = _COMPARE.match(self.steps[position].text)
            if not match:
                continue
            sides = [self.state(int(match[side]), position) for side in (1, 2)]
            pointers = [s for s in sides if s.startswith("pkt") and not s.startswith("pkt_end")]
            if any(s.startswith("pkt_end") for s in sides) and pointers and _id(pointers[0]) == wanted:
                return position
        return None

    def moved_by(self, register: int, at: int | None = None) -> int | None:
        """The last call of a helper that moves the packet, behind the steps that made the value of a register."""
        at = len(self.steps) - 1 if at is None else at
        made = self.chain(register, at)
        if not made:
            return None
        return next((n for n in range(at - 1, max(made), -1) if _moves(self.steps[n].call)), None)

    def refs(self) -> list[int]:
        """The positions of the calls that acquired what the state behind the last steps still holds, in order."""
        for step in reversed(self.steps):
            if match := re.search(r"refs=([\d,]+)", step.states):
                held = [self.origin_of_reference(int(n)) for n in match[1].split(",")]
                return [n for n in held if n is not None]
            if step.call in GIVEN_BACK_TO:
                return []
        return []

    def origin_of_reference(self, number: int) -> int | None:
        """The position of the call that acquired the reference of this id."""
        held = re.compile(rf"refs=(?:\d+,)*{number}\b")
        return next((n for n, s in enumerate(self.steps) if s.call and held.search(s.states)), None)

    def at(self, number: int) -> int | None:
        """The position of the last step with an instruction number."""
        return next((n for n in range(len(self.steps) - 1, -1, -1) if self.steps[n].number == number), None)


def _moves(name: str) -> bool:
    known = helper(name)
    return known is not None and known.moves_packets


def _id(state: str) -> int:
    match = re.search(r"(?<![a-z_])id=(\d+)", state)
    return int(match[1]) if match else 0


def _value(states: str, name: str, frame: int) -> str:
    """What a line of states says of a register of a frame; "" if it does not name it."""
    if frame and f"frame{frame}:" not in states:
        return ""
    # Values have blanks only between parentheses.
    match = re.search(rf"(?<!\w){name}(?:_\w+)?=((?:[^\s(]*\((?:[^()]|\([^()]*\))*\)|[^\s(]+))", states)
    if not match:
        return ""
    return re.sub(r"^(?:inv|scalar)(?=\d)", "", match[1])


def with_columns(trace: Trace, lines: Table) -> Trace:
    """The path with what the object's line table knows of each instruction beside what the log says: the column."""

    def told(step: Step) -> Step:
        line = lines.at(step.number)
        if line is None or step.source is None or (step.source.line and line.line != step.source.line):
            return step
        return replace(step, source=replace(step.source, column=line.column))

    return replace(trace, steps=tuple(map(told, trace.steps)))


def parse(log: str | bytes) -> Trace:
    """The path of a log that ends with a refusal; of several paths (level 2) the last. Never raises."""
    text = log.decode("utf-8", "replace") if isinstance(log, bytes) else log
    return _Reader().read(text.splitlines())


class _Reader:
    """The path while the log is read. A branch that the verifier comes back to cuts the path behind the jump."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.taken: set[int] = set()  # positions of jumps whose other branch was walked too
        self.before = ""
        self.source: SourceLine | None = None
        self.frame = 0
        self.cut = False

    def read(self, lines: Iterable[str]) -> Trace:
        for raw in lines:
            line = raw.strip()
            if line.startswith("Verification failed:"):
                break
            self._take(line)
            if len(self.steps) > 2 * STEPS:
                self._forget(len(self.steps) - STEPS)
        if len(self.steps) > STEPS:
            self._forget(len(self.steps) - STEPS)
        return Trace(tuple(self.steps), self.before, self.cut)

    def _forget(self, count: int) -> None:
        del self.steps[:count]
        self.taken = {n - count for n in self.taken if n >= count}
        self.cut = True

    def _take(self, line: str) -> None:
        if line[:1] == ";":
            if match := _SOURCE.match(line):
                self.source = SourceLine(match[2] or "", int(match[3] or 0), match[1])
        elif match := _STEP.match(line):
            self._step(int(match[1]), match[2].strip(), (match[3] or match[4] or "").strip())
        elif match := _FROM.match(line):
            self._back(int(match[1]), match[3])
        elif match := _NUMBERED.match(line):
            self._states(match[1])
        elif _STATES.match(line):
            self._states(line)

    def _step(self, number: int, text: str, states: str) -> None:
        if self.steps:
            self._follow(self.steps[-1], number)
        if found := re.match(r"frame(\d+):", states):
            self.frame = int(found[1])
        self.steps.append(Step(number, text, self.source, self.frame, states))

    def _follow(self, last: Step, number: int) -> None:
        """Open or close a function of the program between two steps."""
        match = _CALL.match(last.text)
        if match and match[2] is not None and number != last.number + 1:
            self.frame = last.frame + 1
        elif last.text.startswith("(95)") and last.frame and self.frame == last.frame:
            self.frame = last.frame - 1

    def _back(self, jump: int, states: str) -> None:
        for position in range(len(self.steps) - 1, -1, -1):
            if self.steps[position].number == jump and position not in self.taken:
                del self.steps[position + 1 :]
                self.taken = {n for n in self.taken if n < position} | {position}
                self.steps[position] = replace(self.steps[position], states=states.strip())
                self.frame = self.steps[position].frame
                self.source = self.steps[position].source
                break
        if found := re.search(r"frame(\d+):", states):
            self.frame = int(found[1])

    def _states(self, states: str) -> None:
        if found := re.match(r"frame(\d+):", states):
            self.frame = int(found[1])
        if not self.steps:
            self.before = states
            return
        known = self.steps[-1]
        if len(known.states) < 1 << 14:
            self.steps[-1] = replace(known, states=f"{states} {known.states}".strip())
