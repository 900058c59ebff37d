"""Compile and load BCC programs with BCC as installed, and say what the verifier said.

BCC lives in the system's Python, and compiles against kernel headers that Debian splits over two packages. Nothing is
attached, though BCC would attach whatever is named `kprobe__…`; nothing stays pinned.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ebpffix.kernel.headers import build_folder, is_whole, split_packages
from ebpffix.kernel.program_types import BCC_NAMES, Kind
from ebpffix.sources.files import root_of
from ebpffix.sources.reach import Reach
from ebpffix.sources.source import Source
from ebpffix.verify import CannotVerify
from ebpffix.verify.child import pack, start, unpack
from ebpffix.verify.compile import CompileError
from ebpffix.verify.load import ProgramResult, judge, kernel_release, without_addresses
from ebpffix.verify.process import environment, is_foreign, kill, limit, rights, started

PYTHON = "/usr/bin/python3"
_INSTALL = "install BCC for the system's Python (Debian: python3-bpfcc)"
_LIFE = 24 * 3600  # seconds of CPU for the child that forks the others; each of those has its own limit

# enum bpf_prog_type
_SOCKET_FILTER, _KPROBE, _SCHED_CLS, _TRACEPOINT, _XDP, _PERF_EVENT = 1, 2, 3, 5, 6, 7
_CGROUP_SKB, _CGROUP_SOCK, _SOCK_OPS, _SK_SKB, _SK_MSG, _RAW_TRACEPOINT = 8, 9, 13, 14, 16, 17
_CGROUP_SOCK_ADDR, _TRACING, _LSM = 18, 26, 29

# A function's name tells BCC what it is; any other can stand for what the host program attaches it to.
_OF_KIND = {
    Kind.FUNCTION: _KPROBE, Kind.EVENT: _TRACEPOINT, Kind.RAW: _RAW_TRACEPOINT, Kind.TYPED: _TRACING,
}  # fmt: skip
_BY_NAME = {p: _LSM if p == "lsm__" else _OF_KIND[kind] for p, (kind, _) in BCC_NAMES.items()}
_BY_CONTEXT = {
    "pt_regs": [_KPROBE],
    "xdp_md": [_XDP],
    "__sk_buff": [_SCHED_CLS, _SOCKET_FILTER],
    "bpf_perf_event_data": [_PERF_EVENT],
    "bpf_raw_tracepoint_args": [_RAW_TRACEPOINT],
    "bpf_sock_ops": [_SOCK_OPS],
    "sk_msg_md": [_SK_MSG],
    "bpf_sock": [_CGROUP_SOCK],
    "bpf_sock_addr": [_CGROUP_SOCK_ADDR],
}
_SECTIONS = {
    _SOCKET_FILTER: "socket", _KPROBE: "kprobe", _SCHED_CLS: "tc", _TRACEPOINT: "tracepoint", _XDP: "xdp",
    _PERF_EVENT: "perf_event", _CGROUP_SOCK: "cgroup/sock", _SOCK_OPS: "sockops", _SK_MSG: "sk_msg",
    _RAW_TRACEPOINT: "raw_tracepoint", _CGROUP_SOCK_ADDR: "cgroup/sock_addr", _TRACING: "fentry", _LSM: "lsm",
}  # fmt: skip
_FUNCTION = re.compile(rb"\b(\w+)\s*\(\s*(?:const\s+)?struct\s+(\w+)\s*\*\s*\w+[^;{}()]*\)\s*\{")


@dataclass(frozen=True)
class Checked:
    """What BCC made of one text: each function's verdict (its section is the kind of program it was loaded as), and
    `parts`, which are equal for two texts when the kernel is given the same: code by function, maps, licence."""

    programs: tuple[ProgramResult, ...]
    parts: Mapping[str, object]

    def same(self, other: Checked) -> bool:
        return self.parts == other.parts


class Bcc:
    """A running BCC. `cache` is a folder for merged kernel headers. Use it as a context manager, from any thread.

    Raises CannotVerify without BCC or kernel headers.
    """

    def __init__(self, cache: Path, *, python: str = PYTHON) -> None:
        self._python = python
        self._headers = kernel_headers(cache)
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self.version = ""
        with self._lock:
            self._started()

    def __enter__(self) -> Bcc:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with self._lock:
            self._stop()

    def check(
        self,
        path: Path,
        text: bytes,
        *,
        flags: Sequence[str] = (),
        load: bool = True,
        cap_bpf: bool = False,
        reach: Reach | None = None,
        timeout: float = 60,
    ) -> Checked | CompileError:
        """Compile `text`, the contents of `path`, and load each function by itself.

        `flags` are taken as they are. Without `load` the functions are untried, only `parts` counts. `timeout` is in
        seconds, for all of it.
        """
        waiting = _placeholder(path, text)
        if waiting:
            return waiting
        request = {
            "text": pack(text),
            "flags": ["-w", *flags, f"-I{path.parent}"],
            "by_name": _BY_NAME,
            "by_context": _types(path, text),
            "default": _KPROBE,
            "load": load,
            "cap_bpf": cap_bpf,
            **rights(reach or Reach(root_of(path)), [self._headers], foreign=is_foreign(path)),
            "timeout": timeout,
            "total": timeout,
        }
        with self._lock:
            answer = self._ask(request, timeout + 10)
        if "compile" in answer or "failed" in answer:
            return _complaint(path, text, answer)
        programs = [_result(name, tries, cap_bpf) for name, tries in answer["programs"].items()]
        parts: dict[str, object] = {f"program {n}": unpack(c) for n, c in answer["code"].items()}
        parts |= {f"map {n}": tuple(facts) for n, facts in answer["maps"].items()}
        return Checked(tuple(programs), {**parts, "licence": answer["licence"]})

    # -- the child

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._stop()
        env = {**environment(), "BCC_KERNEL_SOURCE": str(self._headers)}
        argv = [self._python, *start("bcc_child")]
        try:
            self._child = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=env,
                start_new_session=True,
            )
        except OSError as error:
            raise CannotVerify(f"no BCC ({self._python}: {error.strerror})", _INSTALL) from None
        started(self._child)
        limit(self._child.pid, _LIFE)
        hello = self._read(self._child, 60)
        if "bcc" not in hello:
            self._stop()
            raise CannotVerify(f"no BCC ({hello.get('missing') or hello.get('failed')})", _INSTALL)
        self.version = hello["bcc"]
        return self._child

    def _ask(self, request: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        child = self._started()
        assert child.stdin is not None
        try:
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
        except BrokenPipeError:
            self._stop()
            return {"failed": "BCC ended early", "said": ""}
        answer = self._read(child, timeout)
        if "said" not in answer:  # not the child's own words
            self._stop()
        return answer

    def _read(self, child: subprocess.Popen[bytes], timeout: float) -> dict[str, Any]:
        """One line of the child; the child is useless after a failure here."""
        assert child.stdout is not None
        deadline, line = time.monotonic() + timeout, bytearray()
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([child.stdout], [], [], left)[0]:
                return {"failed": f"BCC did not answer within {timeout:g} s"}
            part = os.read(child.stdout.fileno(), 1 << 20)
            if not part:
                return {"failed": "BCC ended early"}
            line += part
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            kill(child)
            for pipe in (child.stdin, child.stdout):
                with contextlib.suppress(OSError):
                    assert pipe is not None
                    pipe.close()


def kernel_headers(cache: Path) -> Path:
    """Headers that BCC can compile against: the running kernel's build folder when it is whole, else Debian's two
    packages merged under `cache`. Raises CannotVerify when there are none."""
    if build := build_folder():
        return build
    if packages := split_packages():
        return _merged(*packages, cache / packages[1].name)
    cure = f"install them (Debian: linux-headers-amd64; else the package for {kernel_release()})"
    raise CannotVerify("no kernel headers for BCC", cure)


def _merged(common: Path, machine: Path, target: Path) -> Path:
    if not is_whole(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as name:
            made = Path(name, "headers")
            for part in (common / "include", common / "arch", machine / "include", machine / "arch"):
                shutil.copytree(part, made / part.name, symlinks=True, dirs_exist_ok=True)
            # Another run may have been faster; what it made is the same.
            with contextlib.suppress(OSError):
                made.rename(target)
    return target


def _types(path: Path, text: bytes) -> dict[str, list[int]]:
    """By function, the kinds of program that its context allows, the likeliest first. A context of the program's own
    making is a tracepoint's, mostly."""
    found = _FUNCTION.finditer(Source(path, text).code)
    return {m[1].decode(): _BY_CONTEXT.get(m[2].decode(), [_KPROBE, _TRACEPOINT, _PERF_EVENT]) for m in found}


