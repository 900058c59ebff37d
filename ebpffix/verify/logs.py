"""Verifier logs from anywhere: what was refused, where, and what it means.

`read` takes the verifier's own text and whatever libbpf, bpftool, BCC or cilium/ebpf print around it, of any kernel,
and keeps a few lines of it at a time. It leans on the shape of a log, which is stable: instructions are
`12: (85) call …`, source lines start with a semicolon, register states with a register, the end is `processed N insns`,
and the reason is what stands between the last instruction and the end. From Linux 7.3 on a block
`Verification failed: …` follows it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from ebpffix.sources.source import Source
from ebpffix.verify.explain import CUT_OFF, EMPTY, NO_PRIVILEGE, OTHER, Explanation, explain

_LINE_LIMIT = 4096  # bytes kept of a line; the longest that a verifier writes are register states of some 2,000
_MESSAGE_LINES = 8
_PATH_LINES, _PATH_WIDTH = 1 << 10, 256  # lines, and bytes of each, that are kept of the instructions
_STATE_LINES = 64  # how far back the register that the message names is looked for


@dataclass(frozen=True)
class Instruction:
    """`number` counts from 0 in the loaded program; `text` is the verifier's, such as "(71) r0 = *(u8 *)(r1 +18)"."""

    number: int
    text: str


@dataclass(frozen=True)
class SourceLine:
    """A line of C; `file` is "" and `line` (1-based) 0 where the log gives the text alone, as before Linux 6.8. No log
    has the `column` (1-based, in bytes), but the object's line table: 0 without it."""

    file: str
    line: int
    text: str
    column: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Rejection:
    """One refused load. `class_` and `explanation` come from `explain.py`; `context` is what a `transform.Cure`
    looks at; "" and None are what the log does not tell.

    `message` is the verifier's own words, lines joined by "; ". `registers` is the last known state of the register
    that the message names, such as "R1=scalar()". `suggestion` is the kernel's own advice (7.3). `loader` is "libbpf",
    "bcc", "cilium/ebpf" or "".
    """

    program: str
    message: str
    class_: str
    explanation: str
    context: str
    instruction: Instruction | None = None
    source: SourceLine | None = None
    registers: str = ""
    suggestion: str = ""
    loader: str = ""
    path: str = field(default="", repr=False, compare=False)  # the log's end without its reason, for `trace.parse`


# The registers' new state follows, and after a jump the number and state of the place jumped to.
_INSTRUCTION = re.compile(rb"(\d+): ([(<].*?)(?:(?<!\s)\s+(?:;|\d+:) (?:R\d|frame\d|fp-?\d).*)?$")
_AT_INSTRUCTION = re.compile(rb"\d+: (?:\([0-9a-f]{2}\) |<invalid )")  # libbpf writes the second for a bad relocation
_NUMBERED_STATE = re.compile(rb"\d+: (?:R\d|frame\d)")
_SOURCE = re.compile(rb"; ?(.*?)(?: @ ([^@]*):(\d+))?$")
# What a verifier prints that is neither an instruction nor a reason. It says nothing of the verdict.
_NOISE = re.compile(
    rb"R\d+(?:_\w+)?=|fp-?\d+(?:_\w+)?=|refs=|frame ?\d+|regs=|cb$|"
    rb"func#\d+ @|Live regs before insn|(?:\d+ +)?\d+: [.0-9]{8,} |\(\d+\) (?:frame|live) |"
    rb"last_idx |first_idx |parent |mark_precise|propagating |"
    rb"caller:|callee:|returning from callee|to caller at|cur state:|old state:|"
    rb"Validating \S+ func#|func '[^']*' arg\d+ has btf_id|Func#\d+ .*(?:is safe for|is global and)|"
    rb"verification time|stack depth|\(truncated|\[\.\.\.\]"
)
_START = re.compile(
    rb"func#\d+ @|Live regs before insn|\d+: (?:\([0-9a-f]{2}\) |R\d+\S*=|frame\d)|R1=ctx|Validating \S+ func#"
)
_END = re.compile(rb"processed \d+ insns")
_PREFIXED = re.compile(rb"((?:[^;(]*[\s\]:|>])??)(?<![\w.])\d+: \([0-9a-f]{2}\) ")
_PATH_START = re.compile(rb"from \d+ to \d+[: ]|(?:\d+: )?safe$")
# Where a log without a marked end is over: the surroundings speak again.
_SURROUNDINGS = re.compile(rb"Traceback \(most recent|HINT: |Error: |Exception: |libbpf: |Warning: |bpf: ")

