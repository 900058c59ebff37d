"""Load the programs of an object into the running kernel, each by itself, and say what the verifier said.

Nothing is attached, nothing is pinned; programs and maps are gone when the child that loaded them ends. "rejected" is
said only when the verifier itself refused, or when a map is defined so that no kernel makes it: what this machine lacks
makes a program "untried", with the reason.

Limits bound what the loading process can take, not the kernel's own faults: there are programs that make a kernel oops
in its verifier. Load what strangers wrote only on a machine that may be lost.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ebpffix.kernel.sections import known_as
from ebpffix.verify import CannotVerify
from ebpffix.verify.child import pack, start, strerror, unpack
from ebpffix.verify.compile import Object
from ebpffix.verify.lineinfo import numbered
from ebpffix.verify.map_faults import Map, fault
from ebpffix.verify.objects import programs
from ebpffix.verify.process import private_folder, run

Verdict = Literal["accepted", "rejected", "untried"]

_START = 10  # seconds that the child itself may take, above the time of its programs


@dataclass(frozen=True)
class ProgramResult:
    """What became of one program.

    `insns` counts the instructions that were handed to the kernel, subprograms included; None when it never came so
    far. `log` is the verifier's, or libbpf's words for a map that cannot be made; empty for an accepted program.
    `reason` says why a program is untried, what is wrong with that map, or what another kernel lacks that refuses it.
    `kernel` is the release of another kernel than the one that runs, which is "". `maps` are those that were made for
    an accepted program, by name, as the kernel has them.
    """

    name: str
    section: str
    verdict: Verdict
    insns: int | None = None
    log: str = ""
    reason: str = ""
    kernel: str = ""
    maps: Mapping[str, Map] = field(default_factory=dict)


class Place(Protocol):
    """Another kernel to load in. `ask` gives the answers of its loader to a request with an object, as `libbpf_child`
    has them, each for a program of the request; `seconds` are for all of them."""

    @property
    def kernel(self) -> str: ...
    def ask(self, request: Mapping[str, Any], data: bytes, seconds: float) -> Iterable[Mapping[str, Any]]: ...


@dataclass(frozen=True)
class TestRun:
    """One BPF_PROG_TEST_RUN. `maps` holds each hash and array after it, key and value as bytes (the values of all
    CPUs one after the other, each padded to 8 bytes, for a per-CPU map)."""

    __test__ = False  # pytest takes the name for a test's

    retval: int
    data_out: bytes
    maps: dict[str, dict[bytes, bytes]]


def load(
    made: Object,
    *,
    cap_bpf: bool = False,
    timeout: float = 20,
    log_size: int = 0,
    log_level: int = 0,
    place: Place | None = None,
) -> list[ProgramResult]:
    """Load each program of an object by itself; in the order of the file. `timeout` is in seconds, per program,
    `log_size` the bytes that are kept of a verifier's log (0: as many as the kernel gives), `log_level` the kernel's
    (0: 1, and only for what is refused).

    `cap_bpf` loads with CAP_BPF and CAP_NET_ADMIN alone: without CAP_PERFMON the verifier refuses reads of stack that
    was never written. Tracing programs need CAP_PERFMON and are untried then.
    `place` is another kernel than the one that runs. Whoever asks for it wants to know of what it lacks: a program that
    needs it is rejected there.
    Raises CannotVerify without libbpf or privilege.
    """
    found = programs(made.data)
    request = {
        "programs": [n for n, _ in found],
        "cap_bpf": cap_bpf,
        "timeout": timeout,
        "run": False,
        "log_size": log_size,
        "log_level": log_level,
    }
    seconds = timeout * len(found)
    if not found:
        answers: Mapping[str, Mapping[str, Any]] = {}
    elif place:
        answers = {answer["name"]: answer for answer in place.ask(request, made.data, seconds)}
    else:
        answers = _ask(request, made.data, seconds)
    ended = "the other kernel ended, or took too long" if place else "the process that loads it ended early"
    results = []
    for name, section in found:
        answer = answers.get(name, {"failed": ended, "said": ""})
        verdict, reason = judge(answer, section, cap_bpf)
        log = numbered(without_addresses(answer.get("log", "")), made.data, name)
        if verdict == "rejected" and reason:
            words = _OLD_FORM.search(answer["said"]) or _MAP.search(answer["said"])
            log = f"libbpf: {words[0]}\n{reason}\n"  # type: ignore[index]  # judge found it
        if verdict == "untried" and place and _tells_of_the_kernel(answer):
            verdict = "rejected"
        maps = {m: Map(*facts) for m, facts in answer.get("maps", {}).items()} if verdict == "accepted" else {}
        kernel = place.kernel if place else ""
        results.append(ProgramResult(name, section, verdict, answer.get("insns"), log, reason, kernel, maps))
    return results


def load_in(made: Object, places: Sequence[Place | None], **options: Any) -> list[ProgramResult]:
    """The same in several kernels at once, where None is the one that runs; one after the other in the list."""
    with ThreadPoolExecutor(len(places)) as pool:
        each = pool.map(lambda place: load(made, place=place, **options), places)
        return [result for results in each for result in results]


def test_run(
    made: Object,
    program: str,
    packet: bytes,
    *,
    repeat: int = 1,
    maps: Mapping[str, Mapping[bytes, bytes]] | None = None,
    timeout: float = 20,
) -> TestRun:
    """Load `program`, put `maps` entries in, run it on `packet` and dump the maps.

    For XDP, TC and other network programs `packet` is a frame of at least 14 bytes; for raw tracepoints and syscall
    programs it is the context. RuntimeError says why a program could not be run.
    """
    entries = {n: [(pack(k), pack(v)) for k, v in m.items()] for n, m in (maps or {}).items()}
    request = {"programs": [program], "timeout": timeout, "run": True}
    request |= {"packet": pack(packet), "repeat": repeat, "maps": entries}
    answer = _ask(request, made.data, timeout).get(program, {"failed": "the process that runs it ended early"})
    if "failed" in answer:
        raise RuntimeError(answer["failed"])
    return _run_of(answer)


def test_runs(
    made: Object,
    program: str,
    runs: Sequence[tuple[bytes, Mapping[str, Mapping[bytes, bytes]]]],
    *,
    timeout: float = 20,
    place: Place | None = None,
) -> list[TestRun | None]:
    """Several test runs of one program, each (packet, entries that its maps hold before) with maps of its own; None for
    what could not be run. `place` is another kernel than the one that runs."""
    given = [
        {"packet": pack(packet), "maps": {n: [(pack(k), pack(v)) for k, v in m.items()] for n, m in maps.items()}}
        for packet, maps in runs
    ]
    request = {"programs": [program], "timeout": timeout, "run": True, "repeat": 1, "runs": given}
    found: Mapping[str, Mapping[str, Any]]
    if place:
        found = {answer["name"]: answer for answer in place.ask({**request, "log_size": 0}, made.data, timeout)}
    else:
        found = _ask(request, made.data, timeout)
    answers = found.get(program, {}).get("runs", [])
    return [_run_of(answer) if answer else None for answer in answers] or [None] * len(runs)


def _run_of(answer: Mapping[str, Any]) -> TestRun:
    dumped = {n: {unpack(k): unpack(v) for k, v in m} for n, m in answer["maps"].items()}
    return TestRun(answer["retval"], unpack(answer["data_out"]), dumped)


test_runs.__test__ = False  # type: ignore[attr-defined]
test_run.__test__ = False  # type: ignore[attr-defined]  # pytest takes the name for a test's


def _ask(request: Mapping[str, Any], data: bytes, seconds: float) -> dict[str, dict[str, Any]]:
    """The child's answers by program."""
    with private_folder() as folder:
        given = json.dumps(request).encode() + b"\n" + data
        argv = [sys.executable, "-S", *start("libbpf_child")]
        try:
            done = run(argv, folder=folder, timeout=seconds + _START, given=given)
        except OSError as error:
            cure = "install ebpffix where this user may run it"
            raise CannotVerify(f"{sys.executable} cannot be started ({error.strerror})", cure) from None
    answers: dict[str, dict[str, Any]] = {}
    for line in done.output.splitlines(keepends=True):
        if line.endswith(b"\n"):  # a child that was killed leaves half a line
            answer = json.loads(line)
            if "missing" in answer:
                raise CannotVerify(f"no libbpf ({answer['missing']})", "install libbpf 1.0 or later (libbpf.so.1)")
            answers[answer["name"]] = answer
    if any("bpf_object__probe_loading" in a.get("said", "") for a in answers.values()):
        cure = "run as root, or with CAP_BPF and CAP_PERFMON"
        raise CannotVerify("the kernel lets this user load no BPF program", cure)
    return answers


