"""Process 1 of a guest: loads what it is asked to, until the machine is ended from outside.

Requests and answers lie in memory that both machines see, a device without a driver; the second serial port carries
their lengths, one line each. Runs in the guest alone, under the Python and with the modules that were packed for it.
"""

from __future__ import annotations

import ctypes
import glob
import json
import mmap
import os
import resource
import tty
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ebpffix.verify.child import Answer
from ebpffix.verify.libbpf_child import answers, library

SHARED = 64 << 20  # bytes of the memory
LOG = 1 << 20  # characters that are kept of a log's end, unless the request says otherwise
_DEVICE = ("0x1af4", "0x1110")  # ivshmem


def main(work: Callable[[ctypes.CDLL, Answer, bytes], Iterable[Answer]] = answers) -> None:
    """Answer requests with `work`, which gets libbpf, the request and the object."""
    libc = ctypes.CDLL(None)
    for kind, folder in ((b"devtmpfs", b"/dev"), (b"proc", b"/proc"), (b"sysfs", b"/sys")):
        libc.mount(kind, folder, kind, 0, None)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    port = os.open("/dev/ttyS1", os.O_RDWR | os.O_NOCTTY)
    tty.setraw(port)
    lib, memory = library(), _memory()
    _say(port, os.uname().release)
    for length in _lines(port):
        head, _, data = memory[: int(length)].partition(b"\n")
        request = json.loads(head)
        done = [_short(answer, request["log_size"] or LOG) for answer in work(lib, request, data)]
        said = json.dumps(done).encode()
        if len(said) > SHARED:
            said = json.dumps([{**answer, "log": ""} for answer in done]).encode()
        memory[: len(said)] = said
        _say(port, str(len(said)))


def _short(answer: Answer, most: int) -> Answer:
    return {**answer, "log": answer["log"][-most:]} if "log" in answer else answer


def _memory() -> mmap.mmap:
    for folder in glob.glob("/sys/bus/pci/devices/*"):
        if tuple(Path(folder, name).read_text().strip() for name in ("vendor", "device")) == _DEVICE:
            with open(f"{folder}/resource2", "r+b") as file:
                return mmap.mmap(file.fileno(), SHARED)
    raise SystemExit("no memory that is shared with the machine outside")


def _lines(port: int) -> Iterator[str]:
    with os.fdopen(os.dup(port), "r", encoding="ascii") as file:
        yield from iter(file.readline, "")


def _say(port: int, line: str) -> None:
    os.write(port, f"{line}\n".encode())
