"""The compile environment of one program: where its types come from, and in which order they are asked.

The project's own headers and vmlinux.h first, then what compile_commands.json adds, then a vmlinux.h made from BTF,
then the bundled virtual headers, last the system's.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import platform
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from ebpffix.fix import BCC
from ebpffix.kernel import machine
from ebpffix.sources import build
from ebpffix.sources.files import root_of
from ebpffix.sources.includes import parse_includes
from ebpffix.sources.reach import Reach
from ebpffix.sources.reader import read_file
from ebpffix.sources.source import Source
from ebpffix.write import put

BUNDLED = Path(__file__).parent.parent / "headers"
_KERNEL_BTF = Path("/sys/kernel/btf/vmlinux")

# From this many bytes on a vmlinux.h is worth to be precompiled; a hand-written stub of one needs other headers first.
_HEAVY = 500_000

# The headers of libbpf that nearly every program with a vmlinux.h includes, in one order or another.
_COMPANIONS = ("bpf/bpf_helpers.h", "bpf/bpf_core_read.h", "bpf/bpf_tracing.h", "bpf/bpf_endian.h")


@dataclass(frozen=True)
class Options:
    """What the user says of the compile environment; folders and files are absolute."""

    target_kernel: tuple[int, int] = (5, 10)
    include_dirs: tuple[Path, ...] = ()
    defines: tuple[str, ...] = ()
    vmlinux: Path | None = None
    btf: Path | None = None
    cache: Path | None = None  # None: nothing is kept on disk
    given: tuple[Path, ...] = ()  # of these, what a flag named: a repository says the others of itself


@dataclass(frozen=True)
class Setup:
    """How one program is parsed: with `args`, and only from files within `reach`.

    `prefix` are the headers to take from a precompiled file, in order, made with `prefix_args`; `digest` stands
    for their contents. `defines` are macros that build files name, for a program that is not understood without.
    `notes` are for the report.
    """

    args: tuple[str, ...]
    reach: Reach
    prefix: tuple[str, ...] = ()
    prefix_args: tuple[str, ...] = ()
    digest: bytes = b""
    defines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class NoTypes(Exception):
    """The types that the user pointed at cannot be had: one line that says why."""


class Environment:
    """The compile environment of a run."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def setup(
        self,
        source: Source,
        dialect: str,
        dirs: Sequence[Path] = (),
        vmlinux: Path | None = None,
        *,
        wants_vmlinux: bool = False,
        like_the_kernel: bool = False,
        flags: Sequence[str] = (),
        root: Path | None = None,
    ) -> Setup:
        """The setup of a program. `dirs` are the project's folders that resolve its includes, `vmlinux` the project's
        vmlinux.h if it has the one that the program wants, `flags` those of compile_commands.json. `like_the_kernel`: a
        program with the kernel's own headers instead, which gets the types and none of libbpf's headers unasked. `root`
        is what was named or walked, or the git tree's; else the program's folder."""
        reach = self.reach(root or source.path)
        if dialect == BCC:
            return self._bcc(dirs, flags, reach)
        folders, header, notes = self._folders(dirs, vmlinux, wants_vmlinux=wants_vmlinux or like_the_kernel)
        if named := build.folders(source.path, reach.home):
            names = ", ".join(str(folder.relative_to(reach.home)) for folder in named)
            notes = (*notes, f"headers are looked for in {names}, as a line of `go generate` says")
        fixed = (*self._fixed(flags), *(_KERNEL_STYLE if like_the_kernel else ()))
        args = (*fixed, *_split(flags)[0], *_include(folders), *_LIBBPF_DIRS)
        defines = build.defines(source.path, reach.home)
        parts = _parts(str(header), *_stamp(str(header))) if header else ()
        heavy = sum(map(os.path.getsize, parts)) >= _HEAVY
        if not header or not heavy or any(_renames(source, part) for part in parts):
            return Setup(args, reach, defines=defines, notes=notes)
        if re.search(rb"define[ \t]+BPF_NO_PRESERVE_ACCESS_INDEX", source.uncommented):
            fixed = (*fixed, "-DBPF_NO_PRESERVE_ACCESS_INDEX")
        own = [d for d in folders if (d / _COMPANIONS[0]).exists()]
        where = own[0] if own else BUNDLED / "libbpf"
        # The bundled stand-ins for the kernel's headers then leave out the types that a whole vmlinux.h has.
        fixed = (*fixed, "-DEBPFFIX_VMLINUX")
        args = (*args, "-DEBPFFIX_VMLINUX")
        companions = () if like_the_kernel else _COMPANIONS
        paths = (str(header), *(str(where / name) for name in companions if (where / name).exists()))
        digest = _digest([*parts, *paths[1:], *_headers_in(where / "bpf")])
        return Setup(args, reach, paths, (*fixed, *_LIBBPF_DIRS), digest, defines, notes)

    @functools.cache  # noqa: B019 - one Environment lives as long as the run
    def reach(self, root: Path) -> Reach:
        """What the programs of a project may read."""
        return Reach(root_of(root), (BUNDLED, self._folder, *self.options.given))

    def _folders(
        self, dirs: Sequence[Path], vmlinux: Path | None, *, wants_vmlinux: bool
    ) -> tuple[list[Path], Path | None, tuple[str, ...]]:
        """(folders for includes, the vmlinux.h that is in force, notes on where it comes from) of a libbpf program."""
        folders = [*self.options.include_dirs, *dirs]
        if self.options.vmlinux:
            _check(self.options.vmlinux)
            return [self._as_vmlinux_h(self.options.vmlinux), *folders], self.options.vmlinux, ()
        if vmlinux or not wants_vmlinux:
            return folders, vmlinux, ()
        header, notes = self._made_header()
        return [*folders, *([header.parent] if header else [])], header, notes

    def compiler_args(
        self, dirs: Sequence[Path], flags: Sequence[str] = (), *, wants_vmlinux: bool = False
    ) -> tuple[str, ...]:
        """The arguments for a real compiler, which brings its own headers and finds the system's."""
        folders, _, _ = self._folders(dirs, None, wants_vmlinux=wants_vmlinux)
        own, others = _split(flags)
        return (*others, *(f"-D{d}" for d in self.options.defines), *own, *_include(folders))

    @functools.cache  # noqa: B019 - one Environment lives as long as the run
    def provides(self, name: str, *, like_the_kernel: bool = False) -> bool:
        """Whether a libbpf program finds this header outside of its project: bundled, or the system's, which do not go
        with the kernel's types."""
        folders = _BUNDLED_PROVIDERS if like_the_kernel else _PROVIDERS
        return any((folder / name).is_file() for folder in folders)

    def _bcc(self, dirs: Sequence[Path], flags: Sequence[str], reach: Reach) -> Setup:
        header, notes = self._made_header()
        types = header or BUNDLED / "bcc" / "fallback_types.h"
        paths = (str(types), str(BUNDLED / "bcc" / "prelude.h"))
        fixed = self._fixed(flags)
        args = (*fixed, *_split(flags)[0], *_include([*self.options.include_dirs, *dirs]), *_BCC_DIRS)
        digest = _digest([*paths, *_headers_in(BUNDLED / "bcc")])
        return Setup(args, reach, paths, (*fixed, *_BCC_DIRS), digest, notes=notes)

    def _fixed(self, flags: Sequence[str]) -> tuple[str, ...]:
        """The arguments that a precompiled header must share with its users; libclang does not tell if it does not."""
        return (*_BASE, *(f"-D{d}" for d in self.options.defines), *_split(flags)[1])

    @functools.cached_property
    def btf_path(self) -> Path | None:
        """The BTF that types come from: what the user gave, else the running kernel's, else None."""
        if self.options.btf:
            return self.options.btf
        return _KERNEL_BTF if os.access(_KERNEL_BTF, os.R_OK) else None

    def _made_header(self) -> tuple[Path | None, tuple[str, ...]]:
        """A vmlinux.h made from BTF, and the note that says from which. NoTypes if the user's cannot be read."""
        path = self.btf_path
        if path is None:
            return None, ("no BTF of a kernel here: kernel types are the bundled ones; give --btf or --vmlinux",)
        whose = f"kernel {platform.release()}" if path == _KERNEL_BTF else str(path)
        try:
            return self._header_of(path), (f"kernel types come from the BTF of {whose}",)
        except NoTypes as error:
            if path == self.options.btf:
                raise
            return None, (f"kernel types are the bundled ones: {error}",)

    @functools.cache  # noqa: B019 - one Environment lives as long as the run
    def _header_of(self, btf_file: Path) -> Path:
        # The running kernel's is known by the kernel: it is large, and its time means nothing.
        made_of = [] if btf_file == _KERNEL_BTF else [str(btf_file)]
        made_of += [str(BUNDLED.parent / part) for part in ("kernel/btf.py", "kernel/btf_c.py")]
        what = f"{btf_file}:{platform.release()} {platform.version()}".encode() + _digest(made_of)
        folder = self._folder / "vmlinux" / blake2b(what, digest_size=16).hexdigest()
        header = folder / "vmlinux.h"
        if not header.exists():
            from ebpffix.kernel import btf, btf_c

            try:
                types = btf.load(btf_file)
                folder.mkdir(parents=True, exist_ok=True)
                text = io.StringIO()
                btf_c.write_header(types, text)
                put(header, text.getvalue().encode())
            except (btf.BtfError, OSError) as error:
                raise NoTypes(str(error)) from None
        return header

    def _as_vmlinux_h(self, given: Path) -> Path:
        """A folder in which the header that the user gave is called vmlinux.h."""
        if given.name == "vmlinux.h":
            return given.parent
        folder = self._folder / "given" / blake2b(str(given).encode(), digest_size=16).hexdigest()
        folder.mkdir(parents=True, exist_ok=True)
        link = folder / "vmlinux.h"
        if not link.is_symlink():
            link.symlink_to(given)
        return folder

    @functools.cached_property
    def _folder(self) -> Path:
        if self.options.cache:
            with contextlib.suppress(OSError):
                self.options.cache.mkdir(parents=True, exist_ok=True)
                return self.options.cache
        try:
            scratch = tempfile.TemporaryDirectory(prefix="ebpffix-")
        except OSError:
            raise NoTypes("no folder can be written for a while; set $TMPDIR or $EBPFFIX_CACHE_DIR to one") from None
        self._scratch = scratch  # removed with the Environment
        return Path(scratch.name)