# What a log says when the machine lacks something, rather than the program.
_LACKS = re.compile(
    r"invalid CO-RE relocation|failed to resolve CO-RE|invalid func \S+#\d+|must provide btf_id|attach_btf|"
    r"address of function \S+ cannot be found|JIT does(?: not|n't) support|(?:vmlinux|kernel|in-kernel) btf is|"
    r"without CONFIG_|not supported by (?:the )?kernel",
    re.IGNORECASE,
)
_STATISTICS = re.compile(
    r"^(?:processed \d+ insns|verification time|stack depth|libbpf: |max_states_per_insn).*$", re.MULTILINE
)
_MAP = re.compile(r"map '([^']*)': failed to create: (.*?)(?:\(-?\d+\))?$", re.MULTILINE)
# Maps in the old form: in the section `maps`, or in one each as only other loaders than libbpf know them.
_OLD_MAPS = re.compile(
    r"legacy map definitions in '.*' section are not supported.*|bad map relo against '.*' in section 'maps/.*"
)
_NO_TYPE = "missing BPF prog type"
_OLD_FORM = re.compile(rf"{_OLD_MAPS.pattern}|{_NO_TYPE}.*")
_NOISE = re.compile(
    r"elf: skipping|BEGIN PROG LOAD LOG|END PROG LOAD LOG|failed to load object|failed to load: "
    r"|failed to iterate BTF objects"  # those of modules, which only CAP_SYS_ADMIN may list
)


