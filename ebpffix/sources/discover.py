"""Which of the given files are eBPF C, in which dialect, and which headers belong to them.

C that is not eBPF is never taken: user space that includes libbpf, kernel modules, the kernel itself. The evidence is
in the code, with comments and literals blanked; a name alone is enough only for `.bpf.c`. C in the strings of Python,
Go, C++ and Lua is judged in the same way, string by string; each that is an eBPF program is a program of the run.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ebpffix.fix import BCC, LIBBPF, Fix
from ebpffix.sources.files import HOSTS, Listing, git_root, inside, list_files, reason, root_of
from ebpffix.sources.includes import Closure, Tree, is_vmlinux, parse_includes
from ebpffix.sources.source import DIRECTIVE, Source

if TYPE_CHECKING:
    from ebpffix.sources.islands import Island

__all__ = ["Discovery", "Header", "Program", "dialect_of", "discover", "root_of"]

_USER_SPACE = (".c", ".cc", ".cpp", ".cxx")

# A place that may name a section of an object file; the name is a literal right behind it. These begin with a literal
# and look behind afterwards: much faster than the other way round.
_SECTIONS = (
    re.compile(rb"SEC(?<!\wSEC)[ \t]*\("),
    re.compile(rb"section(?:(?<=[_(,]section)|(?<=, section))(?:__)?[ \t]*\("),  # of an attribute, not of a #pragma
)
# The sections that libbpf, tc and ip load, as they begin; "?" is "not unless asked for". Without `version`, `prog`,
# `action`, …, which firmware has too: programs that use those have a license or maps beside them.
_BPF_SECTION = re.compile(
    rb'[ \t]*"\??(?:license|\.?maps|(?:\.)?struct_ops|\.kconfig|\.ksyms|k(?:ret)?probe|u(?:ret)?probe'
    rb"|k(?:ret)?syscall"
    rb"|usdt|tracepoint|tp|tp_btf|raw_tp|raw_tracepoint|fentry|fexit|fmod_ret|fsession|freplace|lsm|lsm_cgroup|iter"
    rb"|syscall|xdp|xdp_\w+|tcx|tc|classifier|cls|socket|sk_\w+|sockops|sockmap|cgroup|cgroup_\w+|perf_event"
    rb"|flow_dissector|netfilter|netkit|lwt_\w+|lirc_mode2)"
    rb'(?:[^A-Za-z"\n][^"\n]*)?"'
)
# Sections by macros of their own (Cilium's).
_SECTION_MACRO = re.compile(rb"^(?:__section_entry\b|BPF_LICENSE[ \t]*\()", re.MULTILINE)
_SECTION_MACRO_HINTS = (b"__section_entry", b"BPF_LICENSE")

# Macros of BCC, used as the first thing in a line.
_BCC_MACROS = b"""
    BPF_TABLE BPF_F_TABLE BPF_HASH BPF_ARRAY BPF_PERCPU_HASH BPF_PERCPU_ARRAY BPF_LRU_HASH BPF_LRU_PERCPU_HASH
    BPF_HISTOGRAM BPF_PERF_OUTPUT BPF_PERF_ARRAY BPF_RINGBUF_OUTPUT BPF_STACK_TRACE BPF_PROG_ARRAY BPF_LPM_TRIE
    BPF_CGROUP_ARRAY BPF_DEVMAP BPF_CPUMAP BPF_XSKMAP BPF_SOCKMAP BPF_SOCKHASH BPF_HASH_OF_MAPS BPF_ARRAY_OF_MAPS
    BPF_SK_STORAGE BPF_INODE_STORAGE BPF_TASK_STORAGE BPF_CGRP_STORAGE BPF_QUEUE BPF_STACK
    TRACEPOINT_PROBE KFUNC_PROBE KRETFUNC_PROBE KMOD_RET LSM_PROBE
