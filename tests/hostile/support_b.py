"""Hostile trees: a program with one finding, and programs that leave a mark where they run."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support import FIXED, PROGRAM, Done, ebpffix, git

__all__ = ["FIXED", "PROGRAM", "Done", "ebpffix", "git", "marker", "tree_of"]


def marker(folder: Path) -> tuple[Path, Path]:
    """A program, and the file that is there once it ran. It says nothing, and that all is well."""
    folder.mkdir(parents=True, exist_ok=True)
    ran, program = folder / "RAN", folder / "run-me"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >>"{ran}"\nexit 0\n')
    program.chmod(0o755)
    return program, ran


def tree_of(folder: Path, **files: bytes) -> Path:
    """A git tree with `src/count.bpf.c`, committed."""
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "count.bpf.c").write_bytes(PROGRAM)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    git("init", "-q", "-b", "main", cwd=folder)
    git("add", "-A", cwd=folder)
    git("commit", "-qm", "one", cwd=folder)
    return folder


def commit(folder: Path) -> None:
    git("add", "-A", cwd=folder)
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "more"], cwd=folder, check=True
    )
