"""A run: the programs of a discovery analysed, their fixes made to a fixpoint, and what became of each finding.

Here the two loops close: `rewrite` gets a function that analyses again, and what it made can be judged and left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ebpffix.fix import BCC, Edit, Fix, Safety
from ebpffix.frontend.environment import Environment
from ebpffix.rewriting.fixpoint import Analysis, Applied, Found, Identity, apply_all, fixpoint
from ebpffix.run.analyse import Job, Result, Status
from ebpffix.run.cache import ResultCache, key_of, tool_digest
from ebpffix.run.suppress import Suppressions
from ebpffix.run.worker import Worker
from ebpffix.sources import neighbours
from ebpffix.sources.discover import Discovery, Header, Program
from ebpffix.sources.includes import Closure, Include, is_vmlinux
from ebpffix.sources.source import Source
from ebpffix.transform import Registered

if TYPE_CHECKING:
    from ebpffix.verify.proof import Proof
    from ebpffix.verify.session import Program as ProgramToLoad
    from ebpffix.verify.session import Verifier


@dataclass(frozen=True)
class Settings:
    """What a run is asked to do. `wanted` says of a finding, where it stood before the run, whether it is of interest
    at all (changed lines, a baseline); `flags` are a file's compiler flags out of compile_commands.json."""

    transforms: Mapping[str, Registered]
    environment: Environment
    jobs: int = 1
    cache: Path | None = None
    unsafe: bool = False
    wanted: Callable[[Found], bool] = lambda found: True
    flags: Callable[[Path], Sequence[str]] = lambda path: ()
    contents: Mapping[Path, bytes] = field(default_factory=dict)  # what files hold instead of what is on disk
    verifier: Verifier | None = None  # proves the fixes that are made; those that do harm are left out
    precompile_from: int = 3  # how many programs must share headers before these are precompiled
    stepwise: bool = False  # the fixes are proven one by one, by whoever makes them


@dataclass
class File:
    """One file of the run and how far it was understood. Of a header: as the program that understood it best."""

    path: Path
    dialect: str
    status: Status
    encoding: str
    notes: list[str] = field(default_factory=list)


@dataclass
class Report:
    """What a run gives: `changed` maps files to their new content; positions of all findings are bytes of `before`."""

    files: list[File]
    before: Mapping[Path, bytes]
    changed: dict[Path, bytes]
    applied: list[Applied]
    remaining: list[Found]
    dropped: list[tuple[Found, str]]
    errors: list[str]
    proofs: dict[Identity, Proof] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)  # why there are no proofs
    programs: list[ProgramToLoad] = field(default_factory=list)  # with --verify: what the fixes go into

    @property
    def findings(self) -> list[Found]:
        """All that was found and is not dropped, in order of place."""
        found: list[Found] = [*self.applied, *self.remaining]
        return sorted(found, key=lambda f: (f.fix.at.path, f.fix.at.start, f.fix.at.end, f.transform))


def run(discovery: Discovery, settings: Settings, progress: Callable[[int], object] = lambda count: None) -> Report:
    """Analyse all, and make the fixes that the settings take, in memory. `progress` is told of programs done."""
    with Worker(settings.transforms, settings.jobs, settings.cache, settings.precompile_from) as worker:
        analyser = _Analyser(discovery, settings, worker, progress)
        taken = (Safety.SAFE, Safety.SUGGESTED) if settings.unsafe else (Safety.SAFE,)
        outcome = fixpoint(
            analyser.before,
            analyser,
            lambda found: found.fix.safety in taken and settings.wanted(found),
        )
    report = Report(
        analyser.files(),
        analyser.before,
        outcome.files,
        outcome.applied,
        [found for found in outcome.remaining if settings.wanted(found)],
        [(found, why) for found, why in outcome.dropped if settings.wanted(found)],
        list(discovery.errors),
    )
    if settings.verifier:
        report.programs = analyser.compiled_with({e.path for found in report.applied for e in found.fix.edits})
        if not settings.stepwise:
            _prove(report, settings.verifier)
    return report


def programs_to_load(discovery: Discovery, settings: Settings) -> list[ProgramToLoad]:
    """All programs of a discovery, with the arguments for a real compiler."""
    with Worker({}, 1, None) as worker:  # never started: nothing is analysed
        analyser = _Analyser(discovery, settings, worker, lambda count: None)
        return analyser.compiled_with(set(analyser.programs))


