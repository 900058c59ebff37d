"""One child process with limits on time, memory and output: what it compiles or loads may be hostile.

No shell, a session of its own (so that its children die with it), and no way to write into the tree.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ebpffix.sources.reach import SYSTEM, Reach
from ebpffix.verify.child import start
from ebpffix.verify.confine import CAP_DAC_READ_SEARCH

MEMORY = 4 << 30  # bytes of address space: clang and libbcc on vmlinux.h stay far below
OUTPUT = 64 << 20  # bytes that one file may grow to
_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "CPATH", "C_INCLUDE_PATH", "TMPDIR")
_SPARE = 10  # seconds of CPU above the wall time, for work done by several threads


@dataclass(frozen=True)
class Finished:
    """How a child ended: `code` is its exit code, negative for a signal, None when its time was up."""

    code: int | None
    output: bytes
    errors: bytes


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A folder that only this user can read, removed on every way out."""
    with tempfile.TemporaryDirectory(prefix="ebpffix-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def limit(pid: int, seconds: float | None) -> None:
    """Bound a child that has just started; its CPU time only where `seconds` are given. Set from outside: code between
    fork and exec is not safe with threads."""
    cpu = resource.RLIM_INFINITY if seconds is None else int(seconds) + _SPARE
    for what, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_FSIZE, OUTPUT),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ProcessLookupError):  # it ended already
            resource.prlimit(pid, what, (most, most))


def environment() -> dict[str, str]:
    """The variables that a child gets: how programs and headers are found. The others may be secrets, and what is
    compiled can ask for them (/proc/self/environ)."""
    return {name: os.environ[name] for name in _VARIABLES if name in os.environ} | {"LC_ALL": "C"}


def is_foreign(path: Path) -> bool:
    """Is it a file of another user, whose folders need not be open to all?"""
    return path.exists() and path.stat().st_uid != os.geteuid()


def confined(command: Sequence[str], reach: Reach, folder: Path, *, foreign: bool) -> list[str]:
    """`command`, which begins with an absolute path, so that it reads only what is in `reach`, the system's headers and
    what it is made of itself, and writes only into `folder`. `foreign`: the files are another user's."""
    tool = Path(os.path.realpath(command[0]))
    parts = [tool.parent, *(tool.parent.parent / part for part in ("lib", "lib64", "include"))]
    request = folder / "confine.json"
    request.write_text(json.dumps(rights(reach, parts, foreign=foreign) | {"own": [str(folder), os.devnull]}))
    return [sys.executable, "-S", *start("confine"), str(request), *command]


def rights(reach: Reach, parts: Iterable[Path], *, foreign: bool) -> dict[str, list[str] | list[int]]:
    """What a process that compiles keeps, as `confine` takes it; `parts` are the folders of what it is made of."""
    kernel = ["/usr/src", "/lib/modules", "/sys/kernel/btf", "/proc/kallsyms", "/proc/cpuinfo"]
    return {
        "tree": [*reach.shown(), *kernel],
        "system": [*SYSTEM, *map(str, parts)],
        "keep": [CAP_DAC_READ_SEARCH] if foreign else [],
    }


_running: set[subprocess.Popen[Any]] = set()
_ended = False


class Ended(Exception):
    """The run is being ended: nothing is started any more."""


def started(child: subprocess.Popen[Any]) -> None:
    """Count a child among those that `end_all` ends."""
    _running.add(child)
    if _ended:
        kill(child)
        raise Ended


def used() -> float:
    """The CPU seconds of all children so far, also of those that still run, with what they started and waited for."""
    done, ticks = resource.getrusage(resource.RUSAGE_CHILDREN), 0
    for child in tuple(_running):
        with contextlib.suppress(OSError), open(f"/proc/{child.pid}/stat", "rb") as file:
            ticks += sum(map(int, file.read().rpartition(b")")[2].split()[11:15]))
    return done.ru_utime + done.ru_stime + ticks / os.sysconf("SC_CLK_TCK")


def end_all() -> None:
    """End every child, of all threads, and start no other one: for a run that a signal ends."""
    global _ended
    _ended = True
    for child in tuple(_running):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)


def kill(child: subprocess.Popen[Any]) -> None:
    """End a child and all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    _running.discard(child)


def run(
    argv: Sequence[str], *, folder: Path, timeout: float, env: Mapping[str, str] | None = None, given: bytes = b""
) -> Finished:
    """Run a command to its end, with `env` and what `environment` gives. Output goes through files of `folder`, so that
    it stays bounded.

    OSError passes through when the command cannot be started.
    """
    with _file(folder) as stdin, _file(folder) as stdout, _file(folder) as stderr:
        stdin.write(given)
        stdin.seek(0)
        child = subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env={**environment(), **(env or {})},
            close_fds=True,
            start_new_session=True,
        )
        code: int | None
        started(child)
        try:
            limit(child.pid, timeout)
            code = child.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            kill(child)
        return Finished(code, _all(stdout), _all(stderr))


def _file(folder: Path) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=folder)


def _all(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read(OUTPUT)
