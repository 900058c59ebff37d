"""What a worker may take of the machine: memory as long as it lives, CPU time for each program.

A few lines of macros are enough to fill any machine, and nobody sees that before the compiler does.
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
import time

# Bytes. With types of its own for every program a worker needs some 400 MB; what is mapped from a file, as a
# precompiled header is, does not count.
_MOST, _LEAST = 2 << 30, 1 << 30
_PR_SET_PDEATHSIG = 1


def share(workers: int) -> int:
    """The bytes that each of so many workers may fill, so that all of them leave half of the machine."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(_LEAST, min(_MOST, machine // (2 * workers)))


def bound(memory: int) -> None:
    """Let this process fill so much more than it has, for its life. It dies with its parent, and leaves no core."""
    resource.setrlimit(resource.RLIMIT_DATA, (filled() + memory,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def filled() -> int:
    """The bytes that this process has filled or reserved, as the limit counts them."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[5]) * os.sysconf("SC_PAGE_SIZE")


def peak() -> int:
    """The most bytes of memory that this process has had at once."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def allow(seconds: int) -> None:
    """Let this process use the CPU for so long from now on; SIGXCPU ends it then, whatever it does."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time()) + seconds, hard))


def used(pid: int) -> int:
    """The CPU time of another process so far, in ticks of the kernel's clock; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            user, system = file.read().rpartition(b")")[2].split()[11:13]
    except OSError:
        return 0
    return int(user) + int(system)
