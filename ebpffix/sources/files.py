"""Which files a folder holds: `git ls-files` where there is a git tree, else a walk that reads .gitignore files.

Paths are absolute strings here: a tree has thousands of them, and most are only compared.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ebpffix.sources.git import GitError, git
from ebpffix.sources.reader import SETTINGS, read_file

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

# Files that may hold C in strings, and their languages as `hosts` knows them.
HOSTS = {
    ".py": "python", ".go": "go", ".lua": "lua",
    ".cc": "cpp", ".cpp": "cpp", ".cxx": "cpp", ".hh": "cpp", ".hpp": "cpp", ".hxx": "cpp",
}  # fmt: skip


def root_of(path: str | os.PathLike[str]) -> Path:
    """The root of the git tree that holds `path`; else the current folder, or for a path outside of it the folder of
    `path` (`path` itself if it is one). A folder with an entry `.git` is a root: git is not started.

    Neither the whole disk nor the whole of a user's files is a project, though one works there.
    """
    path = os.path.abspath(path)
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    here = os.getcwd()
    is_project = here not in ("/", os.path.expanduser("~")) and inside(folder, here)
    return Path(git_root(folder) or (here if is_project else folder))


def git_root(folder: str) -> str | None:
    """The nearest folder from `folder` upwards that has an entry `.git`, of those above it only one that `is_ours`."""
    place = folder = on_disk(folder)
    while not os.path.exists(entry := os.path.join(place, ".git")) or not (place == folder or is_ours(entry, folder)):
        if place == os.path.dirname(place):
            return None
        place = os.path.dirname(place)
    return place


def on_disk(folder: str) -> str:
    """The folder, or the nearest one above it that is there: a file may be named before it is written."""
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return folder


def is_ours(path: str, folder: str) -> bool:
    """Whether what a search from `folder` upwards found may say anything. A folder above may be everybody's: it, and
    what it links to, must belong to the user, to root, or to whom `folder` belongs, who could have put it there too."""
    try:
        return {os.lstat(path).st_uid, os.stat(path).st_uid} <= {os.geteuid(), 0, os.stat(folder).st_uid}
    except OSError:
        return False


def inside(path: str, folder: str) -> bool:
    """Is `path` `folder` or below it? By the names alone."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


@dataclass
class Listing:
    """The files of one tree, sorted; the git trees that lie below it and are none of its own; lines for the user."""

    files: list[str] = field(default_factory=list)
    nested: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def list_files(folder: str) -> Listing:
    """All files below `folder`, the root of a git tree or in none.

    In a git tree: what is tracked or could be, not what is ignored; a submodule is another tree. Elsewhere .gitignore
    files count too. Links may be among the files, to folders as well; a tracked file may be gone from the disk.
    """
    found = Listing()
    is_tree = os.path.exists(os.path.join(folder, ".git"))
    if not (is_tree and _git(folder, found)):
        _walk(folder, found)
    if is_tree:
        found.nested.clear()  # submodules, as a walk sees them
    found.files.sort()
    return found


def _git(root: str, found: Listing) -> bool:
    """List one git tree; False if git is not there or refuses (a tree of somebody else's)."""
    try:
        listed = git(root, "ls-files", "-z", "-co", "--exclude-standard")
    except GitError:
        return False
    for line in listed.warnings:
        if line.startswith("warning: could not open directory"):
            found.errors.append(f"{root}: {line.removeprefix('warning: ')}; its files were left out")
    # An unmerged file is listed once for each stage; a nested repository ends in a slash.
    names = dict.fromkeys(os.fsdecode(listed.output).split("\0"))
    found.files = [f"{root.rstrip('/')}/{name}" for name in names if name and not name.endswith("/")]
    return True


def _walk(root: str, found: Listing) -> None:
    # Folders can be nested deeper than calls.
    waiting: list[tuple[str, list[tuple[str, GitIgnoreSpec]]]] = [(root, [])]
    while waiting:
        folder, specs = waiting.pop()
        try:
            with os.scandir(folder) as scan:
                entries = list(scan)
        except OSError as error:
            found.errors.append(f"{folder}: {reason(error)}; its files were left out")
            continue
        if any(entry.name == ".gitignore" for entry in entries):
            specs = [*specs, (folder, _gitignore(folder))]
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            if entry.name == ".git" or _ignored(entry.path + "/" * is_folder, specs):
                continue
            if is_folder and os.path.exists(os.path.join(entry.path, ".git")):
                found.nested.append(entry.path)
            elif is_folder:
                waiting.append((entry.path, specs))
            elif entry.is_file(follow_symlinks=False) or entry.is_symlink():
                found.files.append(entry.path)


def _gitignore(folder: str) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    try:
        data = read_file(os.path.join(folder, ".gitignore"), SETTINGS, within=folder)
    except OSError:  # git, too, goes on without one that it cannot read, and without a pattern that is none
        data = b""
    lines = [line.decode("utf-8", "surrogateescape") for line in data.splitlines()]
    try:
        return GitIgnoreSpec.from_lines(lines)
    except ValueError:
        return GitIgnoreSpec.from_lines(line for line in lines if is_pattern(line))


def is_pattern(line: str) -> bool:
    """Is `line` one that a .gitignore file may have?"""
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True


def _ignored(path: str, specs: list[tuple[str, GitIgnoreSpec]]) -> bool:
    """The innermost .gitignore that says anything about `path` decides."""
    for folder, spec in reversed(specs):
        verdict = spec.check_file(os.path.relpath(path, folder) + "/" * path.endswith("/")).include
        if verdict is not None:
            return verdict
    return False


def reason(error: OSError) -> str:
    """Why the system refused, in its own words."""
    words = error.strerror or type(error).__name__
    return words[:1].lower() + words[1:]
