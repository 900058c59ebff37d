"""What the loading children share: a process for each piece of work, with its own limits and fewer capabilities.

Runs in the children alone, under whatever Python they have (BCC's is the system's, 3.9 or later): the standard library,
and nothing newer.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import resource
import select
import signal
import time
from collections.abc import Callable
from typing import Any, cast

from ebpffix.verify.confine import (
    CAP_BPF,
    CAP_NET_ADMIN,
    CAP_PERFMON,
    CAP_SYS_ADMIN,
    die_with_parent,
    keep_capabilities,
)

Answer = dict[str, Any]


class Failed(Exception):
    """What could not be tried, in one line."""


def strerror(number: int) -> str:
    return f"{os.strerror(number)} ({errno.errorcode.get(number, number)})"


def drop_capabilities() -> None:
    """Keep CAP_BPF, and CAP_NET_ADMIN, without which no network program or map loads at all and which makes the
    verifier no more lenient; it is CAP_PERFMON and CAP_SYS_ADMIN that do."""
    try:
        keep_capabilities((CAP_NET_ADMIN, CAP_BPF))
    except OSError as error:
        raise Failed(f"cannot drop to CAP_BPF: {strerror(error.errno or 0)}") from None


def loading_only(*others: int) -> None:
    """Keep what loading takes, `others` beside it, and nothing else of root."""
    old = CAP_SYS_ADMIN if tuple(map(int, os.uname().release.split(".")[:2])) < (5, 8) else CAP_BPF
    keep_capabilities((CAP_NET_ADMIN, CAP_PERFMON, old, *others))


def pack(data: bytes) -> str:
    return base64.b64encode(data).decode()


def unpack(text: str) -> bytes:
    return base64.b64decode(text)


def apart(work: Callable[[], Answer], timeout: float, memory: int) -> Answer:
    """Do `work` in a process of its own, within `timeout` seconds and `memory` bytes of address space.

    What it writes to standard error comes back as "said".
    """
    read, write = os.pipe()
    said = os.memfd_create("said")
    child = os.fork()
    if not child:
        status = 1
        with contextlib.suppress(BaseException):
            die_with_parent()
            os.close(read)
            os.dup2(said, 2)
            os.dup2(os.open(os.devnull, os.O_RDWR), 0)
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
            resource.setrlimit(resource.RLIMIT_CPU, (int(timeout) + 1, int(timeout) + 1))
            try:
                answer = work()
            except Failed as failed:
                answer = {"failed": str(failed)}
            with os.fdopen(write, "wb") as file:
                file.write(json.dumps(answer).encode())
            status = 0
        os._exit(status)
    os.close(write)
    gathered = gather(read, time.monotonic() + timeout)
    if gathered is None:
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    size = min(os.fstat(said).st_size, 1 << 20)
    text = os.pread(said, size, 0).decode(errors="replace")
    os.close(said)
    if gathered is None:
        result: Answer = {"failed": f"not done within {timeout:g} s"}
    elif status:
        result = {"failed": f"the loader ended with {'signal ' if status < 0 else ''}{abs(status)}"}
    else:
        result = cast(Answer, json.loads(gathered))
    return {**result, "said": text}


def gather(descriptor: int, deadline: float) -> bytes | None:
    """All that comes until the other end closes; None when the time is up, or nobody is there to be told."""
    parts: list[bytes] = []
    parent = os.getppid()
    try:
        while True:
            left = max(deadline - time.monotonic(), 0)
            ready, _, _ = select.select([descriptor], [], [], min(left, 0.5))
            if not ready:
                if left and os.getppid() == parent:
                    continue
                return None
            part = os.read(descriptor, 1 << 20)
            if not part:
                return b"".join(parts)
            parts.append(part)
    finally:
        os.close(descriptor)


def start(module: str) -> list[str]:
    """Arguments for a Python that run the `main` of a module of this folder. Neither the current folder nor the
    environment can add a module: the folder that holds this package comes last on the path."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    code = f"import sys; sys.path.append(sys.argv[1]); from ebpffix.verify.{module} import main; main()"
    return ["-I", "-c", code, root]