_LIBBPF_FAILED = re.compile(rb"libbpf: (?:prog '([^']*)': )?(?:BPF program load failed|load bpf program failed): (.*)")
_LIBBPF_BEGIN = re.compile(rb"(?:prog '([^']*)': )?-- BEGIN (?:PROG LOAD |DUMP )?LOG --")
_LIBBPF_END = re.compile(rb"-- END (?:PROG LOAD )?LOG --")
_LIBBPF_NAME = re.compile(rb"libbpf: (?:prog '([^']*)': failed to load|failed to load program '([^']*)')")
_BCC_FAILED = re.compile(rb"bpf: (?:Failed to load program: (.*)|((?:Permission|Invalid|Operation|Argument) [a-z ]+)$)")
_BCC_NAME = re.compile(rb"Failed to load BPF program b?'?([\w.$]+)'?: (.*)")
_LIBBPF_MAP = re.compile(rb"libbpf: ((?:map '[^']*': failed to create|failed to create map \(name: '[^']*'\)): .*)")
_IPROUTE_FAILED = re.compile(rb"Prog section '([^']*)' rejected: ([^!(]*)")
_CILIUM_FAILED = re.compile(rb"(?:program (\S+): )?load program: ([a-z][a-z ]*)(:\s*.*)?$")
_OMITTED = re.compile(rb"\s*\((?:truncated, )?\d+ line\(s\) omitted\).*$")

_HEADING = re.compile(rb"(Reason|At|Causal path|Suggestion):\s*(.*)$")
_DIAGNOSED = re.compile(rb"Verification failed: *(.*)")
_AT_NUMBER = re.compile(rb"\binsn (\d+)\b")
_AT_CODE = re.compile(rb">>>\s*(\d+)\s*\|\s*(\([0-9a-f]{2}\) .*)")
_AT_FILE = re.compile(rb"(?<![^\s:@()|])([^\s:@()|]+\.[ch]\w*):(\d+)")
_AT_TEXT = re.compile(rb"(?:>>>\s*)?(\d+)\s*\|\s?(.*)")

_REGISTER = re.compile(r"\bR(\d+)\b")
_MESSAGE_INSN = re.compile(r"\binsn (\d+)|insn_idx (\d+)")


