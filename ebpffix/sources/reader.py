"""The one way to read a file that others may have made: what it is and how large, before it costs anything.

A tree can hold a pipe that nobody writes to, a link to /dev/zero, a device that does something when it is opened. So
only regular files are opened, never one that waits, and no more is read than is asked for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

SOURCE = 16 << 20  # bytes of a source: three times the kernel's types, and what libclang still parses in seconds
SETTINGS = 1 << 20  # bytes of what people write by hand: ebpffix.toml, .gitignore
DATA = 64 << 20  # bytes of what tools write: objects, compile commands, baselines


_Path = str | os.PathLike[str]


def read_file(path: _Path, most: int = SOURCE, *, within: _Path | None = None) -> bytes:
    """All of a regular file of at most `most` bytes. Links are followed; with `within` only to what lies in that
    folder, as it is behind all links.

    OSError, whose `strerror` is fit for the user, for anything else: IsADirectoryError for a folder, EINVAL for what is
    no file, EFBIG for what is too large, ELOOP for a link out of `within`.
    """
    if within is not None:
        real, root = os.path.realpath(path), os.path.realpath(within)
        if os.path.commonpath((real, root)) != root:
            raise OSError(errno.ELOOP, f"a link out of {os.fspath(within)}", os.fspath(path))
        path = real
    with _opened(path, most) as handle:
        # What the kernel makes up as it is read (/proc, /sys) says a size of 0 or of a page, so the end alone counts.
        data = _read(handle, most + 1)
    if len(data) > most:
        raise _too_large(path, most)
    return data


def read_start(path: _Path, most: int) -> bytes:
    """The first `most` bytes of a regular file, or all of it; OSError as for `read_file`, however large it is."""
    with _opened(path) as handle:
        return _read(handle, most)


@contextlib.contextmanager
def _opened(path: _Path, most: int | None = None) -> Iterator[int]:
    # Asked before it is opened, since a device may act on that alone, and after, since it may be another one by then.
    _check(path, os.stat(path), most)
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        _check(path, os.fstat(handle), most)
        yield handle
    finally:
        os.close(handle)


def _check(path: _Path, seen: os.stat_result, most: int | None) -> None:
    if stat.S_ISDIR(seen.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(seen.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    if most is not None and seen.st_size > most:
        raise _too_large(path, most)


def _read(handle: int, most: int) -> bytes:
    parts: list[bytes] = []
    while most > 0 and (part := os.read(handle, min(most, 1 << 20))):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)


def _too_large(path: _Path, most: int) -> OSError:
    return OSError(errno.EFBIG, f"larger than {most >> 20} MB", os.fspath(path))
