"""Which findings a review is about: those on lines that a diff adds or changes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from ebpffix.rewriting.found import Found
from ebpffix.rewriting.patch import changed_lines
from ebpffix.sources.files import root_of
from ebpffix.sources.source import Source

Wanted = Callable[[Found], bool]
Lines = set[int] | frozenset[int]


def of_diff(path: Path) -> Wanted:
    """Findings on the lines that a diff in a file changes; its names count from the root of the git tree.

    ValueError, one line, for a file that cannot be read or is no diff.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; check the path") from None
    try:
        lines = changed_lines(data)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; write it with `git diff`") from None
    root = root_of(Path.cwd())
    return _on({root / name: changed for name, changed in lines.items()})


def since(revision: str) -> Wanted:
    """Findings on the lines that differ between the working tree and its merge base with a revision. ValueError, one
    line, where git does not know it."""
    root = root_of(Path.cwd())
    base = _git(root, "merge-base", "--end-of-options", revision, "HEAD").strip().decode()
    diff = _git(
        root, "diff", "--no-ext-diff", "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/", base
    )
    lines = changed_lines(diff) if diff else {}
    wanted: dict[Path, Lines] = {root / name: changed for name, changed in lines.items()}
    # A file that git does not follow yet is all new.
    for name in _git(root, "ls-files", "-z", "--others", "--exclude-standard").split(b"\0"):
        if name:
            wanted[root / name.decode("utf-8", "surrogateescape")] = _ALL
    return _on(wanted)


_ALL = frozenset((0,))


def _git(root: Path, *args: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(root), *args], capture_output=True, check=True)
    except FileNotFoundError:
        raise ValueError("--diff-base needs git, which is not installed") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ValueError(f"--diff-base: git says: {said[-1] if said else 'no'}; fetch the revision first") from None
    return done.stdout


def _on(lines: Mapping[Path, Lines]) -> Wanted:
    sources: dict[Path, Source] = {}

    def wanted(found: Found) -> bool:
        """Whether the finding's own span, or one of its edits, touches a changed line."""
        spans = [found.fix.at, *found.fix.edits]
        for span in spans:
            changed = lines.get(span.path)
            if not changed:
                continue
            if changed is _ALL:
                return True
            if span.path not in sources:
                sources[span.path] = Source.read(span.path)
            source = sources[span.path]
            if not changed.isdisjoint(range(source.line(span.start), source.line(max(span.start, span.end - 1)) + 1)):
                return True
        return False

    return wanted
