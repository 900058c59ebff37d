"""A machine under qemu that loads programs in another kernel: one boot, then one request after the other.

It has no network, no disk and nothing of this machine but the files that were packed for it; qemu itself has no
capabilities, and sees its image and its own folder. What comes out of it is a stranger's: bounded, and believed only in
the form that it must have.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from ebpffix.sources.reach import SYSTEM
from ebpffix.verify import CannotVerify
from ebpffix.verify.child import start
from ebpffix.verify.guest import contents
from ebpffix.verify.guest.accelerator import kvm_works
from ebpffix.verify.guest.believe import believed
from ebpffix.verify.guest.images import Image
from ebpffix.verify.guest.init import LOG, SHARED
from ebpffix.verify.process import kill, limit, started

_QEMU = "qemu-system-x86_64"
_MEMORY = 1024  # MB
_BOOT = 120  # seconds; an emulated machine on a busy one
_SLOWER = 6  # how much longer an emulated processor may take
_SPARE = 20  # seconds above those of the programs: a loader ends one in time by itself
_DEATHS = 3  # a machine that ended so often is not started again
_LINE = 256  # bytes that a line of the guest may have
_KERNEL_LINE = "console=ttyS0 quiet panic=-1 oops=panic no_timer_check tsc=reliable"


@dataclass(frozen=True)
class Emulator:
    """A qemu, whether it has KVM, and the archive that each guest starts with."""

    qemu: str
    kvm: bool
    archive: Path


def emulator(image: Image, folder: Path, cache: Path | None, init: bytes = contents.INIT) -> Emulator:
    """What guests run on, and do; `folder` is for the archive. CannotVerify without qemu."""
    qemu = find_qemu()
    archive = folder / "initramfs"
    archive.write_bytes(contents.initramfs(init))
    return Emulator(qemu, kvm_works(qemu, image, cache), archive)


def find_qemu() -> str:
    """The absolute path of qemu. CannotVerify where there is none, or no use for it."""
    if os.uname().machine != "x86_64":
        raise CannotVerify("other kernels are tried on x86-64 alone", "leave --kernels and --kernel out here")
    if not (qemu := shutil.which(_QEMU)):
        raise CannotVerify(f"no {_QEMU}", "install qemu (Debian: qemu-system-x86)")
    return os.path.abspath(qemu)


class Guest:
    """One kernel, booted when it is first needed, or by `boot`. Threads and forks of a process take turns.

    `kernel` is the release that its image names.
    """

    def __init__(self, image: Image, emulator: Emulator, folder: Path) -> None:
        self.kernel = image.release
        self._image = image
        self._emulator = emulator
        self._folder = folder / image.release
        self._folder.mkdir(exist_ok=True)
        self._child: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._deaths = 0
        self._known: dict[bytes, Sequence[Mapping[str, Any]]] = {}

    def boot(self) -> None:
        """Start it, and do not wait."""
        memory = self._folder / "memory"
        with open(memory, "wb") as file:
            file.truncate(SHARED)
        with open(memory, "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), SHARED)
        self._port, theirs = socket.socketpair()
        with theirs, open(self._folder / "errors", "wb") as errors:
            argv = [sys.executable, "-S", *start("confine"), self._rights(), *self._command(theirs.fileno(), memory)]
            self._child = _started(argv, theirs.fileno(), errors)
        started(self._child)
        limit(self._child.pid, None)
        self._ready = False
        self._until = time.monotonic() + _BOOT

    def wait(self) -> None:
        """Until it has booted. CannotVerify where it does not."""
        if self._child is None:
            self.boot()
        if not self._ready:
            try:
                if self._line(self._until) != self.kernel:
                    raise _Ended
            except (_Ended, OSError) as ended:
                why = "did not boot" if isinstance(ended, TimeoutError) else "ended while it booted"
                said = self._last_words()
                self.close()
                self._deaths = _DEATHS
                raise CannotVerify(f"Linux {self.kernel} {why}{said}", "try another image") from None
            self._ready = True

    def ask(self, request: Mapping[str, Any], data: bytes, seconds: float) -> Sequence[Mapping[str, Any]]:
        """The answers of a loader, as `libbpf_child` has them, to a request with an object; fewer where the machine
        ended early, or took longer than `seconds`. CannotVerify where the kernel cannot be had."""
        key = sha256(json.dumps(request, sort_keys=True).encode() + data).digest()
        with self._turn():
            if self._deaths >= _DEATHS:
                raise CannotVerify(f"Linux {self.kernel} ended {_DEATHS} times", "see what it says of each program")
            if key not in self._known:
                self.wait()
                answers = self._asked(request, data, seconds)
                if answers is None:
                    return []
                self._known[key] = answers
            return self._known[key]

    def _asked(self, request: Mapping[str, Any], data: bytes, seconds: float) -> Sequence[Mapping[str, Any]] | None:
        slower = 1 if self._emulator.kvm else _SLOWER
        given = json.dumps({**request, "timeout": request["timeout"] * slower}).encode() + b"\n" + data
        if len(given) > SHARED:
            return [{"name": n, "failed": "its object is too large for a guest"} for n in request["programs"]]
        self._memory[: len(given)] = given
        try:
            self._port.sendall(b"%d\n" % len(given))
            length = self._line(time.monotonic() + seconds * slower + _SPARE)
            said = self._memory[: int(length)] if length.isdecimal() else b""
            if (answers := believed(said, request["programs"], request["log_size"] or LOG)) is None:
                raise _Ended
            return answers
        except (_Ended, OSError):
            self.close()
            self._deaths += 1
            return None

    def close(self) -> None:
        """End it."""
        if self._child:
            kill(self._child)
            self._port.close()
            self._child = None

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        with open(self._folder / "turn", "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _line(self, end: float) -> str:
        """The next line of the guest. TimeoutError; _Ended where it says no more, or too much."""
        line = b""
        while not line.endswith(b"\n"):
            self._port.settimeout(max(end - time.monotonic(), 0.001))
            part = self._port.recv(_LINE)
            line += part
            if not part or len(line) > _LINE:
                raise _Ended
        return line.decode("ascii", "replace").strip()

    def _last_words(self) -> str:
        """What qemu said, else the last line of the kernel's console."""
        for name in ("errors", "console"):
            with contextlib.suppress(OSError):
                text = (self._folder / name).read_bytes()[-4096:].decode("ascii", "replace").split("\n")
                said = [line.strip() for line in text if line.strip()]
                if said:
                    return f": {said[-1][:200]}"
        return ""

    def _rights(self) -> str:
        request = self._folder / "confine.json"
        devices = [os.devnull, *(["/dev/kvm"] if self._emulator.kvm else [])]
        tree = [str(self._image.path), str(self._emulator.archive), "/usr/share"]  # where qemu's firmware is
        system = [*SYSTEM, os.path.dirname(os.path.dirname(os.path.realpath(self._emulator.qemu)))]
        rights = {"tree": tree, "system": system, "own": [str(self._folder), *devices], "keep": []}
        request.write_text(json.dumps(rights))
        return str(request)

    def _command(self, port: int, memory: Path) -> list[str]:
        kvm = self._emulator.kvm
        argv = [self._emulator.qemu, "-machine", "pc", "-accel", "kvm" if kvm else "tcg,tb-size=256"]
        argv += ["-cpu", "host" if kvm else "Nehalem,+rdrand", "-smp", "1", "-m", str(_MEMORY), "-no-reboot"]
        argv += ["-nodefaults", "-no-user-config", "-display", "none", "-nic", "none"]
        argv += ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]
        argv += ["-kernel", str(self._image.path), "-initrd", str(self._emulator.archive)]
        argv += ["-append", f"{_KERNEL_LINE} {contents.LINE}"]
        argv += ["-object", f"memory-backend-file,id=shared,share=on,size={SHARED},mem-path={_escaped(memory)}"]
        argv += ["-device", "ivshmem-plain,memdev=shared"]
        argv += ["-serial", f"file:{_escaped(self._folder / 'console')}"]
        return [*argv, "-chardev", f"socket,id=port,fd={port}", "-serial", "chardev:port"]


def _started(argv: Sequence[str], port: int, errors: IO[bytes]) -> subprocess.Popen[bytes]:
    """A process, which ends with the thread that started it: one that waits for it."""
    found: SimpleQueue[subprocess.Popen[bytes] | OSError] = SimpleQueue()

    def stay() -> None:
        try:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                pass_fds=[port],
                start_new_session=True,
            )
        except OSError as error:
            found.put(error)
            return
        found.put(child)
        child.wait()

    threading.Thread(target=stay, daemon=True).start()
    child = found.get()
    if isinstance(child, OSError):
        raise CannotVerify(f"{argv[0]} cannot be started ({child.strerror})", "install ebpffix where it may run")
    return child


class _Ended(Exception):
    """Nothing comes out of the guest any more that could be used."""


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")
