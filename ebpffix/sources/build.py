"""What a project's build files say of how its eBPF programs are compiled: macros and folders, read as text.

Nothing is run and no variable is asked of a shell: Makefiles, CMakeLists.txt, meson.build and build.rs are
searched for -D, and a value that only the build knows makes the macro unknown. A line of `go generate` that names the
program gives its -I too, for folders of the project. Only plain names and
plain values are taken, so that nothing here can be another flag.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ebpffix.sources.files import inside
from ebpffix.sources.reach import within
from ebpffix.sources.reader import SETTINGS, read_file

_NAMES = ("Makefile", "makefile", "GNUmakefile", "Kbuild", "CMakeLists.txt", "meson.build", "build.rs")
_ENDINGS = (".mk", ".cmake", ".mak")
# A macro and its value; what stands behind it ends it. `$` is a variable.
_DEFINE = re.compile(rb"""(?<![\w-])-D[ \t]*([A-Za-z_]\w*)(?:=(\\?"[\w.+ -]*\\?"|[\w.+-]*))?(?=[\s"'`,;)\\]|$)""")
_COMMENT = re.compile(rb"^[ \t]*(?:#(?!include)|//).*$", re.MULTILINE)
_GENERATE = re.compile(rb"^//go:generate[ \t]([^\n]*\bbpf2go\b[^\n]*)$", re.MULTILINE)
# What an object for another purpose is built with.
_NOT_BPF = re.compile(rb"(?:CMAKE|HAVE|PYTHON|PACKAGE)_|NDEBUG$|DEBUG$|_GNU_SOURCE$|_FORTIFY_SOURCE$|__TARGET_ARCH_")
_MOST = 16  # macros of one program


def defines(program: Path, root: Path) -> tuple[str, ...]:
    """The macros that build files in the program's folder and those above it name, the nearest first, as for -D.

    Those of `go generate` count where their line names the program.
    """
    found: dict[str, str] = {}
    for folder in _upwards(program.parent, root):
        for name, value in (*_macros(os.fsencode(" ".join(_generate(program, folder)))), *_defined_in(str(folder))):
            found.setdefault(name, value)
    return tuple(f"{name}={value}" if value else name for name, value in list(found.items())[:_MOST])


def folders(program: Path, root: Path) -> tuple[Path, ...]:
    """The project's folders in which `go generate` has the program's headers looked for, in its order."""
    found: dict[Path, None] = {}
    for folder in _upwards(program.parent, root):
        words = iter(_generate(program, folder))
        for word in words:
            name = next(words, "") if word == "-I" else word.removeprefix("-I") if word.startswith("-I") else ""
            path = Path(os.path.normpath(folder / name))
            if name and "$" not in name and within(path, root) and path.is_dir() and inside(str(path), str(root)):
                found.setdefault(path)
    return tuple(found)


def _generate(program: Path, folder: Path) -> tuple[str, ...]:
    """The compiler's flags in the lines of a folder's Go files that have bpf2go make objects of the program."""
    found: list[str] = []
    for words in _generate_lines(str(folder)):
        named = any(word.endswith(program.name) and os.path.normpath(folder / word) == str(program) for word in words)
        for number, word in enumerate(words if named else ()):
            if word.lstrip("-") == "cflags":
                found += _split(" ".join(words[number + 1 : number + 2]))
            elif word == "--":
                found += words[number + 1 :]
    return tuple(found)


@cache
def _generate_lines(folder: str) -> tuple[tuple[str, ...], ...]:
    found = []
    for name in _names_in(folder):
        if name.endswith(".go"):
            with contextlib.suppress(OSError):
                text = read_file(os.path.join(folder, name), SETTINGS, within=folder)
                found += [_split(os.fsdecode(match[1])) for match in _GENERATE.finditer(text)]
    return tuple(words for words in found if words)


def _split(line: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(line))
    except ValueError:  # a quote that has no end
        return ()


def _macros(text: bytes) -> Iterator[tuple[str, str]]:
    for match in _DEFINE.finditer(text):
        if not _NOT_BPF.match(match[1]):
            yield match[1].decode(), (match[2] or b"").replace(b"\\", b"").decode()


def _upwards(folder: Path, root: Path) -> Iterator[Path]:
    while inside(str(folder), str(root)):
        yield folder
        if folder in (root, folder.parent):
            return
        folder = folder.parent


def _names_in(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def forget() -> None:
    """Read the build files anew, in a process that lives longer than they stay as they are."""
    for kept in (_defined_in, _generate_lines):
        kept.cache_clear()


@cache
def _defined_in(folder: str) -> tuple[tuple[str, str], ...]:
    """(name, value) of the macros in a folder's build files."""
    found: dict[str, str] = {}
    for name in _names_in(folder):
        if name in _NAMES or name.endswith(_ENDINGS):
            with contextlib.suppress(OSError):
                text = _COMMENT.sub(b"", read_file(os.path.join(folder, name), SETTINGS, within=folder))
                for macro, value in _macros(text):
                    found.setdefault(macro, value)
    return tuple(found.items())
