"""Which files may go into a program: its project's, the system's headers, ours, and what the user pointed at by a flag.

An include can name any file of the machine, by macros that no search sees through. So what was read is judged
afterwards, and a program that read something else is not spoken of at all: a message would quote it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ebpffix.sources.files import inside

# The folders that hold these, and what a compiler is made of.
SYSTEM = (
    *("/usr/include", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/bin", "/lib", "/lib32", "/lib64"),
    *("/bin", "/usr/local/include", "/usr/local/lib", "/usr/local/bin", "/etc/ld.so.cache", "/nix/store", "/gnu/store"),
)
_SYSTEM = re.compile(
    r"/usr/(?:local/)?(?:include|lib(?:32|64)?)/|/(?:usr/)?lib/modules/|/usr/src/(?:linux|kernels)[^/]*/"
    r"|/(?:nix|gnu)/store/"
)


def is_system(name: str) -> bool:
    """Is it, as it is behind all links or by a name that goes down alone, where the system keeps headers?"""
    by_name = _SYSTEM.match(name) is not None and ".." not in name.split("/")
    return by_name or _SYSTEM.match(os.path.realpath(name)) is not None


def within(path: str | os.PathLike[str], *trees: str | os.PathLike[str]) -> bool:
    """Does a path that a project names lie, behind all links, in one of `trees`, where the system keeps headers, or
    where the kernel shows its types? Elsewhere are the user's own files."""
    real = os.path.realpath(path)
    folders = (*trees, "/sys/kernel/btf")
    return is_system(f"{real}/") or any(inside(real, os.path.realpath(folder)) for folder in folders)


@dataclass(frozen=True)
class Reach:
    """`home` is the project's folder, `given` are folders and files; all absolute."""

    home: Path
    given: tuple[Path, ...] = ()

    def outside(self, names: Iterable[str]) -> str | None:
        """The first of these files that must not be read."""
        return next((name for name in names if not _holds(self, name, _identity(name))), None)

    def shown(self) -> list[str]:
        """The folders and files that hold all of it, for a process that is to see nothing else: the project's without
        git's own and hidden files, and what was given."""
        try:
            with os.scandir(self.home) as entries:
                own = [e.path for e in entries if e.name != ".git" and not e.is_symlink() and _is_shown(e)]
        except OSError:
            own = []
        return [*own, *map(str, self.given)]

    def owns(self, name: str) -> bool:
        """Is it a file of the project's own: none of git's, and none that is hidden, which no header is?"""
        real, home = os.path.realpath(name), os.path.realpath(self.home)
        if not inside(real, home):
            return False
        below = real[len(home) :].split("/")
        return ".git" not in below and not below[-1].startswith(".")


def _is_shown(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False) or (not entry.name.startswith(".") and entry.is_file())


def _identity(name: str) -> tuple[int, int]:
    """What a name leads to: another file once a link is another, which in a process that lives long may be."""
    try:
        seen = os.stat(name)
    except OSError:
        return 0, 0
    return seen.st_dev, seen.st_ino


@cache  # a program's headers are mostly another's too
def _holds(reach: Reach, name: str, _identity: tuple[int, int]) -> bool:
    if reach.owns(name) or is_system(name):
        return True
    real = os.path.realpath(name)
    # Folders that the user gave may be full of links, which are theirs; a way back up is none of theirs.
    return any(
        inside(real, os.path.realpath(folder)) or (inside(name, str(folder)) and ".." not in name.split("/"))
        for folder in reach.given
    )
