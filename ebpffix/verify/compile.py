"""From eBPF C to an object file, with the user's own clang.

Fixes are tried without touching the tree: an overlay file system gives clang other contents for the main file and for
headers. The flags of a repository are code that someone else wrote, so only harmless ones pass.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ebpffix.kernel import machine
from ebpffix.sources.files import root_of
from ebpffix.sources.reach import Reach
from ebpffix.verify import CannotVerify
from ebpffix.verify.map_faults import Map
from ebpffix.verify.process import Finished, confined, is_foreign, private_folder, run

OLDEST = 12  # the first clang whose objects today's libbpf takes without loss
_NEWEST = 40  # no clang of this number exists yet; bounds the search on the path


@dataclass(frozen=True)
class Clang:
    """A compiler that was found: its absolute path, and its version as (major, minor, patch)."""

    path: str
    version: tuple[int, int, int]

    def __str__(self) -> str:
        return "clang " + ".".join(map(str, self.version))


@dataclass(frozen=True)
class Object:
    """A compiled object: the ELF bytes, and the real paths of all files that went into it."""

    data: bytes
    inputs: frozenset[Path]


@dataclass(frozen=True)
class CompileError:
    """What clang said, line by line; each error comes as `path:line:column: error: …`, its source line and a caret.
    `maps` are those that the program defines in the old form, where only that form's structure is missing."""

    lines: tuple[str, ...]
    maps: Mapping[str, Map] = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n".join(self.lines)


def find_clang(explicit: str | None = None) -> Clang:
    """The compiler to use: `explicit`, else $CLANG, else `clang` or the newest `clang-NN` on the path.

    Raises CannotVerify when there is none, or when the one asked for does not run. A repository has no say here.
    """
    wanted = explicit or os.environ.get("CLANG")
    if wanted:
        path = shutil.which(os.path.expanduser(wanted))
        if not path:
            raise CannotVerify(f"{wanted}: no such compiler", "name a clang with --clang or $CLANG")
        return _asked(path)
    for name in ("clang", *(f"clang-{n}" for n in range(_NEWEST, OLDEST - 1, -1))):
        path = shutil.which(name)
        if path:
            return _asked(path)
    raise CannotVerify("no clang on the path", f"install clang {OLDEST} or later, or name one with --clang")


@cache
def _asked(path: str) -> Clang:
    path = os.path.abspath(path)
    try:
        with private_folder() as folder:
            said = run([path, "--version"], folder=folder, timeout=20).output.decode(errors="replace")
    except OSError as error:
        raise CannotVerify(f"{path}: {error.strerror}", "name a clang with --clang or $CLANG") from None
    match = re.search(r"clang version (\d+)\.(\d+)\.(\d+)", said)
    if not match:
        raise CannotVerify(f"{path} is not clang", "name a clang with --clang or $CLANG")
    version = (int(match[1]), int(match[2]), int(match[3]))
    if version[0] < OLDEST:
        raise CannotVerify(f"{path} is clang {version[0]}", f"install clang {OLDEST} or later")
    return Clang(path, version)


def compile_libbpf(
    path: Path,
    *,
    clang: Clang,
    args: Sequence[str] = (),
    overlay: Mapping[Path, bytes] | None = None,
    reach: Reach | None = None,
    timeout: float = 60,
) -> Object | CompileError:
    """Compile one libbpf program. `args` are the caller's include folders and macros, taken as they are.

    clang sees only what is within `reach`; unless given, the program's project and the folders in `args`.

    `overlay` gives other contents for files, headers too; the tree stays untouched. `timeout` is in seconds.
    """
    reach = reach or _reach(path, args)
    contents = {Path(os.path.realpath(p)): data for p, data in (overlay or {}).items()}
    spellings = {Path(os.path.abspath(p)) for p in (*(overlay or {}), *contents)}
    for _ in range(3):
        with private_folder() as folder:
            try:
                overlay_args = _overlay(folder, contents, spellings)
            except UnicodeEncodeError:
                return CompileError((f"{str(path)!a}: error: the name of a changed file is not UTF-8",))
            done = _clang(path, folder, clang, (*overlay_args, *args), reach, timeout)
            if done.code != 0:
                return CompileError(_complaint(path, done, timeout))
            names = _inputs(folder / "deps")
            # clang looks a file up by the name it came by: behind a symbolic link that is another one.
            missed = {n for n in names if n not in spellings and Path(os.path.realpath(n)) in contents}
            if not missed:
                return Object((folder / "object").read_bytes(), frozenset(Path(os.path.realpath(n)) for n in names))
            spellings |= missed
    return CompileError((f"{path}: error: a changed file is reached by ever other names",))


