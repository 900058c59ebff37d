"""What a library asks the kernel to make maps of, counted before the kernel does: BCC makes them as it compiles.

The kernel itself asks back (seccomp's user notification): the thread that wants a map waits until another one of the
same process has seen what it is. No code of the checked program runs in here, so nobody changes a request in between.
Runs in the child alone, under whatever Python it has (3.9 or later).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import struct
import sys
import threading

from ebpffix.verify.map_memory import MOST, needed

_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "ppc64le": 361, "s390x": 351}
_SECCOMP = {"x86_64": 317, "aarch64": 277, "riscv64": 277, "loongarch64": 277, "ppc64le": 358, "s390x": 348}
_SET_FILTER, _NEW_LISTENER = 1, 1 << 3
_ASK, _ALLOW = 0x7FC00000, 0x7FFF0000  # SECCOMP_RET_USER_NOTIF, _ALLOW
_RECEIVE, _SEND = (3 << 30 | size << 16 | ord("!") << 8 | number for size, number in ((80, 0), (24, 1)))
_CONTINUE = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE, from kernel 5.5 on
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # classic BPF: A = word; jump; answer


class MapGuard:
    """From its making on, no map is made that brings the sum for this process above `MOST`: that fails with ENOMEM, and
    `total` tells the sum, in bytes. `on` is False where the kernel cannot do so: then nothing changes.

    Nothing may gain privileges afterwards (PR_SET_NO_NEW_PRIVS must be set). What is forked off later is not counted.
    """

    def __init__(self) -> None:
        self.total = 0
        self._cpus = os.sysconf("SC_NPROCESSORS_CONF")
        self._listener = -1
        name, release = platform.machine(), tuple(map(int, os.uname().release.split(".")[:2]))
        if name in _BPF and release >= (5, 5):
            self._listener = _listen(_SECCOMP[name], _BPF[name])
        if self.on:
            threading.Thread(target=self._serve, daemon=True).start()

    @property
    def on(self) -> bool:
        return self._listener >= 0

    def _serve(self) -> None:
        """Answer until the process ends. Whoever asks while nobody answers is refused by the kernel."""
        while True:
            try:
                asked = fcntl.ioctl(self._listener, _RECEIVE, bytes(80))
                number, process, _, _, _, _, _, at = struct.unpack_from("=QIIiIQQQ", asked)
                fine = process != os.getpid() or self._take(at)
                answer = (0, 0, _CONTINUE) if fine else (0, -errno.ENOMEM, 0)
                fcntl.ioctl(self._listener, _SEND, struct.pack("=QqiI", number, *answer))
            except OSError as error:
                if error.errno not in (errno.EINTR, errno.ENOENT):  # who asked was interrupted, or is gone
                    os.close(self._listener)
                    return

    def _take(self, at: int) -> bool:
        """Count the map whose definition lies at this address."""
        kind, key, value, entries, flags = struct.unpack("=5I", ctypes.string_at(at, 20))
        self.total += needed(kind, key, value, entries, flags, self._cpus)
        return self.total <= MOST


def _listen(seccomp: int, bpf: int) -> int:
    """A descriptor at which the kernel tells of each BPF_MAP_CREATE of this thread and its children; -1 for none."""
    command = 16 if sys.byteorder == "little" else 20  # where the low half of the first argument stands
    program = (
        (_LOAD, 0, 0, 0),  # the number of the system call
        (_IF_EQUAL, 0, 3, bpf),
        (_LOAD, 0, 0, command),
        (_IF_EQUAL, 0, 1, 0),  # BPF_MAP_CREATE
        (_RETURN, 0, 0, _ASK),
        (_RETURN, 0, 0, _ALLOW),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    told = struct.pack("@HP", len(program), ctypes.addressof(code))
    return int(ctypes.CDLL(None).syscall(seccomp, _SET_FILTER, _NEW_LISTENER, told))