@dataclass
class _Log:
    """The log of one program while it is read: the last of everything."""

    program: bytes = b""
    loader: str = ""
    errno: bytes | None = None  # the loader's words for a load that failed; None while nobody said that it did
    begun: bool = False  # a line was seen that only a verifier writes
    ended: bool = False  # so was the line that it writes last
    closed: bool = False  # what follows is not the verifier's, whether or not it came to its end
    gap: bool = False  # an empty line came after the message
    instruction: bytes = b""
    source: bytes = b""
    message: deque[bytes] = field(default_factory=lambda: deque(maxlen=_MESSAGE_LINES))
    states: deque[bytes] = field(default_factory=lambda: deque(maxlen=_STATE_LINES))
    path: deque[bytes] = field(default_factory=lambda: deque(maxlen=_PATH_LINES))
    after: deque[bytes] = field(default_factory=lambda: deque(maxlen=_MESSAGE_LINES))  # lines since it was closed
    title: bytes = b""
    heading: bytes = b""
    block: dict[bytes, list[bytes]] = field(default_factory=dict)

    def take(self, line: bytes) -> None:
        """One line of verifier text, without white space around it."""
        if self.title:
            self._take_block(line)
        elif line[:1] == b";":
            self.source, self.begun = line, True
            self.path.append(line[:_PATH_WIDTH])
        elif _AT_INSTRUCTION.match(line):
            self.instruction, self.begun = line, True
            self._remember(line)
            self._forget()
        elif _NUMBERED_STATE.match(line) or _PATH_START.match(line):
            self.begun = True
            self._remember(line)
            self._forget()
        elif _NOISE.match(line):
            self.begun = self.begun or bool(_START.match(line))
            self._remember(line)
        elif match := _DIAGNOSED.match(line):
            self._diagnose(match[1])
        elif not line:
            self.gap = bool(self.message)
        elif self.begun and not self.ended and _SURROUNDINGS.match(line):
            self.closed = self.failed
        elif not self.gap or not self.begun:
            self.message.append(line)

    def _remember(self, line: bytes) -> None:
        self.states.append(line)
        self.path.append(line[:_PATH_WIDTH])

    def end(self) -> None:
        self.ended = self.closed = True

    def _forget(self) -> None:
        self.message.clear()
        self.gap = False

    def _diagnose(self, title: bytes) -> None:
        if not self.begun:  # lines that only happen to stand before it
            self.message = deque((m for m in self.message if explain(_text(m))), maxlen=_MESSAGE_LINES)
        self.title, self.begun = title or b"Verification failed", True

    def _take_block(self, line: bytes) -> None:
        if match := _HEADING.match(line):
            self.heading = match[1]
            line = match[2]
        body = self.block.setdefault(self.heading, [])
        if line and len(body) < _STATE_LINES:
            body.append(line)

    @property
    def failed(self) -> bool:
        return self.errno is not None or bool(self.message) or bool(self.title)

    def rejection(self) -> Rejection | None:
        """What the log says now that it is over; None when the program was accepted or nothing was a verifier's."""
        if not (self.begun or self.errno is not None):
            return self._fragment()
        if self.ended and not self.failed:
            return None
        message = "; ".join(_text(m) for m in self.message)
        if not message and self.title:
            message = " ".join(_text(m) for m in self.block.get(b"Reason", [])) or _text(self.title)
        found = explain(message) or (explain(self._diagnosis()) if self.title else None) or self._unexplained(message)
        if not message:
            message = "the log ends before the reason" if found is CUT_OFF else _text(self.errno or b"load failed")
        return self._tell(message, found)

    def _diagnosis(self) -> str:
        return "; ".join(_text(m) for m in (self.title, *self.block.get(b"Reason", []), *self.block.get(b"At", [])))

    def _fragment(self) -> Rejection | None:
        """Lines without any log around them, as people quote them: told only when one is certainly a verifier's."""
        for n, line in enumerate(self.message):
            if found := explain(_text(line)):
                self.message = deque(list(self.message)[n:], maxlen=_MESSAGE_LINES)
                if not self.ended:
                    self.message = deque([line])
                return self._tell("; ".join(_text(m) for m in self.message), found)
        if self.ended and self.message:
            return self._tell(_text(self.message[-1]), OTHER)
        return None

    def _unexplained(self, message: str) -> Explanation:
        refused = (self.errno or b"").lower()
        if b"no space left" in refused:  # in the log's buffer
            return CUT_OFF
        if self.ended or self.title or (message and (self.closed or not self.begun)):
            return OTHER
        if self.begun:  # half a log, or half a line of its reason
            return CUT_OFF
        return NO_PRIVILEGE if b"operation not permitted" in refused else EMPTY

    def _tell(self, message: str, found: Explanation) -> Rejection:
        instruction, source = self._where(message)
        context = "\n".join(
            ("@" + self.loader, instruction.text if instruction else "", source.text if source else "", message)
        )
        return Rejection(
            program=_text(self.program),
            message=message,
            class_=found.key,
            explanation=found.text,
            context=context,
            instruction=instruction,
            source=source,
            registers=self._register(message),
            suggestion=" ".join(_text(m) for m in self.block.get(b"Suggestion", [])),
            loader=self.loader,
            path="\n".join(map(_text, self.path)),
        )

    def _where(self, message: str) -> tuple[Instruction | None, SourceLine | None]:
        instruction = source = None
        if match := _INSTRUCTION.match(self.instruction):
            instruction = Instruction(int(match[1]), _text(match[2]))
        if match := _SOURCE.match(self.source):
            source = SourceLine(_text(match[2] or b""), int(match[3] or 0), _text(match[1]))
        if instruction is None and (named := _MESSAGE_INSN.search(message)):
            instruction = Instruction(int(named[1] or named[2]), "")
        return self._at(instruction, source)

    def _at(
        self, instruction: Instruction | None, source: SourceLine | None
    ) -> tuple[Instruction | None, SourceLine | None]:
        """What the `At:` part of a 7.3 block says instead, if it is there."""
        for line in self.block.get(b"At", []):
            if match := _AT_CODE.search(line):
                instruction = Instruction(int(match[1]), _text(match[2]))
            elif (match := _AT_NUMBER.search(line)) and (instruction is None or instruction.number != int(match[1])):
                instruction = Instruction(int(match[1]), "")
            elif match := _AT_FILE.search(line):
                source = SourceLine(_text(match[1]), int(match[2]), "")
            elif (match := _AT_TEXT.match(line)) and source and int(match[1]) == source.line:
                source = replace(source, text=_text(match[2]).strip())
        return instruction, source

    def _register(self, message: str) -> str:
        if not (named := _REGISTER.search(message)):
            return ""
        state = re.compile(rb"\bR%d(?:_\w+)?=(?:[^\s(]*\([^()]*(?:\([^()]*\)[^()]*)*\)|\S+)" % int(named[1]))
        for line in reversed(self.states):
            if found := state.search(line):
                return _text(found[0])
        return ""