""".split()
_BCC_MACRO = re.compile(
    rb"^[ \t]*(?:RAW_|MODULE_)?(?:%s)(?:_BUILDID)?(?:_PUBLIC|_PINNED\d?|_SHARED)?[ \t]*\(" % b"|".join(_BCC_MACROS),
    re.MULTILINE,
)
# Functions that BCC attaches by their names, and what only its rewriter or its headers give a meaning to.
_BCC_CODE = re.compile(
    rb"\bk(?:ret)?probe__\w+\s*\(\s*(?:struct\s+pt_regs\b|void\s*\*\s*ctx\b)|\b(?:raw_)?tracepoint__\w+\s*\(\s*struct\b"
    rb"|\bcursor_advance\s*\(|\bbpf_usdt_readarg(?:_p)?\s*\("
    rb"|\w\.(?:perf_submit|perf_submit_skb|ringbuf_output|ringbuf_reserve|lookup_or_init|lookup_or_try_init)\s*\("
)
# A probe that a host attaches by hand: BCC calls its argument ctx, where kernel code has regs.
_BCC_PROBE = re.compile(rb"^\w[\w \t*]*\(\s*struct\s+pt_regs\s*\*\s*ctx\b", re.MULTILINE)
# A plain probe: a function of a program's context that prints. Alone this is weak.
_BCC_PLAIN = re.compile(rb"^\w[\w \t*]*\(\s*(?:void|struct\s+\w+)\s*\*\s*(?:ctx|skb|regs|args)\b", re.MULTILINE)
_BCC_PRINT = re.compile(rb"^[ \t]+bpf_trace_printk[ \t]*\(", re.MULTILINE)
# No eBPF program has these: user space, kernel modules and the kernel do.
_NOT_BPF = re.compile(
    rb"\bmain\s*\(|^[ \t]*(?:MODULE_(?:LICENSE|AUTHOR|DESCRIPTION)|module_init|EXPORT_SYMBOL\w*|BPF_CALL_\d"
    rb"|SYSCALL_DEFINE\d|(?:core|subsys|device|late|fs)_initcall|NOKPROBE_SYMBOL)\s*\(",
    re.MULTILINE,
)
_NOT_BPF_HINTS = b"main MODULE_ module_init EXPORT_ BPF_CALL_ SYSCALL_ _initcall NOKPROBE_".split()

# One of these stands in every file that the expressions of BCC can match, and in little else.
_BCC_HINTS = (
    *_BCC_MACROS,
    *b"probe__ tracepoint__ cursor_advance bpf_usdt_readarg".split(),
    *b".perf_submit .ringbuf_ .lookup_or_ bpf_trace_printk pt_regs".split(),
)


def dialect_of(source: Source) -> str | None:
    """The dialect of an eBPF program, None for C that is not eBPF. The file's name counts, and its code."""
    by_name = source.path.name.endswith(".bpf.c")
    hints_at_bcc = any(hint in source.data for hint in _BCC_HINTS)
    # A section outweighs all that looks like BCC: many projects have macros of these names.
    if (by_name and not hints_at_bcc) or _has_section(source):
        return LIBBPF
    if hints_at_bcc and _is_bcc(source):
        return BCC
    return LIBBPF if by_name else _wrapped(source)


def _has_section(source: Source) -> bool:
    # Most C has no such place at all; only then are its comments and literals worth finding.
    return _names_section(source, source.data) and _names_section(source, source.code)


def _names_section(source: Source, places: bytes) -> bool:
    found = (place.end() for section in _SECTIONS for place in section.finditer(places))
    if any(_BPF_SECTION.match(source.data, end) for end in found):
        return True
    return any(hint in places for hint in _SECTION_MACRO_HINTS) and _SECTION_MACRO.search(places) is not None


def _is_bcc(source: Source) -> bool:
    code = source.code
    if any(hint in code for hint in _NOT_BPF_HINTS) and _NOT_BPF.search(code):
        return False
    if _BCC_MACRO.search(code) or _BCC_CODE.search(code) or _BCC_PROBE.search(code):
        return True
    return _BCC_PRINT.search(code) is not None and _BCC_PLAIN.search(code) is not None


def _wrapped(source: Source) -> str | None:
    """A file of directives alone (`#define MODE …`, `#include "program.h"`) is what it includes from its own folder."""
    if len(source.data) > 8192 or b"include" not in source.data or b"\n}" in source.data:
        return None
    if DIRECTIVE.sub(b"", source.code).strip():
        return None
    for include in parse_includes(source):
        path = source.path.parent / include.name
        if not include.angled and path.suffix == ".h":
            try:
                dialect = dialect_of(Source.read(path))
            except OSError:
                continue
            if dialect:
                return dialect
    return None


