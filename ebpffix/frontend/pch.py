"""Precompiled headers on disk: vmlinux.h is parsed once, not once a file.

A file's name holds a key over everything that went into it and a checksum of its own bytes, so that a change, a broken
disk or another version of libclang leads to a new file, and two runs at once can only write the same one.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import zlib
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

from clang.cindex import TranslationUnitSaveError

from ebpffix.frontend import clang
from ebpffix.sources.reach import Reach
from ebpffix.write import put

_OPTIONS = clang.DETAILED_RECORD | clang.INCOMPLETE | clang.FOR_SERIALIZATION | clang.KEEP_GOING


class PrecompiledHeaders:
    """The precompiled headers in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, headers: Sequence[str], args: Sequence[str], digest: bytes) -> Path | None:
        """The file for these headers, in this order, or None. `digest` stands for the headers' contents."""
        for path in sorted(self.folder.glob(f"{self._key(headers, args, digest)}-*.pch")):
            with contextlib.suppress(OSError):
                if path.stem.endswith(f"-{zlib.crc32(path.read_bytes()):08x}"):
                    return path
                path.unlink()
        return None

    def build(self, headers: Sequence[str], args: Sequence[str], digest: bytes, reach: Reach) -> Path | None:
        """Make the file. None where libclang or the disk refuses, or a header is out of reach: the caller then parses
        without it, which says why."""
        key = self._key(headers, args, digest)
        entry = self.folder / f"{key}.h"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _write_once(entry, b"".join(b'#include "%s"\n' % os.fsencode(h) for h in headers))
            with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
                made = Path(scratch) / "pch"
                unit = clang.parse(str(entry), ["-x", "c-header", *args], (), _OPTIONS)
                if reach.outside(clang.files_read(unit)):
                    return None
                unit.save(str(made))
                path = self.folder / f"{key}-{zlib.crc32(made.read_bytes()):08x}.pch"
                made.replace(path)
                return path
        except (OSError, TranslationUnitSaveError, clang.LoadError):
            return None

    @staticmethod
    def _key(headers: Sequence[str], args: Sequence[str], digest: bytes) -> str:
        parts = [clang.identity(), *headers, "", *args]
        # libclang refuses a precompiled header whose sources have another time or size than they had, so these count.
        for header in headers:
            with contextlib.suppress(OSError):
                seen = os.stat(header)
                parts.append(f"{seen.st_mtime_ns}:{seen.st_size}")
        return blake2b("\0".join(parts).encode() + digest, digest_size=16).hexdigest()


def _write_once(path: Path, data: bytes) -> None:
    # A second write would change its time, which makes libclang refuse what was built from it.
    if path.exists() and path.read_bytes() == data:
        return
    put(path, data)
