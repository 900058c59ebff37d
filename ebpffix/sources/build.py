"""What a project's build files say of how its eBPF programs are compiled: macros, read as text.

Nothing is run and no variable is asked of a shell: Makefiles, CMakeLists.txt, meson.build and build.rs are
searched for -D, and a value that only the build knows makes the macro unknown. Only plain names and
plain values are taken, so that nothing here can be another flag.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ebpffix.sources.files import inside
from ebpffix.sources.reader import SETTINGS, read_file

_NAMES = ("Makefile", "makefile", "GNUmakefile", "Kbuild", "CMakeLists.txt", "meson.build", "build.rs")
_ENDINGS = (".mk", ".cmake", ".mak")
# A macro and its value; what stands behind it ends it. `$` is a variable.
_DEFINE = re.compile(rb"""(?<![\w-])-D[ \t]*([A-Za-z_]\w*)(?:=(\\?"[\w.+ -]*\\?"|[\w.+-]*))?(?=[\s"'`,;)\\]|$)""")
_COMMENT = re.compile(rb"^[ \t]*(?:#(?!include)|//(?!go:generate)).*$", re.MULTILINE)
# What an object for another purpose is built with.
_NOT_BPF = re.compile(rb"(?:CMAKE|HAVE|PYTHON|PACKAGE)_|NDEBUG$|DEBUG$|_GNU_SOURCE$|_FORTIFY_SOURCE$|__TARGET_ARCH_")
_MOST = 16  # macros of one program


def defines(program: Path, root: Path) -> tuple[str, ...]:
    """The macros that build files in the program's folder and those above it name, the nearest first, as for -D.

    Those of `go generate` count where their line names the program.
    """
    found: dict[str, str] = {}
    for folder in _upwards(program.parent, root):
        for name, value in _defined_in(str(folder)):
            found.setdefault(name, value)
    return tuple(f"{name}={value}" if value else name for name, value in list(found.items())[:_MOST])


def _upwards(folder: Path, root: Path) -> Iterator[Path]:
    while inside(str(folder), str(root)):
        yield folder
        if folder in (root, folder.parent):
            return
        folder = folder.parent


def forget() -> None:
    """Read the build files anew, in a process that lives longer than they stay as they are."""
    _defined_in.cache_clear()


@cache
def _defined_in(folder: str) -> tuple[tuple[str, str], ...]:
    """(name, value) of the macros in a folder's build files."""
    found: dict[str, str] = {}
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return ()
    for name in names:
        if name in _NAMES or name.endswith(_ENDINGS):
            with contextlib.suppress(OSError):
                text = _COMMENT.sub(b"", read_file(os.path.join(folder, name), SETTINGS, within=folder))
                for match in _DEFINE.finditer(text):
                    if not _NOT_BPF.match(match[1]):
                        found.setdefault(match[1].decode(), (match[2] or b"").replace(b"\\", b"").decode())
    return tuple(found.items())
