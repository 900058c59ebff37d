"""The programs of a run as jobs for a worker: of which files each is made, and what a transform looks for in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from ebpffix.fix import BCC
from ebpffix.run.analyse import Job
from ebpffix.run.cache import key_of, tool_digest
from ebpffix.run.settings import Settings
from ebpffix.sources import neighbours
from ebpffix.sources.discover import Discovery
from ebpffix.sources.includes import Closure, Include, is_vmlinux
from ebpffix.sources.program import Program
from ebpffix.sources.reader import read_file
from ebpffix.sources.source import Source
from ebpffix.sources.user_space import UserSpace

if TYPE_CHECKING:
    from ebpffix.transform import Registered
    from ebpffix.verify.session import Loadable


# Alone on a line of a C file: its host puts text there before it compiles, or nothing.
_PLACEHOLDER = re.compile(rb"^[ \t]*(?:##\w+##|@@\w+@@)[ \t]*(?=\r?$)", re.MULTILINE)


# What was found in a text, for which transforms: an editor asks again of those that did not change.
_triggered: WeakKeyDictionary[Source, tuple[Mapping[str, Registered], frozenset[str]]] = WeakKeyDictionary()


def _text_of(path: Path) -> bytes | None:
    """What a file holds; None for one that was there when files were looked for, and is gone."""
    try:
        return read_file(path)
    except OSError:
        return None


@dataclass(frozen=True)
class Prepared:
    """A job, and what it was made of."""

    program: Program
    job: Job
    closure: Closure


class Jobs:
    """The programs and headers of a run, with the memory of what belongs to which program.

    `before` is what all their files held before the run; `triggered` are the transforms that have something to look
    for in a file, by path.
    """

    def __init__(self, discovery: Discovery, settings: Settings) -> None:
        self.discovery = discovery
        self.settings = settings
        paths = [header.path for header in discovery.headers]
        given = settings.contents
        read = ((path, given[path] if path in given else _text_of(path)) for path in paths)
        texts = {path: data for path, data in read if data is not None}
        discovery.headers = [header for header in discovery.headers if header.path in texts]
        self.headers = {header.path: header for header in discovery.headers}
        self._neighbours = neighbours.Digests()
        self._own: dict[Path, list[Path]] = {}  # the files of the run that go into each program
        programs = list(self._all_programs())
        self.before: dict[Path, bytes] = {program.file: program.whole.data for program in programs}
        self.before |= texts
        self.before |= settings.contents
        self.programs: dict[Path, Program] = {}
        self.triggered = {path: self._transforms_in(Source(path, self.before[path])) for path in self.headers}
        for program in programs:
            self.take(self._read(program, self.before))

    def _all_programs(self) -> Iterable[Program]:
        """The programs to parse: those of the run, and for a header without one in the run, one that includes it."""
        found = {program.path: program for program in self.discovery.programs}
        for header in self.discovery.headers:
            if not any(program.path in found for program in header.programs):
                found[header.programs[0].path] = header.programs[0]
        return found.values()

    def take(self, program: Program) -> None:
        """From now on, this is the program with its path."""
        self.programs[program.path] = program
        self.triggered[program.path] = self._transforms_in(program.source)

    @staticmethod
    def _read(program: Program, files: Mapping[Path, bytes]) -> Program:
        """The program as the files are by now; one that is as it was keeps what is known of its text."""
        data = files[program.file]
        return program if data is program.whole.data else program.read(data)

    def _transforms_in(self, source: Source) -> frozenset[str]:
        wanted = self.settings.transforms
        looked_for, found = _triggered.get(source, (None, frozenset[str]()))
        if looked_for is not wanted:
            found = frozenset(name for name, known in wanted.items() if known.facts.trigger.search(source.code))
            _triggered[source] = wanted, found
        return found

    def affected(self, files: Mapping[Path, bytes], changed: set[Path] | None) -> list[Program]:
        """The programs, as they are by now, that one of these files goes into; None for all."""
        return [
            self._read(program, files)
            for path, program in self.programs.items()
            if changed is None or not changed.isdisjoint(self._own[path])
        ]

    def _closure(self, program: Program, files: Mapping[Path, bytes]) -> Closure:
        """All that a program, as it is by now, includes."""
        edited = {path: Source(path, data) for path, data in files.items() if self._edited(path, data)}
        tree = self.discovery.tree(program.root)
        return tree.closure(program.source, self.settings.environment.options.include_dirs, edited)

    def _edited(self, path: Path, data: bytes) -> bool:
        """Whether a file holds something else than on disk."""
        return data is not self.before[path] or path in self.settings.contents

    def prepare(self, program: Program, files: Mapping[Path, bytes]) -> Prepared:
        """The job for one program, as the files are by now."""
        closure = self._closure(program, files)
        headers = [path for path in closure.files if path in self.headers]
        self._own[program.path] = [program.file, *headers]
        sources = {program.path: program.source.data} | {path: files[path] for path in headers}
        triggered = frozenset[str]().union(*(self._triggers(program, path, files) for path in sources))
        names = tuple(
            name
            for name, known in self.settings.transforms.items()
            if name in triggered and program.dialect in known.facts.dialects
        )
        environment = self.settings.environment
        flags = self.settings.flags(program.file)
        setup = environment.setup(
            program.source,
            program.dialect,
            closure.dirs,
            closure.vmlinux,
            wants_vmlinux=self._wants_vmlinux(closure),
            like_the_kernel=self._like_the_kernel(closure),
            flags=flags,
            root=program.root,
        )
        job = Job(
            program.path,
            program.dialect,
            setup,
            sources,
            self._virtual(program, closure, sources, files),
            names,
            environment.options.target_kernel,
            frozenset(path for path in sources if path in self.shared),
            frozenset(path for path in headers if len(self.headers[path].programs) > 1),
            environment.btf_path,
            self._beside(program, names, sources),
        )
        return Prepared(program, job, closure)

    def _beside(self, program: Program, names: Iterable[str], sources: Iterable[Path]) -> UserSpace:
        """What the project does beside a program, where a transform wants to know."""
        if not any(self.settings.transforms[name].facts.user_space for name in names):
            return UserSpace()
        return self.discovery.beside(program, sources)

    def loadable(self, edited: set[Path]) -> list[Loadable]:
        """The programs that any of these files goes into, with the arguments for a real compiler."""
        from ebpffix.verify.session import Loadable

        found = []
        for program in self.programs.values():
            closure = self._closure(program, self.before)
            if not edited.isdisjoint((program.file, *closure.files)):
                flags = self.settings.flags(program.file)
                wants = self._wants_vmlinux(closure)
                args = self.settings.environment.compiler_args(closure.dirs, flags, wants_vmlinux=wants)
                found.append(Loadable(program, args, self.settings.environment.reach(program.root)))
        return found

    @staticmethod
    def _wants_vmlinux(closure: Closure) -> bool:
        """Whether the program includes a vmlinux.h that the project does not have."""
        return any(is_vmlinux(include.name) for include in (*closure.missing, *closure.external))

    @classmethod
    def _like_the_kernel(cls, closure: Closure) -> bool:
        """Whether the program takes the kernel's types from the kernel's own headers."""
        return closure.vmlinux is None and closure.wants_kernel_types and not cls._wants_vmlinux(closure)

    def _triggers(self, program: Program, path: Path, files: Mapping[Path, bytes]) -> frozenset[str]:
        if path == program.path:
            known = program is self.programs[path]
            return self.triggered[path] if known else self._transforms_in(program.source)
        data = files[path]
        return self.triggered[path] if data is self.before[path] else self._transforms_in(Source(path, data))

    @cached_property
    def shared(self) -> frozenset[Path]:
        """The headers of the run in which a transform has something to look for, and that user space includes."""
        return frozenset(
            path
            for path, header in self.headers.items()
            if self.triggered[path] and self.discovery.shared_with_user_space(header)
        )

    def _virtual(
        self, program: Program, closure: Closure, sources: Mapping[Path, bytes], files: Mapping[Path, bytes]
    ) -> dict[str, bytes]:
        """The texts that libclang must see instead of the files: edited ones, C in host programs, and those with an
        include that nothing resolves, blanked. BCC's kernel headers are not there to be found: its types come another
        way."""
        virtual = {str(p): data for p, data in sources.items() if p in files and self._edited(p, data)}
        if not program.on_disk:
            virtual[str(program.path)] = program.source.data
        elif _PLACEHOLDER.search(program.source.code):
            data = program.source.data
            virtual[str(program.path)] = _PLACEHOLDER.sub(lambda match: b" " * len(match[0]), data)
        virtual |= {str(path): text for path, text in closure.links.items()}
        for include in self._unresolved(program, closure):
            name = str(include.file)
            text = virtual.get(name)
            if text is None:
                text = sources.get(include.file) or files.get(include.file) or _text_of(include.file)
            if text is not None:
                virtual[name] = include.replaced_in(text, libbpf=program.dialect != BCC)
        return virtual

    def _unresolved(self, program: Program, closure: Closure) -> list[Include]:
        if program.dialect == BCC:
            return [*closure.missing, *closure.external]
        provides, kernel = self.settings.environment.provides, self._like_the_kernel(closure)
        # A vmlinux.h that is made comes before the program; in a folder of the project's clang would not find it.
        found = [include for include in closure.missing if not is_vmlinux(include.name) or "/" in include.name]
        return found + [
            i for i in closure.external if not is_vmlinux(i.name) and not provides(i.name, like_the_kernel=kernel)
        ]

    def key(self, prepared: Prepared) -> str:
        """The name under which the result of a job is kept."""
        job, closure = prepared.job, prepared.closure
        tree = self.discovery.tree(prepared.program.root)
        headers = (path for path in (*closure.files, *closure.outside) if path not in job.sources)
        others = [tree.digest(path) or b"" for path in headers]
        for suffixes in (self.settings.transforms[name].facts.neighbours for name in job.transforms):
            others += [self._neighbours.of(job.path, suffixes)] if suffixes else []
        return key_of(job, others, self._tool)

    @cached_property
    def _tool(self) -> bytes:
        return tool_digest(tuple(known.find.__module__ for known in self.settings.transforms.values()))