def precompile(
    text: bytes, folder: Path, *, clang: Clang, args: Sequence[str] = (), timeout: float = 60
) -> tuple[str, ...]:
    """Arguments under which programs that begin with the includes of `text` compile in a fraction of the time, by a
    file in `folder`; none where it cannot be made. The programs must be compiled with the same `args`."""
    reach = _reach(header := folder / "prefix.h", args)
    header.write_bytes(text)
    done = _clang(header, folder, clang, args, reach, timeout, "c-header")
    return ("-include-pch", str(folder / "object")) if done.code == 0 else ()


def _reach(path: Path, args: Sequence[str]) -> Reach:
    """The program's project and what `args` name."""
    return Reach(root_of(path), tuple(Path(arg.removeprefix("-I")).absolute() for arg in args))


def _clang(
    path: Path, folder: Path, clang: Clang, args: Sequence[str], reach: Reach, timeout: float, language: str = "c"
) -> Finished:
    argv = [clang.path, "-O2", "-g", *_defaults(args, folder), *args, "-target", "bpf"]
    argv += ["-w", "-fno-color-diagnostics", "-ferror-limit=20", "-MD", "-MT", "x", "-MF", str(folder / "deps")]
    argv += ["-x", language, "-c", os.path.abspath(path), "-o", str(folder / "object")]
    # Wherever it stands, clang takes it for the name of a file with more arguments, such as the name of a plugin.
    if expanded := next((word for word in argv if word.startswith("@")), ""):
        return Finished(1, b"", f"error: no argument may begin with @, as does {expanded}".encode())
    argv = confined(argv, reach, folder, foreign=is_foreign(path))
    return run(argv, folder=folder, timeout=timeout, env={"TMPDIR": str(folder)})


def _defaults(args: Sequence[str], folder: Path) -> Iterator[str]:
    if (here := machine.here()) and not any("__TARGET_ARCH_" in a for a in args):
        yield f"-D__TARGET_ARCH_{here.target}"
    # Debian keeps <asm/types.h> in a folder that clang searches for the host's target only.
    yield from ("-idirafter", f"/usr/include/{platform.machine()}-linux-gnu")
    # Many programs include libbpf's headers by their bare names.
    yield from ("-idirafter", "/usr/include/bpf")
    # The C library takes BPF for a 32-bit x86, and looks for a list of its gaps there that few machines have.
    (folder / "gnu").mkdir(exist_ok=True)
    (folder / "gnu" / "stubs-32.h").touch()
    yield from ("-idirafter", str(folder))


def _overlay(folder: Path, contents: Mapping[Path, bytes], spellings: Iterable[Path]) -> list[str]:
    """The flag that makes clang read `contents` for the files of those names."""
    if not contents:
        return []
    written = {}
    for number, (real, data) in enumerate(contents.items()):
        written[real] = folder / f"file{number}"
        written[real].write_bytes(data)
    roots = [
        {"name": str(n), "type": "file", "external-contents": str(written[Path(os.path.realpath(n))])}
        for n in sorted(spellings)
    ]
    # Under their own names, so that an include beside the file resolves, and messages name it.
    described = {"version": 0, "case-sensitive": "true", "use-external-names": "false", "roots": roots}
    (folder / "overlay").write_text(json.dumps(described, ensure_ascii=False), encoding="utf-8")
    return ["-ivfsoverlay", str(folder / "overlay")]


def _inputs(deps: Path) -> list[Path]:
    """The names by which clang opened its inputs, made absolute; `deps` is a rule in make's spelling."""
    rule = os.fsdecode(deps.read_bytes()).replace("\\\n", " ").split(":", 1)[1]
    names = re.findall(r"(?:\\[ #]|\$\$|[^\s])+", rule)
    return [Path(os.path.abspath(re.sub(r"\\([ #])", r"\1", n).replace("$$", "$"))) for n in names]


def _complaint(path: Path, done: Finished, timeout: float) -> tuple[str, ...]:
    if done.code is None:
        return (f"{path}: error: not compiled within {timeout:g} s",)
    lines = done.errors.decode(errors="replace").splitlines()
    if done.code < 0 or not any("error:" in line for line in lines):
        return (f"{path}: error: clang ended with {done.code}", *lines[:20])
    return tuple(lines)
