"""The include graph without clang: which headers of the project a program sees, and what no header answers to.

Conditions (`#ifdef`) are not weighed: every include is followed. What the compiler, the kernel and libbpf provide is
`external`; what nobody provides is `missing`.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

from ebpffix.kernel import machine
from ebpffix.sources import build
from ebpffix.sources.files import inside, list_files, root_of
from ebpffix.sources.reader import read_file
from ebpffix.sources.source import Source

# Begins with a literal: that alone makes it fast over megabytes of kernel types.
_INCLUDE = re.compile(rb"""\#[ \t]*include[ \t]*(?:"([^"\n\0]+)"|<([^>\n\0]+)>)""")

# libbpf's headers by their bare names: where its sources lie in the tree, or a copy of them.
_BARE = re.compile(r"(?:bpf_helpers|bpf_helper_defs|bpf_endian|bpf_tracing|bpf_core_read)\.h")
# What a program of the kernel's own samples includes: these have the kernel's types, of which user space has none.
_KERNEL_TYPES = re.compile(
    r"linux/(?:blk\w*|bio|cgroup|cred|dcache|device|fdtable|file|fs|fs_struct|genhd|kconfig|kernel|kthread|list|mm|mm_types"
    r"|mount|net|netdevice|nsproxy|ns_common|path|pid|pid_namespace|sched|security|skbuff|slab|smp|spinlock|uaccess"
    r"|wait|workqueue)\.h|linux/sched/\w+\.h|net/(?:sock|inet_\w+|tcp|udp|ip|ipv6|net_namespace|af_unix|route|request_sock"
    r"|netns/\w+|neighbour|dst|flow)\.h|trace/\w+\.h"
)
# A file that is nothing but another's name: a link that git wrote as text.
_LINK = re.compile(rb"[\w./+-]*\w\.h\n?")

# Folders of headers that the kernel, libbpf, BCC or the C library bring, and the C library's own headers.
_ENVIRONMENT = re.compile(
    r"(?:bpf|bcc|linux|uapi|asm|asm-generic|generated|sys|net|netinet|netpacket|arpa|trace|scsi|rdma|crypto|kvm|bits|gnu)/"
    r"|std\w+\.h$|(?:bpf_helpers|bpf_helper_defs|bpf_endian|bpf_tracing|bpf_core_read)\.h$"
    r"|(?:assert|byteswap|ctype|dirent|elf|endian|errno|fcntl|features|getopt|inttypes|iso646|libgen|limits|locale|math"
    r"|memory|poll|pthread|sched|setjmp|signal|string|strings|syscall|tgmath|time|unistd|wchar|cpuid|x86intrin)\.h$"
)

_VMLINUX = re.compile(rf"vmlinux(?:[-_.](?:[a-z]+[-_.])?(?:\d[\w.-]*|{'|'.join(sorted(machine.NAMES))}))?\.h")


@dataclass(frozen=True)
class Include:
    """An include directive of `file`: its bytes `offset` to `offset + length`, from the `#` to the closing delimiter.

    A comment that follows on the line is not part of it: it may go on over the line's end.
    """

    name: str
    angled: bool
    file: Path
    offset: int
    length: int

    def replaced_in(self, data: bytes, *, libbpf: bool) -> bytes:
        """`data`, the content of `file`, without the directive, which no file answers to: same length, same lines.

        With `libbpf`, its headers are meant wherever they are looked for: a build brings a copy of them, or it is a
        submodule that was not fetched.
        """
        bare = os.path.basename(self.name)
        instead = b"#include<%s>" % bare.encode() if libbpf and _BARE.fullmatch(bare) else b""
        end = self.offset + self.length
        return data[: self.offset] + instead.ljust(self.length) + data[end:]


@dataclass(frozen=True)
class Parsed:
    """What is kept of a header that was read: its includes and the hash (blake2b, 16 bytes) of its content."""

    includes: tuple[Include, ...]
    digest: bytes
    is_link: bool = False


@dataclass
class Closure:
    """All that a program includes, directly or not, in the order in which it is met.

    `files` are headers of the project; `outside` those that only an include folder outside of the project has; `dirs`
    the folders that clang needs as -I, after the given ones, to find the same headers. `vmlinux` is the kernel's types,
    where the project has them; it is in `files` too. `links` are files that only name another, as C that includes it.
    """

    files: list[Path] = field(default_factory=list)
    outside: list[Path] = field(default_factory=list)
    dirs: list[Path] = field(default_factory=list)
    missing: list[Include] = field(default_factory=list)
    external: list[Include] = field(default_factory=list)
    vmlinux: Path | None = None
    links: dict[Path, bytes] = field(default_factory=dict)

    @property
    def wants_kernel_types(self) -> bool:
        """Whether the program includes what only the kernel's sources have, and nothing of the project answers to."""
        return any(i.angled and _KERNEL_TYPES.fullmatch(i.name) for i in (*self.external, *self.missing))


