"""The files next to a program, for what only its user space tells: who sizes a map, which symbols are probed.

Looked at are the program's folder and the one above it, not what is below them: `src/main.rs` for `src/bpf/x.bpf.c`.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from ebpffix.sources.reader import read_file
from ebpffix.sources.source import Source

_PROGRAMS = (".bpf.c", ".bpf.h")
_MOST_BYTES = 1 << 20  # of one file: what is larger was generated


def _files(folder: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, os.stat_result]]:
    """The files for the programs of a folder, also those that are programs."""
    for place in (folder, folder.parent):
        for name, path, seen in _listing(place):
            if name.endswith(suffixes) and not name.endswith(_PROGRAMS):
                yield path, seen


def _listing(folder: Path) -> list[tuple[str, str, os.stat_result]]:
    """The plain files of a folder as (name, path, what stat says); [] for a folder that cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted((e.name, e.path, e.stat()) for e in entries if e.is_file())
    except OSError:
        return []


def sources(program: Path, suffixes: tuple[str, ...]) -> Iterator[Source]:
    """The files next to a program whose names end so, BPF programs aside. Unreadable ones are left out."""
    for path, seen in _files(program.parent, suffixes):
        if path != str(program) and seen.st_size <= _MOST_BYTES:
            try:
                yield Source(Path(path), read_file(path, _MOST_BYTES))
            except OSError:
                continue


_KINDS = re.compile(r"(?:[._-](?:bpf|ebpf|kern|kernel|prog|user|main|loader))*(?:\.\w+)?\Z")


def is_about(source: Source, program: Path) -> bool:
    """Whether a file is the user space of this very program, not of another in its folder: they are called alike
    (`flows.c` and `flows.bpf.c`, `xdp1_user.c` and `xdp1_kern.c`), or it names the program's source, object or
    skeleton."""
    name = _KINDS.sub("", program.name)
    if _KINDS.sub("", source.path.name) == name:
        return True
    stem, base = (re.escape(n).encode() for n in (program.name.partition(".")[0], name))
    named = (
        rb"(?<![\w.-])(?:%s|%s)(?:[._-](?:bpf|ebpf|kern|kernel|prog))*(?:\.(?:o|c|elf|skel)\b|_?_(?:open|load)|_bpf\b)"
    )
    return re.search(named % (stem, base), source.data) is not None


@functools.cache
def _content(path: str, size: int, _time: int) -> bytes:
    """A digest of what `sources` reads of a file, whose size and time only say that it is still the same."""
    try:
        return blake2b(read_file(path, _MOST_BYTES), digest_size=16).digest()
    except OSError:
        return b"%d" % size


class Digests:
    """What changes when `sources` may. Of one run: a folder is looked at once, however many programs it holds."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, tuple[str, ...]], bytes] = {}

    def of(self, program: Path, suffixes: tuple[str, ...]) -> bytes:
        """The digest for one program; its own text may be in it, for who keeps a result knows that text too."""
        key = program.parent, suffixes
        if key not in self._known:
            state = blake2b(digest_size=16)
            for path, seen in _files(program.parent, suffixes):
                state.update(os.fsencode(path) + b"\0" + _content(path, seen.st_size, seen.st_mtime_ns))
            self._known[key] = state.digest()
        return self._known[key]