_DEFINE = re.compile(rb"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.MULTILINE)
_FIRST_INCLUDE = re.compile(rb"^[ \t]*#[ \t]*include\b", re.MULTILINE)


def _renames(source: Source, header: str) -> bool:
    """Whether a program defines macros before its first include that the header has as names: then it means the
    header to be read with them."""
    first = _FIRST_INCLUDE.search(source.uncommented)
    names = [m[1] for m in _DEFINE.finditer(source.uncommented, 0, first.start())] if first else []
    return any(_mentions(header, *_stamp(header), name) for name in names)


@functools.cache
def _mentions(header: str, size: int, time: int, name: bytes) -> bool:
    text = _bytes(header, size, time) or b""
    # A plain search of megabytes first: it takes a tenth of the other's time, and hardly a name is there.
    return name in text and re.search(rb"\b%s\b" % name, text) is not None


def _check(given: Path) -> None:
    """NoTypes for a vmlinux.h that was named and cannot be read: no pipe, no folder, nothing without end."""
    try:
        read_file(given)
    except OSError as error:
        raise NoTypes(f"{given}: {(error.strerror or '').lower()}; give another vmlinux.h") from None


def _stamp(path: str) -> tuple[int, int]:
    """What changes with a file: --watch goes on for long."""
    seen = os.stat(path)
    return seen.st_size, seen.st_mtime_ns


@functools.lru_cache(4)
def _parts(header: str, size: int, time: int) -> tuple[str, ...]:
    """A vmlinux.h, and what it includes from around it: some choose the real one of the architecture. None of them if
    it cannot be read: what is wrong with it, libclang says of each program."""
    text = _bytes(header, size, time)
    if text is None:
        return ()
    around = os.path.dirname(header)
    names = (i.name for i in parse_includes(Source(Path(header), text)) if not i.angled)
    found = (path for name in names if os.path.isfile(path := os.path.join(around, name)))
    return (header, *(path for path in found if _bytes(path, *_stamp(path)) is not None))


@functools.lru_cache(4)
def _bytes(path: str, _size: int, _time: int) -> bytes | None:
    return _read(path)


@functools.cache
def _content(path: str, _size: int, _time: int) -> bytes:
    return blake2b(_read(path) or b"", digest_size=16).digest()


def _read(path: str) -> bytes | None:
    """None for what the reader takes for no file: it may be the project's."""
    try:
        return read_file(path)
    except OSError:
        return None


def _digest(paths: Sequence[str]) -> bytes:
    return b"".join(_content(path, *_stamp(path)) for path in paths)


def _headers_in(folder: Path) -> list[str]:
    return sorted(map(str, folder.glob("*.h")))


_FOLDER_FLAGS = ("-I", "-isystem", "-iquote")


def _split(flags: Sequence[str]) -> tuple[list[str], list[str]]:
    """Compiler flags as (those that name folders for includes, the others). Another target than BPF is not taken."""
    folders: list[str] = []
    others: list[str] = []
    words = iter(flags)
    for word in words:
        if word in _FOLDER_FLAGS:
            folders += [word, next(words)]
        elif not word.startswith("--target"):
            others.append(word)
    return folders, others


def _include(folders: Sequence[Path]) -> list[str]:
    return [f"-I{folder}" for folder in dict.fromkeys(folders)]


def _system_dirs() -> list[str]:
    triplet = f"{platform.machine()}-linux-gnu"
    return [d for d in (f"/usr/include/{triplet}", "/usr/include") if os.path.isdir(d)]


_HERE = machine.here()
_NEWLY_ERRORS = ("int-conversion", "incompatible-function-pointer-types", "implicit-int", "incompatible-pointer-types")
_BASE = (
    *("-target", "bpf", "-std=gnu11", "-O2", "-g", "-nostdinc", "-ferror-limit=0"),
    # Errors of newer compilers alone, which do not harm the syntax tree. They warn, and nothing else does: a fix that
    # brings one is seen. A function that nobody declares stays an error: it shows a fix that lacks its include.
    *("-Wno-everything", "-Werror=implicit-function-declaration"),
    *(f"-W{what}" for what in _NEWLY_ERRORS),
    *(f"-Wno-error={what}" for what in _NEWLY_ERRORS),
    "-Wvisibility",  # says which struct is first named in a list of parameters
    f"-D__TARGET_ARCH_{_HERE.target if _HERE else 'x86'}",
    "-D__BPF_FEATURE_ADDR_SPACE_CAST",  # newer compilers than libclang 18 say so; without it headers for arenas give up
)
_BCC_DIRS = (
    *("-isystem", str(BUNDLED / "libbpf"), "-isystem", str(BUNDLED / "builtin")),
    *("-idirafter", str(BUNDLED / "libbpf" / "bpf")),  # by their bare names
    *("-idirafter", str(BUNDLED / "system")),
)
_BUNDLED_PROVIDERS = tuple(BUNDLED / part for part in ("libbpf", "libbpf/bpf", "builtin", "system"))
_PROVIDERS = (*_BUNDLED_PROVIDERS, *map(Path, _system_dirs()))
# What the kernel's build says; the version is that of BCC's prelude.
_KERNEL_STYLE = ("-D__KERNEL__", '-DKBUILD_MODNAME="ebpffix"', "-DLINUX_VERSION_CODE=0x060c00")
# The bundled ones come before the system's, so that a run gives the same result on every machine.
_LIBBPF_DIRS = (*_BCC_DIRS, *(part for folder in _system_dirs() for part in ("-idirafter", folder)))