def is_vmlinux(path: str) -> bool:
    """Is it, by its name, the kernel's types: `vmlinux.h`, `vmlinux_614.h`, `vmlinux_generated_x86.h`, …"""
    return _VMLINUX.fullmatch(os.path.basename(path)) is not None


def parse_includes(source: Source) -> tuple[Include, ...]:
    """The include directives of `source` that name a file, in order; not those in comments."""
    data = source.data
    if b"include" not in data:
        return ()
    found = []
    before = 0
    in_comment = False
    for match in _INCLUDE.finditer(data):
        start, end = match.span()
        # Cheap first: an open comment needs a /* that no */ follows. Only then look where the comments really are.
        opened, closed = data.rfind(b"/*", before, start), data.rfind(b"*/", before, start)
        if opened != closed:
            in_comment = opened > closed
        line = data.rfind(b"\n", before, start) + 1
        alone = (line or not before) and not data[line:start].strip(b" \t")
        before = end
        if not alone or (in_comment and _commented(source, start)):
            continue
        name = match[1] or match[2]
        found.append(Include(os.fsdecode(name), match[2] is not None, source.path, start, end - start))
    return tuple(found)


def _commented(source: Source, offset: int) -> bool:
    at = bisect_right(source.comments, (offset, 0)) - 1
    return at >= 0 and offset < source.comments[at][1]


