"""Machines: what headers and compilers call each, and which registers hold a function's arguments.

Source: libbpf's bpf_tracing.h, and each architecture's include/asm/ptrace.h and calling convention.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """`target` is what stands behind `__TARGET_ARCH_`, which chooses the layout of struct pt_regs, and `names` how
    `uname -m` and folders of headers call the machine."""

    target: str
    names: tuple[str, ...]


_MACHINES = (
    Machine("x86", ("x86_64", "amd64", "x64", "i686")),
    Machine("arm64", ("aarch64",)),
    Machine("arm", ("armv7l",)),
    Machine("powerpc", ("ppc64le", "ppc64", "ppc")),
    Machine("s390", ("s390x",)),
    Machine("riscv", ("riscv64",)),
    Machine("loongarch", ("loongarch64",)),
    Machine("mips", ("mips64",)),
)
_BY_NAME = {name: machine for machine in _MACHINES for name in (machine.target, *machine.names)}
NAMES = frozenset(_BY_NAME)


def machine(name: str) -> Machine | None:
    """The machine of a name; None for one that has no BPF of its own kind here."""
    return _BY_NAME.get(name.lower())


def here() -> Machine | None:
    """The machine that this runs on."""
    return machine(platform.machine())


# Members of x86's struct pt_regs, as the kernel and as user space spell them: the argument that each holds when a
# function is entered, counted from 1.
ARGUMENTS = {"di": 1, "si": 2, "dx": 3, "cx": 4, "r8": 5, "r9": 6, "rdi": 1, "rsi": 2, "rdx": 3, "rcx": 4}
# Those that a function keeps for its caller: on return they hold what the caller had there.
SAVED = frozenset("bx rbx r12 r13 r14 r15".split())
