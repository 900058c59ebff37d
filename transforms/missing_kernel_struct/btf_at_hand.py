"""The BTF that a struct is looked for in, and what to call the kernel that it is from."""

from __future__ import annotations

import functools
import platform
import re
from pathlib import Path

from ebpffix.frontend import Unit
from ebpffix.kernel.btf import Btf, BtfError, load, of_module

_RUNNING = Path("/sys/kernel/btf/vmlinux")


def release(unit: Unit, btf: Btf) -> str:
    """What to call the kernel that BTF is from: its release if it runs here, else the file's name; and the module."""
    assert unit.btf_path
    if btf.path == _RUNNING:
        return platform.release()
    if btf.path.parent == _RUNNING.parent:
        return f"{platform.release()}, module {btf.path.name}"
    module = "" if btf.path == unit.btf_path else f", module {btf.path.name}"
    return re.sub(r"[^ \w.,+-]", "_", unit.btf_path.name + module)  # it goes into C


def btf_with(unit: Unit, name: str) -> Btf | None:
    """The BTF that has a struct: the one at hand, else that of a module beside it; the one at hand where none has."""
    try:
        kernel = _load(unit.btf_path) if unit.btf_path else None
    except BtfError as error:
        unit.notes.append(str(error))
        return None
    if kernel is None or kernel.struct(name):
        return kernel
    return _of_module(kernel, name) or kernel


@functools.lru_cache(maxsize=1)
def _load(path: Path) -> Btf:
    return load(path)


@functools.lru_cache(maxsize=32)
def _of_module(kernel: Btf, name: str) -> Btf | None:
    return of_module(kernel, name)