_LINE = re.compile(r"\Aline (\d+)\b")


@dataclass(frozen=True, eq=False)
class Program:
    """An eBPF program's file; `root` is that of its git tree, else the folder that was named or walked.

    Of C in a host program, `island` says where it is, and `source` has a path of its own, which is on no disk.
    """

    source: Source
    dialect: str
    root: Path
    island: Island | None = None

    @property
    def path(self) -> Path:
        return self.source.path

    @property
    def file(self) -> Path:
        """The file that is edited: the host's, if there is one."""
        return self.island.host.source.path if self.island else self.path

    @property
    def content(self) -> bytes:
        """What that file held when the program was read."""
        return self.island.host.source.data if self.island else self.source.data

    def read(self, data: bytes) -> Program:
        """The program as it is when its file holds `data`."""
        if self.island is None:
            return replace(self, source=Source(self.path, data))
        from ebpffix.sources.hosts import read

        return self._as(replace(self.island, host=read(self.file, data)))

    def otherwise(self) -> Program | None:
        """The program as the host makes it in the other case, where it has two texts for one placeholder."""
        other = replace(self.island, last=True) if self.island else None
        return self._as(other) if other and other.data != self.source.data else None

    def _as(self, island: Island) -> Program:
        return replace(self, source=Source(self.path, island.data), island=island)

    def placed(self, fix: Fix) -> Fix:
        """A finding in the program as one in its file; advice where the host program cannot be edited so."""
        return self.island.fix(self.path, fix) if self.island else fix

    def placed_note(self, note: str) -> str:
        """A note that begins with a line of the program as one with the line of its file."""
        island = self.island
        return _LINE.sub(lambda match: f"line {island.line(int(match[1]))}", note) if island else note

    def placed_message(self, message: str) -> str:
        """A compiler's message on a line of the program as one on the line of its file."""
        island = self.island
        if island is None or not message.startswith(f"{self.path}:"):
            return message
        place = re.compile(r":(\d+)").match(message, len(str(self.path)))
        if not place:
            return f"{self.file}{message[len(str(self.path)) :]}"
        return f"{self.file}:{island.line(int(place[1]))}{message[place.end() :]}"


@dataclass(frozen=True, eq=False)
class Header:
    """A header of the run, and the eBPF programs of the project that are known to include it, sorted by path."""

    path: Path
    root: Path
    programs: tuple[Program, ...]


@dataclass
class Discovery:
    """What a run works on: sorted by path. `skipped` are files named on the command line that are no eBPF C.

    `errors` are lines for the user; everything else was still found. `unread` are notes on the strings of host programs
    that are eBPF C and cannot be read, by file.
    """

    programs: list[Program] = field(default_factory=list)
    headers: list[Header] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    unread: dict[Path, list[str]] = field(default_factory=dict)
    _projects: dict[Path, _Project] = field(default_factory=dict, repr=False)

    @classmethod
    def of_text(cls, path: Path, text: bytes, dialect: str = "auto") -> Discovery:
        """A program that need not be on disk, at `path` (absolute). What is no eBPF C by its looks is in `skipped`."""
        root = _tree_root(str(path.parent))
        found = _programs_of(Source(path, text), root, dialect)
        unread = {path: found.unread} if found.unread else {}
        if not found.programs and not unread:
            return cls(skipped=[path])
        return cls(programs=found.programs, unread=unread, _projects={root: _Project(root, dialect, ())})

    def tree(self, root: Path) -> Tree:
        """The project with this root (that of a program or header), for the closures of its programs."""
        return self._projects[root].tree

    def shared_with_user_space(self, header: Header) -> bool:
        """Does C or C++ of the same project that is no eBPF program include it, directly or not?

        The first question reads the project's user space once.
        """
        return header.path in self._projects[header.root].user_space


@dataclass
class _Found:
    """What one file holds: programs, and notes on what cannot be read."""

    programs: list[Program] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


