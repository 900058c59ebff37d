"""Which findings a review is about: those on lines that a diff adds or changes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ebpffix.rewriting.found import Found
from ebpffix.rewriting.patch import changed_lines, lines_since
from ebpffix.sources.files import reason, root_of
from ebpffix.sources.git import git
from ebpffix.sources.reader import DATA, SOURCE, read_file
from ebpffix.sources.source import Source

Wanted = Callable[[Found], bool]


def of_diff(path: Path, contents: Mapping[Path, bytes]) -> Wanted:
    """Findings on the lines that a diff in a file changes; its names count from the root of the git tree. `contents`
    are the files that hold something else than on disk.

    ValueError, one line, for a file that cannot be read or is no diff.
    """
    try:
        data = read_file(path, DATA)
    except OSError as error:
        raise ValueError(f"{path}: {reason(error)}; check the path") from None
    try:
        lines = changed_lines(data)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; write it with `git diff`") from None
    root = root_of(Path.cwd())
    by_path = {root / name: changed for name, changed in lines.items()}
    return _on(lambda source: by_path.get(source.path, set()), contents)


def since(revision: str, paths: Sequence[str], contents: Mapping[Path, bytes]) -> Wanted:
    """Findings on the lines that differ between the working trees that `paths` lie in (none, or `-`: the current
    folder) and their merge base with a revision; a file that the base does not have is all new. ValueError, one line,
    where git does not know the revision."""
    here = Path.cwd()
    bases: dict[Path, _Base] = {}
    for root in dict.fromkeys(root_of(here / path) for path in paths or ["."]):
        try:
            merged = git(root, "merge-base", "--end-of-options", revision, "HEAD").output.decode().strip()
            bases[root] = _Base(root, merged)
        except ValueError as error:
            raise ValueError(f"--diff-base {revision}: {error}; fetch the revision first") from None

    def changed(source: Source) -> set[int]:
        base = bases.get(root_of(source.path))
        return base.changed(source) if base else set()  # a submodule's file

    return _on(changed, contents)


class _Base:
    """A commit as the files of a working tree are compared with it. The comparing is done here and not by `git diff`,
    which runs what the repository's configuration names as filters."""

    def __init__(self, root: Path, commit: str) -> None:
        self._root = root
        # `mode type id TAB name`
        listed = git(root, "ls-tree", "-r", "-z", "--full-tree", commit).output.split(b"\0")[:-1]
        entries = (entry.partition(b"\t") for entry in listed)
        self._ids = {name: entry.split(b" ")[2].decode() for entry, _, name in entries}
        # `:mode mode id id R score`, the old name, the new name
        renamed = git(
            root, "diff-index", "--cached", "-z", "-M", "-l1000", "-O/dev/null", "--diff-filter=R", commit, "--"
        ).output.split(b"\0")
        self._old_names = dict(zip(renamed[2::3], renamed[1::3], strict=True))

    def changed(self, source: Source) -> set[int]:
        """The 1-based lines of a file that the commit does not have."""
        name = os.fsencode(source.path.relative_to(self._root))
        blob = self._ids.get(self._old_names.get(name, name))
        if blob == _blob(source.data, blob):
            return set()
        return lines_since(self._content(blob) if blob else b"", source.data)

    def _content(self, blob: str) -> bytes:
        """What a blob holds; nothing, so that all counts as new, of one that is no source: a small one can unpack to
        gigabytes."""
        size = int(git(self._root, "cat-file", "-s", blob).output)
        return git(self._root, "cat-file", "blob", blob).output if size <= SOURCE else b""


def _blob(data: bytes, like: str | None) -> str | None:
    """The id that git gives to a content, by the hash that `like` is of."""
    if like is None:
        return ""
    hashed = hashlib.sha1(usedforsecurity=False) if len(like) == 40 else hashlib.sha256()
    hashed.update(b"blob %d\0" % len(data))
    hashed.update(data)
    return hashed.hexdigest()


def _on(changed_in: Callable[[Source], set[int]], contents: Mapping[Path, bytes]) -> Wanted:
    known: dict[Path, tuple[Source, set[int]]] = {}

    def wanted(found: Found) -> bool:
        """Whether the finding's own span, or one of its edits, touches a changed line."""
        for span in (found.fix.at, *found.fix.edits):
            if span.path not in known:
                path = span.path
                source = Source(path, contents[path]) if path in contents else Source.read(path)
                known[path] = source, changed_in(source)
            source, changed = known[span.path]
            if not changed.isdisjoint(range(source.line(span.start), source.line(max(span.start, span.end - 1)) + 1)):
                return True
        return False

    return wanted