def _prove(report: Report, verifier: Verifier) -> None:
    """Put the proofs into the report, and take out of it the fixes that make a program worse."""
    proofs = verifier.prove(report.applied, report.before, report.programs)
    kept: list[Applied] = []
    for found, proof in zip(report.applied, proofs, strict=True):
        if proof and proof.verdict == "worse":
            report.dropped.append((found, f"it does harm: {proof.reason}"))
        else:
            kept.append(found)
        if proof:
            report.proofs[found.identity] = proof
    files = apply_all(report.before, kept)
    report.applied = kept
    report.changed = {path: data for path, data in files.items() if data != report.before[path]}
    report.problems = verifier.problems


class _Analyser:
    """The analysis that `fixpoint` asks for, with the memory of what belongs to which program."""

    def __init__(
        self, discovery: Discovery, settings: Settings, worker: Worker, progress: Callable[[int], object]
    ) -> None:
        self.discovery = discovery
        self.settings = settings
        self.worker = worker
        self.progress = progress
        self.cache = ResultCache(settings.cache / "results") if settings.cache else None
        self.headers = {header.path: header for header in discovery.headers}
        self._neighbours = neighbours.Digests()
        self.results: dict[Path, Result] = {}  # of the first pass
        self._own: dict[Path, list[Path]] = {}  # the files of the run that go into each program
        programs = list(self._all_programs())
        self.before: dict[Path, bytes] = {program.file: program.content for program in programs}
        self.before |= {path: path.read_bytes() for path in self.headers}
        self.before |= settings.contents
        self.programs = {program.path: self._read(program, self.before) for program in programs}
        self._triggered = {path: self._transforms_in(program.source) for path, program in self.programs.items()}
        self._triggered |= {path: self._transforms_in(Source(path, self.before[path])) for path in self.headers}

    def _all_programs(self) -> Iterable[Program]:
        """The programs to parse: those of the run, and for a header without one in the run, one that includes it."""
        found = {program.path: program for program in self.discovery.programs}
        for header in self.discovery.headers:
            if not any(program.path in found for program in header.programs):
                found[header.programs[0].path] = header.programs[0]
        return found.values()

    @staticmethod
    def _read(program: Program, files: Mapping[Path, bytes]) -> Program:
        """The program as the files are by now; one that is as it was keeps what is known of its text."""
        data = files[program.file]
        return program if data is program.content else program.read(data)

    def _transforms_in(self, source: Source) -> frozenset[str]:
        return frozenset(
            name for name, known in self.settings.transforms.items() if known.facts.trigger.search(source.code)
        )

    # -- which programs, and of what they are made

    def closure(self, program: Program, files: Mapping[Path, bytes]) -> Closure:
        """All that a program, as it is by now, includes."""
        edited = {path: Source(path, data) for path, data in files.items() if self._edited(path, data)}
        tree = self.discovery.tree(program.root)
        return tree.closure(program.source, self.settings.environment.options.include_dirs, edited)

    def _edited(self, path: Path, data: bytes) -> bool:
        """Whether a file holds something else than on disk."""
        return data is not self.before[path] or path in self.settings.contents

    def __call__(self, files: Mapping[Path, bytes], changed: set[Path] | None) -> Analysis:
        programs = [
            self._read(program, files)
            for path, program in self.programs.items()
            if changed is None or not changed.isdisjoint(self._own[path])
        ]
        done = self._results(programs, files)
        if changed is None:
            self._otherwise(done, files)
        errors: dict[Path, int] = {}
        found: list[Found] = []
        for program, result in done.values():
            self._take(program, result, files, errors, found, first=changed is None)
        return Analysis(self._largest(found), errors)

    def _largest(self, found: Sequence[Found]) -> list[Found]:
        """Without what another finding in the same place says too: a string of a host program goes into several
        programs, each with strings of its own beside it."""
        by_place: dict[tuple[str, Path, int], list[set[Edit]]] = {}
        for one in found:
            place = one.transform, one.fix.at.path, one.fix.at.start
            by_place.setdefault(place, []).append(set(one.fix.edits))

        def is_part(one: Found) -> bool:
            edits = set(one.fix.edits)
            beside = by_place[one.transform, one.fix.at.path, one.fix.at.start]
            in_host = self.programs[one.program].island is not None
            return in_host and bool(edits) and any(edits < other for other in beside)

        return [one for one in found if not is_part(one)]

    def _otherwise(self, done: dict[Path, tuple[Program, Result]], files: Mapping[Path, bytes]) -> None:
        """Where a host program has two texts for one placeholder, and one is not understood: the other, if it is."""
        partly = [program for program, result in done.values() if result.status is Status.PARTIAL]
        others = [other for program in partly if (other := program.otherwise())]
        for path, (program, result) in self._results(others, files).items():
            if result.errors < done[path][1].errors:
                done[path] = program, result
                self.programs[path] = program
                self._triggered[path] = self._transforms_in(program.source)

    def _results(self, programs: Iterable[Program], files: Mapping[Path, bytes]) -> dict[Path, tuple[Program, Result]]:
        """What analysis says of those programs in which there is something to look for, by path."""
        done: dict[Path, tuple[Program, Result]] = {}
        jobs, waiting = [], {}
        for program in programs:
            closure = self.closure(program, files)
            headers = [path for path in closure.files if path in self.headers]
            self._own[program.path] = [program.file, *headers]
            sources = {program.path: program.source.data} | {path: files[path] for path in headers}
            job = self._job(program, closure, sources, files)
            # A program that was fixed is parsed again even if no trigger is left: its errors are counted.
            if not job.transforms and program.path not in self.results:
                continue
            key = self._key(job, program, closure)
            kept = self.cache.get(key) if self.cache else None
            if kept:
                done[program.path] = program, kept
            else:
                jobs.append(job)
                waiting[program.path] = program, key
        for job, result in self.worker.run(jobs, lambda: self.progress(1)):
            program, key = waiting[job.path]
            if self.cache:
                self.cache.put(key, result)
            done[program.path] = program, result
        if self.cache:
            self.cache.prune()
        return done

    def _job(
        self, program: Program, closure: Closure, sources: Mapping[Path, bytes], files: Mapping[Path, bytes]
    ) -> Job:
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
            flags=flags,
            root=program.root,
        )
        return Job(
            program.path,
            program.dialect,
            setup,
            sources,
            self._virtual(program, closure, sources, files),
            names,
            environment.options.target_kernel,
            frozenset(path for path in sources if path in self._shared),
            environment.btf_path,
        )

    def compiled_with(self, edited: set[Path]) -> list[ProgramToLoad]:
        """The programs that any of these files goes into, with the arguments for a real compiler."""
        from ebpffix.verify import session

        found = []
        for program in self.programs.values():
            closure = self.closure(program, self.before)
            if not edited.isdisjoint((program.file, *closure.files)):
                flags = self.settings.flags(program.file)
                wants = self._wants_vmlinux(closure)
                args = self.settings.environment.compiler_args(closure.dirs, flags, wants_vmlinux=wants)
                found.append(session.Program(program.path, program.dialect, args, program if program.island else None))
        return found

    @staticmethod
    def _wants_vmlinux(closure: Closure) -> bool:
        """Whether the program includes a vmlinux.h that the project does not have."""
        return any(is_vmlinux(include.name) for include in (*closure.missing, *closure.external))

    def _triggers(self, program: Program, path: Path, files: Mapping[Path, bytes]) -> frozenset[str]:
        if path == program.path:
            known = program is self.programs[path]
            return self._triggered[path] if known else self._transforms_in(program.source)
        data = files[path]
        return self._triggered[path] if data is self.before[path] else self._transforms_in(Source(path, data))

    @cached_property
    def _shared(self) -> frozenset[Path]:
        """The headers of the run in which a transform has something to look for, and that user space includes."""
        return frozenset(
            path
            for path, header in self.headers.items()
            if self._triggered[path] and self.discovery.shared_with_user_space(header)
        )

    def _virtual(
        self, program: Program, closure: Closure, sources: Mapping[Path, bytes], files: Mapping[Path, bytes]
    ) -> dict[str, bytes]:
        """The texts that libclang must see instead of the files: edited ones, C in host programs, and those with an
        include that nothing resolves, blanked. BCC's kernel headers are not there to be found: its types come another
        way."""
        virtual = {str(p): data for p, data in sources.items() if p in files and self._edited(p, data)}
        if program.island:
            virtual[str(program.path)] = program.source.data
        for include in self._unresolved(program, closure):
            name = str(include.file)
            text = virtual.get(name)
            if text is None:
                text = sources.get(include.file) or files.get(include.file) or include.file.read_bytes()
            virtual[name] = include.blanked_in(text)
        return virtual

    def _unresolved(self, program: Program, closure: Closure) -> list[Include]:
        if program.dialect == BCC:
            return [*closure.missing, *closure.external]
        provides = self.settings.environment.provides
        # A vmlinux.h that is made comes before the program; in a folder of the project's clang would not find it.
        found = [include for include in closure.missing if not is_vmlinux(include.name) or "/" in include.name]
        return found + [i for i in closure.external if not is_vmlinux(i.name) and not provides(i.name)]

    def _key(self, job: Job, program: Program, closure: Closure) -> str:
        tree = self.discovery.tree(program.root)
        headers = (path for path in (*closure.files, *closure.outside) if path not in job.sources)
        others = [tree.digest(path) or b"" for path in headers]
        for suffixes in (self.settings.transforms[name].facts.neighbours for name in job.transforms):
            others += [self._neighbours.of(job.path, suffixes)] if suffixes else []
        return key_of(job, others, self._tool)

    @cached_property
    def _tool(self) -> bytes:
        return tool_digest(known.find.__module__ for known in self.settings.transforms.values())

    # -- what came back

    def _take(
        self,
        program: Program,
        result: Result,
        files: Mapping[Path, bytes],
        errors: dict[Path, int],
        found: list[Found],
        *,
        first: bool,
    ) -> None:
        errors[program.path] = result.errors
        if first:
            self.results[program.path] = result
        in_run = self._in_run
        for name, fix in result.findings:
            path = fix.at.path
            if path not in in_run:
                continue
            data = program.source.data if path == program.path else files[path]
            if not self._suppressed(path, data, name, fix) and not self._host_answers(program, name, fix):
                found.append(Found(name, program.placed(self._doubted(fix)), program.path))

    @cached_property
    def _in_run(self) -> frozenset[Path]:
        return frozenset(p.path for p in self.discovery.programs) | self.headers.keys()

    def _doubted(self, fix: Fix) -> Fix:
        """A fix is only suggested in a header that user space compiles too: nobody here has seen that code."""
        shared = sorted(self._shared.intersection(edit.path for edit in fix.edits))
        if not shared or fix.safety is not Safety.SAFE:
            return fix
        return replace(fix, safety=Safety.SUGGESTED, reason=f"user-space code includes {shared[0].name} too")

    def _suppressed(self, path: Path, data: bytes, transform: str, fix: Fix) -> bool:
        if b"ebpffix:" not in data:
            return False
        key = (path, data)
        if key not in self._suppressions:
            self._suppressions[key] = Suppressions(Source(path, data))
        return self._suppressions[key].covers(transform, fix.at.start, fix.at.end)

    def _host_answers(self, program: Program, transform: str, fix: Fix) -> bool:
        """Whether a comment of the host program answers for the string that a finding is in."""
        island = program.island
        if island is None or fix.at.path != program.path or b"ebpffix:" not in island.host.source.data:
            return False
        text = island.text_at(fix.at.start)
        ignores = Suppressions(island.host.source)
        return any(ignores.covers(transform, place, place + 1) for place in (text.start, text.end - 1))

    @cached_property
    def _suppressions(self) -> dict[tuple[Path, bytes], Suppressions]:
        return {}

    def files(self) -> list[File]:
        """Every file of the run, in order of path."""
        by_file: dict[Path, list[Program]] = {path: [] for path in self.discovery.unread}
        for program in self.discovery.programs:
            by_file.setdefault(program.file, []).append(self.programs[program.path])
        found = [self._program_file(path, programs) for path, programs in by_file.items()]
        for header in self.discovery.headers:
            found.append(self._header_file(header))
        return sorted(found, key=lambda file: file.path)

    def _program_file(self, path: Path, programs: Sequence[Program]) -> File:
        """A program's file, or a host of several: as the one that was understood worst."""
        source = Source(path, self.before.get(path) or path.read_bytes())
        dialect = programs[0].dialect if programs else BCC
        results = [(program, result) for program in programs if (result := self.results.get(program.path))]
        unread = self.discovery.unread.get(path, [])
        if not results and not unread:
            return self._file(source, dialect, None)
        order = [Status.ANALYSED, Status.PARTIAL, Status.FAILED]
        worst = max([*(r.status for _, r in results), *[Status.PARTIAL] * bool(unread)], key=order.index)
        notes = [program.placed_note(note) for program, result in results for note in result.notes]
        return self._file(source, dialect, Result(worst, notes=[*dict.fromkeys(notes), *unread]))

    def _header_file(self, header: Header) -> File:
        results = [self.results[p.path] for p in header.programs if p.path in self.results]
        source = Source(header.path, self.before[header.path])
        order = [Status.FAILED, Status.PARTIAL, Status.ANALYSED]
        best = max(results, key=lambda r: order.index(r.status)) if results and self._triggered[header.path] else None
        return self._file(source, header.programs[0].dialect, best and Result(best.status))

    def _file(self, source: Source, dialect: str, result: Result | None) -> File:
        if result is None:
            note = "nothing in it that a transform looks for"
            return File(source.path, dialect, Status.SKIPPED, source.encoding, [note])
        return File(source.path, dialect, result.status, source.encoding, result.notes)