# One of these stands in every host program with eBPF C that is worth a closer look.
_HINTS = (b"BPF_", b"bpf_", b"_PROBE", b"probe__", b"pt_regs", b".perf_submit", b"cursor_advance", b"SEC(")


def _programs_of(source: Source, root: Path, dialect: str) -> _Found:
    """The eBPF programs of a file, read in a dialect ("auto": their own)."""
    if source.path.suffix in HOSTS:
        if not any(hint in source.data for hint in _HINTS):
            return _Found()
        from ebpffix.sources.islands import find

        islands, unread = find(source, dialect_of, _HINTS)
        programs = [Program(c, own if dialect == "auto" else dialect, root, island) for island, c, own in islands]
        return _Found(programs, unread)
    detected = dialect_of(source)
    return _Found([Program(source, detected if dialect == "auto" else dialect, root)] if detected else [])


class _Project:
    """The C files of one root, each read and judged once."""

    def __init__(self, root: Path, dialect: str, include_dirs: Sequence[Path]) -> None:
        self.root = root
        self._dialect = dialect
        self._include_dirs = include_dirs
        self._judged: dict[str, _Found] = {}

    @cached_property
    def listing(self) -> Listing:
        return list_files(str(self.root))

    @cached_property
    def tree(self) -> Tree:
        return Tree(self.root, lambda: self.listing.files)

    def programs_in(self, path: str) -> _Found:
        """The eBPF programs in the file `path`. OSError passes through."""
        if path not in self._judged:
            self._judged[path] = (
                _programs_of(Source.read(Path(path)), self.root, self._dialect) if _may(path) else _Found()
            )
        return self._judged[path]

    def closure(self, source: Source) -> Closure:
        return self.tree.closure(source, self._include_dirs)

    @cached_property
    def programs(self) -> list[Program]:
        """All eBPF programs of the project that are files; what cannot be read is not among them."""
        return [program for path in self.listing.files if path.endswith(".c") for program in self._quietly(path)]

    @cached_property
    def user_space(self) -> frozenset[Path]:
        """All headers that C or C++ which is no eBPF program includes."""
        found: set[Path] = set()
        for path in self.listing.files:
            if path.endswith(_USER_SPACE) and not (path.endswith(".c") and self._quietly(path)):
                try:
                    found.update(self.closure(Source.read(Path(path))).files)
                except OSError:
                    continue
        return frozenset(found)

    def _quietly(self, path: str) -> list[Program]:
        try:
            return self.programs_in(path).programs
        except OSError:
            return []


def discover(
    paths: Iterable[str | os.PathLike[str]],
    *,
    dialect: str = "auto",
    include_dirs: Sequence[Path] = (),
    exclude: Callable[[Path], bool] | None = None,
) -> Discovery:
    """Find the eBPF programs in `paths`, and the headers in `paths` that they include.

    A file that is named is taken even if it is ignored or excluded, but not if it is no eBPF C. `dialect` ("auto",
    "bcc", "libbpf") says how programs are read, not which files are programs. `include_dirs` are those of -I.
    """
    search = _Search(dialect, include_dirs, exclude)
    for path in paths:
        search.add(os.fspath(path))
    return search.result()


