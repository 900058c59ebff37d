"""What a run is asked to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ebpffix.frontend.environment import Environment
from ebpffix.rewriting.found import Found
from ebpffix.transform import Registered

if TYPE_CHECKING:
    from ebpffix.verify.session import Verifier


@dataclass(frozen=True)
class Settings:
    """`wanted` says of a finding, where it stood before the run, whether it is of interest
    at all (changed lines, a baseline); `flags` are a file's compiler flags out of compile_commands.json."""

    transforms: Mapping[str, Registered]  # those that look for something
    environment: Environment
    jobs: int = 1
    cache: Path | None = None
    unsafe: bool = False
    wanted: Callable[[Found], bool] = lambda found: True
    flags: Callable[[Path], Sequence[str]] = lambda path: ()
    contents: Mapping[Path, bytes] = field(default_factory=dict)  # what files hold instead of what is on disk
    verifier: Verifier | None = None  # proves the fixes that are made; those that do harm are left out
    precompile_from: int = 3  # how many programs must share headers before these are precompiled
    known: frozenset[str] = frozenset()  # the names of all transforms that there are, if more than look for something
    stepwise: bool = False  # the fixes are proven one by one, by whoever makes them
