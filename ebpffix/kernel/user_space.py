"""Which addresses that the kernel handles are of user space: arguments of its functions, members of its structures.

The facts stand in user_space.txt, taken from the prototypes of kernel 6.1 (`__user`), with functions that are static
there or that other kernels have. Arguments are counted from 0. A name that the file does not have says nothing.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_FILE = Path(__file__).with_suffix(".txt")
# The functions that a system call begins with. The wrapper gets the registers, the others what user space passed.
_WRAPPER = re.compile(
    r"__(?:x64|ia32|ia32_compat|x32_compat|arm64|arm64_compat|s390x?|riscv|se_compat)_(?:compat_)?sys_"
)
_CALL = re.compile(r"(?:__se_|__do_|__do_compat_|__se_compat_|compat_|compat_S|ksys_|S)?(?:sys|yS)_\w|ksys_\w")
_SUFFIX = re.compile(r"\.(?:isra|constprop|part|cold)\.?\d*.*\Z|\+0?x?[0-9a-f]+\Z")


class Side(enum.Enum):
    """Whose an address is."""

    USER = "user"
    KERNEL = "kernel"
    EITHER = "either"  # it differs: by kernel, or by how the structure is used


@dataclass
class _Facts:
    arguments: dict[str, tuple[str, ...]] = field(default_factory=dict)
    none: set[str] = field(default_factory=set)
    members: set[tuple[str, str]] = field(default_factory=set)
    doubtful: set[tuple[str, str]] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)


@functools.cache
def _facts() -> _Facts:
    facts = _Facts()
    for section, words in _lines():
        if section == "arguments":
            facts.arguments[words[0]] = tuple(words[1:])
        elif section in ("members", "doubtful"):
            getattr(facts, section).update((words[0], member) for member in words[1:])
        else:
            getattr(facts, section).update(words)
    return facts


def _lines() -> Iterator[tuple[str, list[str]]]:
    section = ""
    for line in _FILE.read_text().splitlines():
        if line.startswith("["):
            section = line[1 : line.index("]")]
        elif not line.startswith("#"):
            yield section, line.split()


def is_wrapper(function: str) -> bool:
    """Whether a kernel function is one that gets the registers of a system call, such as `__x64_sys_openat`."""
    return _WRAPPER.match(function) is not None


def is_system_call(function: str) -> bool:
    """Whether a kernel function gets what user space passed to a system call: `sys_open`, `__do_sys_open`."""
    return _CALL.match(function) is not None and not is_wrapper(function)


def argument(function: str, index: int) -> Side | None:
    """Whose an address is that a kernel function gets as this argument; None where the prototype is not known."""
    facts, name = _facts(), _SUFFIX.sub("", function)
    if name in facts.arguments:
        given = facts.arguments[name]
        return Side.USER if str(index) in given else Side.EITHER if f"~{index}" in given else Side.KERNEL
    if is_system_call(name):
        return Side.USER
    return Side.KERNEL if name in facts.none else None


def member(structure: str, name: str) -> Side:
    """Whose an address is that lies in this member of a kernel structure."""
    key = structure.partition("___")[0], name
    if key in _facts().doubtful:
        return Side.EITHER
    return Side.USER if key in _facts().members else Side.KERNEL


def is_shared(structure: str) -> bool:
    """Whether a structure is part of the interface to user space, so that its type says nothing of where it lies."""
    return structure.partition("___")[0] in _facts().shared
