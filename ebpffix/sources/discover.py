"""Which of the given files are eBPF C, and which headers belong to them.

C in the strings of Python, Go, C++ and Lua is judged in the same way as files are, string by string; each that is an
eBPF program is a program of the run.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from ebpffix.fix import LIBBPF
from ebpffix.sources import user_space
from ebpffix.sources.dialect import dialect_of
from ebpffix.sources.files import HOSTS, Listing, git_root, inside, list_files, reason
from ebpffix.sources.includes import Closure, Tree, is_vmlinux, parse_includes
from ebpffix.sources.program import FileProgram, Header, Program
from ebpffix.sources.source import Source
from ebpffix.sources.user_space import UserSpace

_USER_SPACE = (".c", ".cc", ".cpp", ".cxx")


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

    def around(self, paths: Set[Path]) -> Discovery:
        """The part that hangs together with these files: programs, the headers that they include, the other programs
        that include these, and so on."""
        near = set(paths)
        while True:
            headers = [h for h in self.headers if h.path in near or any(p.file in near for p in h.programs)]
            programs = [p for p in self.programs if p.file in near or any(_includes(p, h) for h in headers)]
            more = (
                {h.path for h in headers} | {p.file for p in programs} | {p.file for h in headers for p in h.programs}
            )
            if more <= near:
                break
            near |= more
        unread = {path: notes for path, notes in self.unread.items() if path in near}
        return replace(self, programs=programs, headers=headers, errors=[], skipped=[], unread=unread)

    def with_text(self, path: Path, text: bytes) -> Discovery | None:
        """The same with another text for one of its files, and nothing else looked at again; None where that may not be
        enough: the text includes other files than before, or is no eBPF C any more."""
        project = next((p for p in self._projects.values() if path in p.texts), None)
        now = project.replaced(path, text) if project else None
        if now is None:
            return None
        programs = {p.path: p for p in self.programs if p.file != path} | {p.path: p for p in now.programs}

        def as_now(known: Sequence[Program]) -> tuple[Program, ...]:
            return tuple(programs.get(p.path, p) for p in known if p.file != path or p.path in programs)

        headers = [replace(header, programs=as_now(header.programs)) for header in self.headers]
        unread = {other: notes for other, notes in self.unread.items() if other != path}
        unread |= {path: now.unread} if now.unread else {}
        return replace(self, programs=[programs[name] for name in sorted(programs)], headers=headers, unread=unread)

    def tree(self, root: Path) -> Tree:
        """The project with this root (that of a program or header), for the closures of its programs."""
        return self._projects[root].tree

    def beside(self, program: Program, sources: Iterable[Path]) -> UserSpace:
        """What the user space of its project, and the project's other programs, do with a program that is made of these
        files. The first question reads the project's files once."""
        return self._projects[program.root].written.beside(program.file, sources)

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


def _outside_view(source: Source, found: _Found) -> tuple[object, ...]:
    """What a text is to other files: whether it is eBPF C, and such that can be loaded alone, and what it includes."""
    texts = [source, *(p.source for p in found.programs if not p.on_disk)]
    names = [[(i.name, i.angled) for i in parse_includes(text)] for text in texts]
    return bool(found.programs or found.unread), [_is_part(program) for program in found.programs], names


def _includes(program: Program, header: Header) -> bool:
    return any(one.path == program.path for one in header.programs)


def _programs_of(source: Source, root: Path, dialect: str) -> _Found:
    """The eBPF programs of a file, read in a dialect ("auto": their own)."""
    if source.path.suffix in HOSTS:
        if not any(hint in source.data for hint in _HINTS):
            return _Found()
        from ebpffix.sources.islands import find

        return _Found(*find(source, root, dialect, _HINTS))
    detected = dialect_of(source)
    return _Found([FileProgram(source, detected if dialect == "auto" else dialect, root)] if detected else [])


