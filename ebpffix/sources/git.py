"""Git, started in one way: nothing that a repository names is run, and nothing is fetched.

A `.git` may come with a stranger's tree, and its configuration can name programs: a monitor, filters, hooks, what a
missing object is fetched with. So they are turned off here, and only commands are used that need none: names, trees
and blobs as they are stored. Who may be asked at all is git's to say (`safe.directory`), so GIT_DIR, which would make
it ask nobody, is never set.
"""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path
from typing import IO, NamedTuple

_TIMEOUT = 60  # seconds: a tree on a slow network disk
_MOST = 256 << 20  # bytes of output: a tree of Linux' size has seven million; a tree can be made that has no end

# Of the variables that speak to git, those that are the user's configuration. The others are of one repository (a hook
# runs with them), name programs, or trace.
_KEPT = ("GIT_CONFIG", "GIT_EXEC_PATH")

_SETTINGS = (
    "core.fsmonitor=",  # empty: false is the name of a program to old versions
    "core.hooksPath=/dev/null",
    "diff.external=",
    "safe.bareRepository=explicit",  # files of a tree can look like a repository
)


class GitError(ValueError):
    """Git is not there, or refuses; one line, in its own words."""


class Answer(NamedTuple):
    output: bytes
    warnings: list[str]


def git(root: str | os.PathLike[str], *args: str) -> Answer:
    """What git says in the repository of the folder `root`, which has an entry `.git`. GitError if it fails."""
    out, said = (os.fdopen(os.memfd_create(name), "w+b") for name in ("output", "errors"))
    with out, said:
        code = _run(os.path.abspath(root), args, out, said)
        warnings = _all(said).decode(errors="replace").splitlines()
        if code == 0:
            return Answer(_all(out), warnings)
    raise GitError(f"git says: {warnings[-1]}" if warnings else f"git {args[0]} says no")


def _run(root: str, args: tuple[str, ...], out: IO[bytes], said: IO[bytes]) -> int:
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    try:
        child = subprocess.Popen(
            ["git", "-C", root, "--no-pager", "--literal-pathspecs", *settings, *args],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=said,
            env=_environment(root),
        )
    except OSError as error:
        raise GitError(f"git cannot be started ({(error.strerror or '').lower()})") from None
    try:
        resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (_MOST, _MOST))
        return child.wait(_TIMEOUT)
    except ProcessLookupError:  # it was quicker
        return child.wait()
    except subprocess.TimeoutExpired:
        raise GitError(f"git {args[0]} is not done within {_TIMEOUT} s") from None
    finally:
        child.kill()
        child.wait()


def _environment(root: str) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name.startswith(_KEPT)}
    return env | {
        "LC_ALL": "C",
        "GIT_WORK_TREE": root,  # whatever core.worktree says
        "GIT_CEILING_DIRECTORIES": str(Path(root).parent),  # no other repository around this one
        "GIT_ALLOW_PROTOCOL": "none",  # no transport, so no core.sshCommand, no helper, no upload-pack
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
    }


def _all(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read(_MOST)