def _result(name: str, tries: Sequence[Mapping[str, Any]], cap_bpf: bool) -> ProgramResult:
    """The function's result: it is right if it loads as any kind that its context allows, else the first counts."""
    best = next((t for t in tries if t.get("errno") == 0), tries[0])
    section = _SECTIONS[best["kind"]]
    if "errno" not in best and "failed" not in best:
        return ProgramResult(name, section, "untried", reason="not loaded")
    log = without_addresses(best["said"].partition("Failed to load program")[2].partition("\n")[2])
    verdict, reason = judge({**best, "said": "", "log": log}, section, cap_bpf)
    return ProgramResult(name, section, verdict, best.get("insns"), log, reason)


_MARK = re.compile(rb"##\w+##|%\(\w+\)s|\{\{\w+\}\}|\$\{\w+\}")
_UNKNOWN = re.compile(r"(?:undeclared identifier|unknown type name) '([A-Z][A-Z0-9_]+)'")


def _placeholder(path: Path, text: bytes) -> CompileError | None:
    """Text that only the host program makes into C, seen before it is compiled."""
    match = _MARK.search(Source(path, text).uncommented)
    return _waits(path, text, match.start(), match[0].decode()) if match else None


def _waits(path: Path, text: bytes, offset: int, name: str) -> CompileError:
    line = Source(path, text).line(offset)
    return CompileError((f"{path}:{line}: {name} stands for text that the host program puts in",))


def _complaint(path: Path, text: bytes, answer: Mapping[str, Any]) -> CompileError:
    said = answer.get("said", "").replace("/virtual/main.c", str(path))
    unknown = _UNKNOWN.search(said)
    if unknown:
        place = re.compile(rb"\b%s\b" % unknown[1].encode()).search(Source(path, text).code)
        if place:
            return _waits(path, text, place.start(), unknown[1])
    if "failed" in answer:
        return CompileError((f"{path}: error: {answer['failed']}",))
    return CompileError(tuple(said.splitlines()[:200]) or (f"{path}: error: {answer['compile']}",))
