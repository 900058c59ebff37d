"""Results kept on disk, so that a program that did not change is not parsed again.

One small JSON file a result, named by a key over the content of everything that went into it: the program, its headers,
the options, the tool itself. Nothing is ever updated in place, so that two runs at once cannot disturb each other. What
is read back is believed as far as this run could have written it: a wrong word anywhere is a miss.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import re
import shutil
import stat
import sys
import time
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import ebpffix
from ebpffix.fix import Edit, Fix, Safety, Span
from ebpffix.kernel import headers as kernel_headers
from ebpffix.run.analyse import Job, Result, Status
from ebpffix.sources.reader import DATA, read_file
from ebpffix.write import put

_KEEP = 30 * 86400  # seconds for which an entry that nobody asked for stays


class Results(Protocol):
    """Where results are kept, under names that `key_of` makes."""

    def get(self, key: str, job: Job) -> Result | None: ...

    def put(self, key: str, result: Result) -> None: ...

    def prune(self) -> None:
        """Remove what is too much; asked once a pass."""


class ResultCache:
    """The results in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._wrote = False

    def get(self, key: str, job: Job) -> Result | None:
        """The result that was kept under a key; None if there is none, or none that this job could have."""
        path = self.folder / key
        try:
            result = _decode(json.loads(read_file(path)), job)
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return None
        # Asked for once a day is enough to stay.
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > 86400:
                os.utime(path)
        return result

    def put(self, key: str, result: Result) -> None:
        """Keep a result. A full disk costs the cache, not the run. What failed is tried again."""
        if result.status is Status.FAILED:
            return
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            put(self.folder / key, json.dumps(_encode(result)).encode())
            self._wrote = True

    def prune(self) -> None:
        """Remove old entries, if this run wrote any: only then can the folder have grown."""
        if not self._wrote:
            return
        oldest = time.time() - _KEEP
        with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.stat().st_mtime < oldest:
                        os.unlink(entry)


def refusal(folder: Path) -> str:
    """Why nothing may be kept in a folder, "" if it may; it is made, for this user alone. What others can put there is
    not believed: a precompiled header is read by libclang as it is."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        seen = folder.stat()
    except OSError as error:
        return (error.strerror or "").lower()
    if seen.st_uid != os.geteuid():
        return "belongs to another user"
    return "others can write to it" if seen.st_mode & (stat.S_IWGRP | stat.S_IWOTH) else ""


# The folders of all that is kept, and the names of what is in each, also while it is being written.
_HASH = r"[0-9a-f]{32}"
_KEPT = {
    "results": re.compile(r"[0-9a-f]{40}|\.[0-9a-f]{40}\.\w{8}"),
    "pch": re.compile(rf"{_HASH}(?:-[0-9a-f]{{8}}\.pch|\.h)|\.{_HASH}\.h\.\w{{8}}|tmp\w{{8}}"),
    "vmlinux": re.compile(_HASH),
    "given": re.compile(_HASH),
    "kernel-headers": re.compile(r"linux-headers-.+|tmp\w{8}"),
    "kernels": re.compile(r"\d+\.\d+|kvm"),  # images, and whether KVM works
}


def clear(folder: Path) -> bool:
    """Remove what any version keeps in a folder, and nothing else: a user can have named one that holds more, a folder
    `results` of their own too. No link is followed. Whether there was something. OSError passes through."""
    removed = False
    for name, names in _KEPT.items():
        kept = folder / name
        if not stat.S_ISDIR(_mode(kept)):
            continue
        for entry in list(os.scandir(kept)):
            if not names.fullmatch(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry)
            else:
                os.unlink(entry)
            removed = True
        with contextlib.suppress(OSError):  # something of others is in it
            kept.rmdir()
    return removed


def _mode(path: Path) -> int:
    """Of what stands there itself; 0 for nothing."""
    try:
        return path.lstat().st_mode
    except FileNotFoundError:
        return 0


@functools.cache
def _machine(btf: Path | None) -> tuple[object, ...]:
    """What stands for the machine's BTF and kernel headers, which a transform may read by itself."""
    with contextlib.suppress(OSError):
        if btf and btf.parent == Path("/sys/kernel/btf"):  # whose times mean nothing; modules come and go
            return platform.version(), *sorted(os.listdir(btf.parent)), kernel_headers.folders()
        if btf:
            return blake2b(read_file(btf, DATA)).digest(), kernel_headers.folders()
    return (kernel_headers.folders(),)