class Tree:
    """The files of one root, and the headers among them that were read so far.

    `files` gives their absolute paths, once and only if an include needs them; without it the root is listed. `texts`
    are files that are there though the disk may not have them. All closures of a Tree are to be asked with the same
    include folders.
    """

    def __init__(
        self, root: Path, files: Callable[[], Sequence[str]] | None = None, texts: Collection[Path] = ()
    ) -> None:
        self.root = root
        self._texts = frozenset(map(str, texts))
        self._root = str(root)
        self._home = str(root_of(root))  # without a git tree: more than what is listed
        self._real_home = os.path.realpath(self._home)
        self._files = files or (lambda: list_files(self._root).files)
        self._parsed: dict[str, Parsed | None] = {}
        self._nearest: dict[tuple[str, str], str | None] = {}
        self._exists: dict[str, bool] = {}

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        index: dict[str, list[str]] = {}
        for path in self._files():
            index.setdefault(path[path.rfind("/") + 1 :], []).append(path)
        return index

    def digest(self, path: Path) -> bytes | None:
        """The hash of a header's content (blake2b, 16 bytes), None if it cannot be read."""
        parsed = self._read(str(path))
        return parsed.digest if parsed else None

    def closure(
        self, program: Source, include_dirs: Sequence[Path] = (), sources: Mapping[Path, Source] | None = None
    ) -> Closure:
        """Follow the includes of `program`. `sources` are texts that take the place of files on disk."""
        found = Closure()
        given = [os.path.abspath(folder) for folder in include_dirs]
        dirs = [str(folder) for folder in build.folders(program.path, self.root)]
        seen = {str(program.path)}
        queue = list(parse_includes(program))
        unresolved: list[Include] = []
        while queue:
            known = len(dirs)
            following: list[Include] = []
            for include in queue:
                path = self._resolve(include, given, dirs)
                if path is None:
                    unresolved.append(include)
                elif path not in seen:
                    seen.add(path)
                    self._add(path, found)
                    following += self._includes(path, sources)
            # A folder that was added late may answer to a name that nothing answered to before.
            late = [include for include in unresolved if self._look(include, dirs[known:], given)]
            if late:
                unresolved = [include for include in unresolved if include not in late]
            queue = following + late
        for include in unresolved:
            (found.external if _ENVIRONMENT.match(include.name) else found.missing).append(include)
        found.dirs = [Path(folder) for folder in dirs]
        return found

    def _add(self, path: str, found: Closure) -> None:
        (found.files if self._mine(path) else found.outside).append(Path(path))
        parsed = self._read(path)
        if parsed and parsed.is_link:
            found.links[Path(path)] = b'#include "%s"\n' % os.fsencode(parsed.includes[0].name)
        if found.vmlinux is None and is_vmlinux(path):
            found.vmlinux = Path(self._pointed_to(path))

    def _mine(self, path: str) -> bool:
        return inside(path, self._root)

    def _resolve(self, include: Include, given: list[str], dirs: list[str]) -> str | None:
        """Where clang would find it; a folder that is needed for that is appended to `dirs`."""
        own = [] if include.angled else [os.path.dirname(str(include.file))]
        if path := self._look(include, own + given + dirs, given):
            return path
        of_the_system = _ENVIRONMENT.match(include.name) is not None and not _BARE.fullmatch(include.name)
        if include.angled and of_the_system and not is_vmlinux(include.name):
            return None
        folder = os.path.dirname(str(include.file))
        path = self._by_suffix(folder, include.name)
        if path and of_the_system and "/" not in include.name and not self._together(folder, path):
            return None
        if path:
            dirs.append(path[: -len(include.name) - 1])
        return path

    def _together(self, folder: str, path: str) -> bool:
        """Whether both lie in one folder below the root: a tree of many projects has a `time.h` somewhere."""
        below = [place[len(self._root) :].strip("/").split("/")[0] for place in (folder, path)]
        return below[0] == below[1]

    def _look(self, include: Include, folders: Sequence[str], given: Sequence[str]) -> str | None:
        for folder in folders:
            path = os.path.normpath(f"{folder}/{include.name}")
            if self._is_readable(path, given):
                return path
        return None

    def _is_readable(self, path: str, given: Sequence[str]) -> bool:
        """Is it a file, and one that the project may have read: no link and no `../..` out of it (to /proc, say),
        save into the folders of -I?"""
        found = self._exists.get(path)
        if found is None:
            found = (path in self._texts or os.path.isfile(path)) and (
                inside(os.path.realpath(path), self._real_home)
                if inside(path, self._home)
                else any(inside(path, folder) for folder in given)
            )
            self._exists[path] = found
        return found

    def _by_suffix(self, folder: str, name: str) -> str | None:
        """The file of the tree whose path ends in `name` that is nearest to `folder`."""
        key = (folder, name)
        if key not in self._nearest:
            ending = "/" + name
            candidates = [p for p in self._by_name.get(name[name.rfind("/") + 1 :], ()) if p.endswith(ending)]
            foreign = _foreign if is_vmlinux(name) else lambda p: 0
            candidates.sort(key=lambda p: (foreign(p) == 2, _distance(folder, p), foreign(p), p))
            self._nearest[key] = next((p for p in candidates if self._is_readable(p, ())), None)
        return self._nearest[key]

    def _includes(self, path: str, sources: Mapping[Path, Source] | None) -> tuple[Include, ...]:
        if sources and (source := sources.get(Path(path))):
            return parse_includes(source)
        parsed = self._read(path)
        return parsed.includes if parsed else ()

    def _read(self, path: str) -> Parsed | None:
        if path not in self._parsed:
            try:
                source = Source.read(Path(path))
            except OSError:
                self._parsed[path] = None
            else:
                digest = blake2b(source.data, digest_size=16).digest()
                link = self._link(source)
                self._parsed[path] = Parsed((link,) if link else parse_includes(source), digest, link is not None)
        return self._parsed[path]

    def _link(self, source: Source) -> Include | None:
        """What a file names that is nothing but a name."""
        if len(source.data) > 200 or not _LINK.fullmatch(source.data):
            return None
        include = Include(os.fsdecode(source.data.strip()), False, source.path, 0, len(source.data))
        return include if self._look(include, [str(source.path.parent)], ()) else None

    def _pointed_to(self, path: str) -> str:
        """Behind a file that only names another: a link, a link that git wrote as a file, a lone include."""
        for _ in range(8):
            path = os.path.realpath(path)
            try:
                source = Source(Path(path), read_file(path, 4096))
            except OSError:
                break
            code = source.uncommented.strip()
            includes = parse_includes(source)
            if len(includes) == 1 and code == source.data[includes[0].offset :][: includes[0].length]:
                name = includes[0].name
            elif b"\n" not in code:
                name = os.fsdecode(code)
            else:
                break
            target = os.path.normpath(os.path.join(os.path.dirname(path), name))
            if "\0" in name or not self._is_readable(target, [os.path.dirname(path)]):
                break
            path = target
        return path


def _foreign(path: str) -> int:
    """0 for the host's architecture among the folders of `path`, 1 for none, 2 for another's."""
    folders = set(path.split("/"))
    here = machine.here()
    if here and folders.intersection((here.target, *here.names)):
        return 0
    return 2 if folders & machine.NAMES else 1


def _distance(folder: str, path: str) -> int:
    """How many steps up and down lead from `folder` to the folder of `path`."""
    here, there = folder.split("/"), path.split("/")[:-1]
    common = next((n for n, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), min(len(here), len(there)))
    return len(here) + len(there) - 2 * common