class _Project:
    """The C files of one root, each read and judged once."""

    def __init__(
        self, root: Path, dialect: str, include_dirs: Sequence[Path], texts: Mapping[Path, bytes] | None = None
    ) -> None:
        self.root = root
        self.texts = dict(texts or {})
        self._dialect = dialect
        self._include_dirs = include_dirs
        self._judged: dict[str, _Found] = {}

    @cached_property
    def listing(self) -> Listing:
        return list_files(str(self.root))

    @cached_property
    def tree(self) -> Tree:
        return Tree(self.root, lambda: self.listing.files, self.texts)

    def programs_in(self, path: str) -> _Found:
        """The eBPF programs in the file `path`. OSError passes through."""
        if path not in self._judged:
            self._judged[path] = self.judge(self.read(path)) if _may(path) else _Found()
        return self._judged[path]

    def judge(self, source: Source) -> _Found:
        return _programs_of(source, self.root, self._dialect)

    def replaced(self, path: Path, text: bytes) -> _Found | None:
        """What is in a file whose text is another one from now on; None if that may change what is in others."""
        before, source = self.read(str(path)), Source(path, text)
        old = self.programs_in(str(path))
        new = self.judge(source) if _may(str(path)) else _Found()
        if _outside_view(before, old) != _outside_view(source, new):
            return None
        self.texts[path], self._judged[str(path)] = text, new
        return new

    def read(self, path: str) -> Source:
        text = self.texts.get(Path(path))
        return Source.read(Path(path)) if text is None else Source(Path(path), text)

    @cached_property
    def written(self) -> user_space.Project:
        return user_space.Project(self.listing.files)

    def closure(self, source: Source) -> Closure:
        open_ = {path: Source(path, text) for path, text in self.texts.items()}
        return self.tree.closure(source, self._include_dirs, open_)

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
                    found.update(self.closure(self.read(path)).files)
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
    force_exclude: bool = False,
    texts: Mapping[Path, bytes] | None = None,
) -> Discovery:
    """Find the eBPF programs in `paths`, and the headers in `paths` that they include.

    A file that is named is taken even if it is ignored, and unless `force_exclude` even if it is excluded, but not if
    it is no eBPF C. `dialect` ("auto",
    "bcc", "libbpf") says how programs are read, not which files are programs. `include_dirs` are those of -I. `texts`
    are what files hold instead of what is on the disk, which may not have them: by path, behind all links.
    """
    search = _Search(dialect, include_dirs, exclude, force_exclude, texts or {})
    for path in paths:
        search.add(os.fspath(path))
    return search.result()


class _Search:
    """One run of `discover`: what the paths so far have brought."""

    def __init__(
        self,
        dialect: str,
        include_dirs: Sequence[Path],
        exclude: Callable[[Path], bool] | None,
        force_exclude: bool,
        texts: Mapping[Path, bytes],
    ) -> None:
        self._force_exclude = force_exclude
        self._texts = texts
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
        if Path(given) in self._texts:
            self._add_named_unless_excluded(given, given)
            return
        try:
            mode = os.stat(given).st_mode
        except OSError as error:
            self._errors.append(f"{given}: {reason(error)}; check the path")
            return
        path = os.path.realpath(given)
        if stat.S_ISDIR(mode):
            self._add_folder(path)
        elif not stat.S_ISREG(mode):
            self._errors.append(f"{given}: not a regular file; use - to read standard input")
        elif os.path.islink(given) and not inside(path, str(_home_of(given))):
            self._errors.append(f"{given}: a link out of its tree; name the file that it leads to, {path}")
        else:
            self._add_named_unless_excluded(path, given)

    def _add_named_unless_excluded(self, path: str, given: str) -> None:
        if not (self._force_exclude and self._exclude and self._exclude(Path(path))):
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

    def _add_folder(self, folder: str) -> None:
        waiting = [folder]  # trees below trees, without end perhaps
        while waiting:
            folder = waiting.pop()
            project = self._project(_tree_root(folder))
            self._errors += [error for error in project.listing.errors if error not in self._errors]
            for path in project.listing.files:
                if not inside(path, folder) or (self._exclude and self._exclude(Path(path))):
                    continue
                if not (_may(path) and self._take(path, self._listed(project, path))):
                    self._others.setdefault(path, project)
            waiting += [nested for nested in project.listing.nested if inside(nested, folder)]

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
        return self._projects.setdefault(root, _Project(root, self._dialect, self._include_dirs, self._texts))

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
    """Whether a C file may be meant to be included only: libbpf loads nothing that has no license, and nothing compiles
    that includes nothing."""
    if program.dialect != LIBBPF:
        return False
    return not _LICENSE.search(program.source.data) or not parse_includes(program.source)


_LICENSE = re.compile(rb'"license"|^BPF_LICENSE\b', re.MULTILINE)


def _may(path: str) -> bool:
    """May the file hold eBPF programs, by its name?"""
    return path.endswith((".c", *HOSTS))


def _home_of(link: str) -> Path:
    return _tree_root(os.path.realpath(os.path.dirname(os.path.abspath(link))))


def _tree_root(folder: str) -> Path:
    """The root of the git tree that holds `folder`, else `folder`: what lies around it is none of the run's."""
    return Path(git_root(folder) or folder)