def key_of(job: Job, headers: Iterable[bytes], tool: bytes) -> str:
    """The name for a job's result. `headers` are the hashes of the headers that are not among the sources; `tool`
    stands for this version of ebpffix and its transforms."""
    setup = job.setup
    parts: list[object] = [job.path, job.dialect, setup.args, setup.prefix, setup.notes, job.transforms, job.btf]
    parts += [setup.defines, setup.reach, job.user_space]
    parts += [job.target_kernel, sorted(job.shared_with_user_space), sorted(job.shared_with_programs)]
    parts += [_machine(job.btf)]
    state = blake2b(repr(parts).encode(), digest_size=20)
    state.update(tool + setup.digest)
    for header in headers:
        state.update(header)
    for path, data in sorted(job.sources.items()):
        state.update(b"\0%s\0%d\0" % (os.fsencode(path), len(data)))
        state.update(data)
    for name, data in sorted(job.virtual.items()):
        state.update(b"\0%s\0%d\0" % (os.fsencode(name), len(data)))
        state.update(data)
    return state.hexdigest()


@functools.cache
def tool_digest(modules: tuple[str, ...]) -> bytes:
    """What tells this ebpffix from another: what its files hold, and the transforms' modules; all of the package where
    a transform is one, for it has rooms of its own. Where they lie, and since when, changes nothing; nor does what
    happens to them while they run."""
    folders = {str(Path(ebpffix.__file__).parent)}
    files: set[str] = set()
    for name in modules:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and os.path.basename(file) == "__init__.py":
            folders.add(os.path.dirname(file))
        elif file:
            files.add(file)
    for folder in folders:
        files |= {str(p) for p in Path(folder).rglob("*") if p.suffix in (".py", ".h", ".txt")}
    state = blake2b(digest_size=16)
    for path in sorted(files):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            data = file.read()
            state.update(b"%s %d\n" % (os.path.basename(path).encode(), len(data)))
            state.update(data)
    return state.digest()


def _encode(result: Result) -> dict[str, Any]:
    findings = [
        {
            "transform": name,
            "at": [str(fix.at.path), fix.at.start, fix.at.end],
            "message": fix.message,
            "safety": fix.safety,
            "edits": [[str(e.path), e.start, e.end, e.text.decode("latin-1")] for e in fix.edits],
            "reason": fix.reason,
            "origin": fix.origin,
        }
        for name, fix in result.findings
    ]
    return {
        "status": result.status,
        "errors": result.errors,
        "notes": result.notes,
        "guessed": result.guessed,
        "findings": findings,
    }


def _decode(data: Any, job: Job) -> Result:
    """What `_encode` made. ValueError, LookupError or TypeError for what it cannot have made of this job."""
    findings = [(_of(found["transform"], job.transforms), _fix(found, job)) for found in data["findings"]]
    if type(data["errors"]) is not int:
        raise TypeError
    notes, guessed = ([_text(one) for one in data[name]] for name in ("notes", "guessed"))
    return Result(Status(data["status"]), findings, data["errors"], notes, guessed)


def _fix(found: Any, job: Job) -> Fix:
    edits = [Edit(*_place(job, *place), _text(text).encode("latin-1")) for *place, text in found["edits"]]
    span = Span(*_place(job, *found["at"]))
    origin = [_text(line) for line in found["origin"]]
    return Fix(span, _text(found["message"]), Safety(found["safety"]), edits, _text(found["reason"]), origin)


def _place(job: Job, name: Any, start: Any, end: Any) -> tuple[Path, int, int]:
    """A byte range of one of the job's own files."""
    path = Path(name)
    if not (type(start) is type(end) is int and 0 <= start <= end <= len(job.sources[path])):
        raise ValueError
    return path, start, end


def _of(name: Any, known: Iterable[str]) -> str:
    if name not in known:
        raise ValueError
    return _text(name)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError
    return value