def read(stream: BinaryIO, saw: Callable[[], object] = lambda: None) -> Iterator[Rejection]:
    """The rejections of a stream of logs, in order; none for programs that were accepted.

    A log that ends before its reason is a rejection of class "cut-off". Any bytes are taken; memory does not grow with
    the stream. `saw` is called for whatever is a log, also of a program that was accepted. OSError of the stream passes
    through.
    """
    log = _Log()
    for line in _unprefixed(_lines(stream)):
        if started := _surroundings(line, log):
            if started is not log:
                yield from _finish(log, saw)
                log = started
        elif log.closed and (_START.match(line) or line[:1] == b";"):
            yield from _finish(log, saw)
            log = _Log()
            log.take(line)
        elif _END.match(line):
            if log.closed:  # of a log that was so short that nothing else showed it
                yield from _finish(log, saw)
                log = _Log(message=log.after)
            log.end()
        elif log.closed:
            log.after.append(line)
        else:
            log.take(line)
    yield from _finish(log, saw)


def _finish(log: _Log, saw: Callable[[], object]) -> Iterator[Rejection]:
    rejection = log.rejection()
    if rejection or log.begun or log.ended:
        saw()
    if rejection:
        yield rejection


def _surroundings(line: bytes, log: _Log) -> _Log | None:
    """What a loader says around the log: the log that is open now, None for a line that is the verifier's."""
    if line[:1] == b";":
        return None
    if b"libbpf" in line or b"LOG --" in line:
        return _libbpf(line, log)
    if match := _BCC_FAILED.match(line):
        return _Log(loader="bcc", errno=match[1] or match[2])
    if b"oad" not in line and b"rejected" not in line:
        return None
    if match := _BCC_NAME.search(line):
        log.program = log.program or match[1]
        return log
    if match := _IPROUTE_FAILED.search(line):
        return _Log(program=match[1], loader="libbpf", errno=match[2])
    if match := _CILIUM_FAILED.search(line):
        if not match[3] and log.failed:  # the last words after a log that was told
            return log
        started = _Log(program=match[1] or b"", loader="cilium/ebpf", errno=match[2])
        _cilium_short(started, (match[3] or b"")[1:].lstrip())
        return started
    return None


