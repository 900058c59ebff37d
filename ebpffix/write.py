"""Content for files, whole at every moment: the old one or the new one, never a part."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def put(path: Path, data: bytes, prepare: Callable[[int, str], object] = lambda handle, name: None) -> None:
    """Write `data` to `path` through a temporary file beside it and a rename. `prepare` gets the temporary file's
    descriptor, its content written, and its name. OSError passes through; what was there is then as it was."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            prepare(out.fileno(), name)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def replace_content(path: Path, data: bytes) -> None:
    """Write `data` over a file of the user's, with the old one's mode bits and owner, and onto the disk. A file that
    was not there gets the mode that any new file has.

    A symbolic link stays one: what it leads to is replaced. OSError passes through; the file is then as it was.
    """
    target = Path(os.path.realpath(path))

    def like_the_old(handle: int, name: str) -> None:
        os.fsync(handle)
        if target.exists():
            shutil.copymode(target, name)
            _keep_owner(target, name)
        else:
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(name, 0o666 & ~mask)  # a temporary file has 0600

    put(target, data, like_the_old)


def _keep_owner(target: Path, name: str) -> None:
    seen, made = os.stat(target), os.stat(name)
    if (seen.st_uid, seen.st_gid) != (made.st_uid, made.st_gid):
        # Only root may give a file away; for others the new file is theirs, as with every editor.
        with contextlib.suppress(PermissionError):
            os.chown(name, seen.st_uid, seen.st_gid)