def judge(answer: Mapping[str, Any], section: str, cap_bpf: bool) -> tuple[Verdict, str]:
    """The verdict on a child's answer about one program, and why it is untried, or refused for one of its maps."""
    said = [line.removeprefix("libbpf: ") for line in answer.get("said", "").splitlines()]
    said = [line for line in said if not _NOISE.search(line)]
    if "failed" in answer:
        if any(_OLD_MAPS.search(line) for line in said):
            return "rejected", "its maps are defined in the form that libbpf 1.0 and later refuse"
        return "untried", "; ".join([answer["failed"], *said[:1]])
    if answer["errno"] == 0:
        return "accepted", ""
    words = _STATISTICS.sub("", answer["log"]).strip()
    if words:
        lack = _LACKS.search(words)
        if not lack:
            return "rejected", ""
        line = next(n for n in words.splitlines() if lack[0] in n)
        return "untried", f"this kernel lacks something that it needs: {line.strip()}"
    if wrong := _wrong_map(answer, said):
        return "rejected", wrong
    if (now := known_as(section)) and any(_NO_TYPE in line for line in said):
        return "rejected", f"libbpf from 1.0 on knows no section {section}, only {now}"
    return "untried", _machine(answer["errno"], said, section, cap_bpf)


# Errors that say nothing of a kernel, but of the privilege and the memory that there was.
_OURS = (0, errno.EPERM, errno.ENOMEM, errno.EAGAIN, errno.EINTR)


def _tells_of_the_kernel(answer: Mapping[str, Any]) -> bool:
    """Whether it is the kernel that lacks what an untried program needs: not libbpf, the privilege or the memory."""
    said = answer.get("said", "")
    if "failed to find kernel BTF type ID of" in said:  # whatever the error: modules may be hidden from who looks
        return True
    return answer.get("errno", 0) not in _OURS and "missing BPF prog type" not in said


# Where the kernel keeps things, as a load of 64 bits shows it: of a map, mostly.
_ADDRESS = re.compile(r"(\(18\) r\d+ = )0xffff(?!ffffff[ef])[89a-f][0-9a-f]{11}\b")


def without_addresses(log: str) -> str:
    """A verifier's log as who may not see the kernel's addresses gets it: a report goes to many."""
    return _ADDRESS.sub(r"\g<1>0x0", log)


def _wrong_map(answer: Mapping[str, Any], said: Sequence[str]) -> str:
    """What is wrong with the map that could not be made, "" if it is not its definition."""
    match = _MAP.search("\n".join(said))
    definition = answer.get("maps", {}).get(match[1]) if match else None
    if not match or not definition or answer["errno"] != errno.EINVAL:
        return ""
    wrong = fault(Map(*definition), os.sysconf("SC_PAGESIZE"))
    return f"no kernel makes its map {match[1]}: {wrong}" if wrong else ""


def _machine(number: int, said: Sequence[str], section: str, cap_bpf: bool) -> str:
    text = "\n".join(said)
    match = _MAP.search(text)
    if match:
        return f"its map {match[1]} cannot be made here: {match[2]}"
    if _NO_TYPE in text:
        return f"libbpf does not know the section {section}"
    if said and "program load failed" not in text:
        return said[0]
    if cap_bpf and number == errno.EPERM:
        return f"programs of section {section} need more than CAP_BPF"
    return f"programs of section {section} do not load on this machine ({strerror(number)}, empty log)"


def kernel_release() -> str:
    """The running kernel, as `uname -r` says it."""
    return platform.release()