def _libbpf(line: bytes, log: _Log) -> _Log | None:
    if match := _LIBBPF_FAILED.search(line):
        return _Log(program=match[1] or b"", loader="libbpf", errno=match[2])
    if match := _LIBBPF_MAP.search(line):
        return _Log(loader="libbpf", errno=match[1], closed=True, ended=True, message=deque([match[1]]))
    if match := _LIBBPF_BEGIN.search(line):
        fresh = log.loader == "libbpf" and not log.begun and not log.closed
        log = log if fresh else _Log(loader="libbpf")
        log.program = match[1] or log.program
        return log
    if _LIBBPF_END.search(line):
        log.closed = True
        return log
    if match := _LIBBPF_NAME.search(line):
        log.program = log.program or match[1] or match[2]
        return log
    return log if line.startswith(b"libbpf: ") else None


def _cilium_short(log: _Log, words: bytes) -> None:
    """cilium/ebpf's one line: instruction and reason joined by ": ", the rest omitted."""
    truncated = b"(truncated, " in words
    words = _OMITTED.sub(b"", words)
    if not words:
        return
    while match := re.match(rb"(;.*?|\d+: \([0-9a-f]{2}\) .*?): (?=R\d|[a-z0-9;])", words):
        log.take(match[1])
        words = words[match.end() :]
    log.take(words)
    log.begun = log.closed = True
    log.ended = not truncated


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Lines without white space around them, the overlong ones cut."""
    while line := stream.readline(_LINE_LIMIT):
        yield line.strip()
        while line and line[-1:] != b"\n" and len(line) == _LINE_LIMIT:
            line = stream.readline(_LINE_LIMIT)


def _unprefixed(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Without what a journal or a log collector puts before each line, once an instruction shows how that looks."""
    prefix: re.Pattern[bytes] | None = None
    for line in lines:
        if prefix:
            if match := prefix.match(line):
                line = line[match.end() :]
        elif (match := _PREFIXED.match(line)) and not (_NOISE.match(line) or _CILIUM_FAILED.search(line)):
            prefix = re.compile(re.sub(rb"\d+", rb"\\d+", re.escape(match[1])))
            line = line[match.end(1) :]
        yield line


def _text(data: bytes) -> str:
    """For a terminal: UTF-8 where it is, and no control character."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in data.decode("utf-8", "replace"))


def locate(rejection: Rejection, sources: Iterable[Source]) -> list[SourceLine]:
    """The places in `sources` that the rejection's source line can be, best first; `file` is then the Source's path.

    With a file and line in the log it is that line if its text is still the same, else the nearest line with that text;
    with the text alone, as kernels before 6.8 write it, every line that has it. Empty when there is none.
    """
    wanted = rejection.source
    if wanted is None:
        return []
    every = list(sources)
    named = [s for s in every if wanted.file and s.path.name == wanted.file.rpartition("/")[2]]
    found: list[tuple[int, SourceLine]] = []
    for source in named or every:  # BCC calls every program main.c, with lines of its own before the user's
        for number, line in enumerate(source.data.splitlines(), 1):
            text = line.decode("utf-8", "replace").strip()
            if text and (text == wanted.text or (not wanted.text and number == wanted.line)):
                found.append((abs(number - wanted.line), SourceLine(str(source.path), number, text)))
    if named:
        found.sort(key=lambda f: f[0])
    return [line for _, line in found]
