"""New content for files that are there: each is whole at every moment, the old one or the new one."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path


def replace_content(path: Path, data: bytes) -> None:
    """Write `data` over a file through a temporary file beside it and a rename, with the old one's mode bits.

    A symbolic link stays one: what it leads to is replaced. OSError passes through; the file is then as it was.
    """
    target = Path(os.path.realpath(path))
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        with contextlib.suppress(FileNotFoundError):
            shutil.copymode(target, name)
            _keep_owner(target, name)
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _keep_owner(target: Path, name: str) -> None:
    seen, made = os.stat(target), os.stat(name)
    if (seen.st_uid, seen.st_gid) != (made.st_uid, made.st_gid):
        # Only root may give a file away; for others the new file is theirs, as with every editor.
        with contextlib.suppress(PermissionError):
            os.chown(name, seen.st_uid, seen.st_gid)