class _Search:
    """One run of `discover`: what the paths so far have brought."""

    def __init__(self, dialect: str, include_dirs: Sequence[Path], exclude: Callable[[Path], bool] | None) -> None:
        self._dialect = dialect
        self._include_dirs = include_dirs
        self._exclude = exclude
        self._projects: dict[Path, _Project] = {}
        self._programs: dict[str, Program] = {}
        self._unread: dict[Path, list[str]] = {}
        self._others: dict[str, _Project] = {}  # headers, if a program includes them
        self._named: set[str] = set()
        self._errors: list[str] = []

    def add(self, given: str) -> None:
        try:
            mode = os.stat(given).st_mode
        except OSError as error:
            self._errors.append(f"{given}: {reason(error)}; check the path")
            return
        path = os.path.realpath(given)
        if stat.S_ISDIR(mode):
            self._add_folder(path, path)
        elif not stat.S_ISREG(mode):
            self._errors.append(f"{given}: not a regular file; use - to read standard input")
        elif os.path.islink(given) and not inside(path, str(_home_of(given))):
            self._errors.append(f"{given}: a link out of its tree; name the file that it leads to, {path}")
        else:
            self._add_named(path, given)

    def _add_named(self, path: str, given: str) -> None:
        project = self._project(_tree_root(os.path.dirname(path)))
        try:
            found = project.programs_in(path)
        except OSError as error:
            self._errors.append(f"{given}: {reason(error)}; make it readable or leave it out")
            return
        if not self._take(path, found):
            self._others[path] = project
            self._named.add(path)

    def _take(self, path: str, found: _Found) -> bool:
        """Whether there is something in a file."""
        self._programs |= {str(program.path): program for program in found.programs}
        if found.unread:
            self._unread[Path(path)] = found.unread
        return bool(found.programs or found.unread)

    def _add_folder(self, folder: str, root: str) -> None:
        project = self._project(_tree_root(root))
        self._errors += [error for error in project.listing.errors if error not in self._errors]
        for path in project.listing.files:
            if not inside(path, folder) or (self._exclude and self._exclude(Path(path))):
                continue
            if not (_may(path) and self._take(path, self._listed(project, path))):
                self._others.setdefault(path, project)
        for nested in project.listing.nested:
            if inside(nested, folder):
                self._add_folder(nested, nested)

    def _listed(self, project: _Project, path: str) -> _Found:
        try:
            # What a link leads to is listed itself, or is none of this tree's.
            return _Found() if os.path.islink(path) else project.programs_in(path)
        except (FileNotFoundError, IsADirectoryError):  # tracked, but gone; a submodule
            return _Found()
        except OSError as error:
            self._errors.append(f"{path}: {reason(error)}; make it readable or exclude it")
            return _Found()

    def _project(self, root: Path) -> _Project:
        return self._projects.setdefault(root, _Project(root, self._dialect, self._include_dirs))

    def result(self) -> Discovery:
        including = self._including(self._programs.values())
        # Whoever names a header alone still wants it read as its programs read it. A C file that others include, and
        # that cannot be loaded alone, is like a header.
        alone = [self._others[path].root for path in self._named if path not in including]
        alone += [p.root for path, p in self._programs.items() if _is_part(p) and path not in including]
        for root in set(alone):
            for path, owners in self._including(self._projects[root].programs).items():
                including.setdefault(path, owners)
        for path in [path for path, program in self._programs.items() if path in including and _is_part(program)]:
            self._others[path] = self._projects[self._programs.pop(path).root]
        headers = [
            Header(Path(path), self._others[path].root, users)
            for path in sorted(including)
            if path in self._others and not is_vmlinux(path)
            if (users := tuple(p for p in including[path] if str(p.path) not in self._others))
        ]
        programs = [self._programs[path] for path in sorted(self._programs)]
        skipped = [Path(path) for path in sorted(self._named - including.keys())]
        return Discovery(programs, headers, self._errors, skipped, self._unread, self._projects)

    def _including(self, programs: Iterable[Program]) -> dict[str, list[Program]]:
        """The headers that `programs` include, as they are on disk behind all links, and who includes them."""
        found: dict[str, list[Program]] = {}
        real: dict[Path, str] = {}
        for program in programs:
            closure = self._projects[program.root].closure(program.source)
            for header in (*closure.files, *closure.outside):
                path = real.get(header) or real.setdefault(header, os.path.realpath(header))
                found.setdefault(path, []).append(program)
        return found


def _is_part(program: Program) -> bool:
    """Whether a C file may be meant to be included only: libbpf loads nothing that has no license."""
    return program.dialect == LIBBPF and not _LICENSE.search(program.source.data)


_LICENSE = re.compile(rb'"license"|^BPF_LICENSE\b', re.MULTILINE)


def _may(path: str) -> bool:
    """May the file hold eBPF programs, by its name?"""
    return path.endswith((".c", *HOSTS))


def _home_of(link: str) -> Path:
    return _tree_root(os.path.realpath(os.path.dirname(os.path.abspath(link))))


def _tree_root(folder: str) -> Path:
    """The root of the git tree that holds `folder`, else `folder`: what lies around it is none of the run's."""
    return Path(git_root(folder) or folder)
