"""The arguments of a kernel function as BTF has them, and which of them a program means.

A program that reads a register says of the argument only what it does with it: the type of the variable or the cast,
and the variable's name. `Use` is that; `meant` finds the one parameter that fits.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ebpffix.fix import BCC
from ebpffix.frontend import Unit

if TYPE_CHECKING:
    from ebpffix.kernel.btf_c import Prototype

# Types that each dialect has without a vmlinux.h.
_WORDS = frozenset("int unsigned signed long short char void const _Bool bool".split())
_BCC_WORDS = _WORDS | frozenset(
    """size_t ssize_t loff_t pid_t uid_t gid_t dev_t gfp_t umode_t fmode_t sector_t off_t bool
    u8 u16 u32 u64 s8 s16 s32 s64 __u8 __u16 __u32 __u64 __s8 __s16 __s32 __s64""".split()
)
_RECORD = re.compile(r"(?:const\s+)?(?:struct|union)\s+(\w+)\s*(\*+)\Z")
_WEAK = ("", "void *", "const void *", "unsigned long", "long", "u64", "__u64", "unsigned long long")


@dataclass(frozen=True)
class Parameter:
    """A parameter of the probed function; `by_value` says that it is a struct that is not passed by pointer."""

    name: str
    type: str
    by_value: bool


@dataclass(frozen=True)
class Use:
    """What a program takes an argument for: a C type ("" where it does not say), and a name ("" likewise)."""

    type: str
    name: str = ""

    @property
    def is_weak(self) -> bool:
        """Whether the type fits nearly anything."""
        return self.type in _WEAK

    def fits(self, parameter: Parameter) -> bool:
        """Whether the argument can be what the program takes it for."""
        if self.is_weak or self.type in ("char *", "const char *"):
            return not parameter.by_value
        if self.type.endswith("*"):
            ours, theirs = _RECORD.match(self.type), _RECORD.match(parameter.type)
            if ours and theirs:
                return ours.groups() == theirs.groups()
            # A kernel type's flavour of another name, an address kept as a number: both are common.
            return parameter.type.endswith("*") or parameter.type in _WEAK
        return not parameter.by_value and not parameter.type.endswith("*")

    def certainly_is(self, parameter: Parameter) -> bool:
        """Whether the type alone speaks for this parameter: the same record by pointer, or a number for a number."""
        if self.is_weak:
            return False
        ours, theirs = _RECORD.match(self.type), _RECORD.match(parameter.type)
        if ours or theirs:
            return bool(ours and theirs and ours.groups() == theirs.groups())
        return self.fits(parameter) and self.type.endswith("*") == parameter.type.endswith("*")


def of(unit: Unit, function: str) -> list[Parameter] | None:
    """The parameters of a kernel function; None where no BTF knows it."""
    return _read(unit.btf_path, function) if unit.btf_path and function else None


def gives_pointer(unit: Unit, function: str) -> bool | None:
    """Whether a kernel function returns a pointer; None where no BTF knows it."""
    found = _prototype(unit.btf_path, function) if unit.btf_path and function else None
    return found.returns.endswith("*") if found is not None else None


@functools.lru_cache(maxsize=64)
def _read(path: Path, name: str) -> list[Parameter] | None:
    from ebpffix.kernel.btf import RECORDS, BtfError

    found = _prototype(path, name)
    if found is None:
        return None
    try:
        types = _load(path)
        return [
            Parameter(p.name, p.c_type, bool(p.type) and types.plain_kind(types.resolve(p.type)) in RECORDS)
            for p in found.params
        ]
    except BtfError:
        return None


@functools.lru_cache(maxsize=64)
def _prototype(path: Path, name: str) -> Prototype | None:
    from ebpffix.kernel import btf_c
    from ebpffix.kernel.btf import BtfError

    try:
        return btf_c.func(_load(path), name)
    except BtfError:
        return None


@functools.lru_cache(maxsize=1)
def _load(path: Path):  # type: ignore[no-untyped-def]
    from ebpffix.kernel import btf

    return btf.load(path)


def meant(use: Use, index: int, parameters: Sequence[Parameter]) -> int | None:
    """The number (from 1) of the parameter that a program means by register number `index` (0 for one that holds no
    argument); None where several fit, or none."""
    is_argument = 0 < index <= len(parameters)
    if is_argument and use.fits(parameters[index - 1]):
        return index
    fitting = [n for n, p in enumerate(parameters, 1) if use.fits(p)]
    named = [n for n in fitting if parameters[n - 1].name == use.name]
    # The register of an argument that does not fit is a mistake of which the type alone tells too little.
    certain = [] if is_argument else [n for n, p in enumerate(parameters, 1) if use.certainly_is(p)]
    for candidates in (named, certain):
        if len(candidates) == 1:
            return candidates[0]
    return None


def best_type(unit: Unit, use: Use, parameter: Parameter | None) -> str:
    """The C type to declare an argument with: the function's own where the file knows it, else the program's."""
    if parameter is None or not writable(unit, parameter.type):
        return use.type or "unsigned long"
    if use.type.endswith("*") != parameter.type.endswith("*") or (use.type.endswith("*") and use.type != "void *"):
        return use.type or "unsigned long"
    return parameter.type


def writable(unit: Unit, type_: str) -> bool:
    """Whether the file can name a type of BTF."""
    if "(" in type_ or "{" in type_ or "[" in type_ or type_ == "...":
        return False
    if unit.dialect != BCC and any(b"vmlinux" in source.uncommented for source in unit.sources.values()):
        return True
    if _RECORD.match(type_):
        return True
    words = _BCC_WORDS if unit.dialect == BCC else _WORDS
    return all(word in words for word in re.findall(r"\w+", type_))
