"""What compiles and loads the programs of a file that was saved, and searches for repairs of those that are refused."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from ebpffix.app.config import ConfigError
from ebpffix.app.flags import Flags
from ebpffix.app.prepare import Work, prepare, verifier_of
from ebpffix.fix import Edit
from ebpffix.frontend.environment import NoTypes
from ebpffix.lsp.desk import go_to
from ebpffix.lsp.messages import Load, Loaded, Mend, Mended, Refusal
from ebpffix.repair.registry import load_strategies
from ebpffix.rewriting.patch import changed_spans
from ebpffix.run.engine import programs_to_load
from ebpffix.run.repairs import Repair, repair_all
from ebpffix.sources.git import GitError
from ebpffix.sources.source import Source
from ebpffix.transform import load_transforms
from ebpffix.verify import CannotVerify
from ebpffix.verify.cause import cause
from ebpffix.verify.compile import CompileError
from ebpffix.verify.logs import Rejection, SourceLine, locate, read
from ebpffix.verify.session import Loadable, Verifier
from ebpffix.verify.trace import parse

_TOLD = (ConfigError, NoTypes, GitError, OSError, ValueError)
_CLANG = re.compile(r"(.+?):(\d+):(?:\d+:)? (?:fatal )?error: (.*)")


class Bench:
    """Answers `Load` and `Mend`. The compiler is the user's, as for --verify: $CLANG, or the one on the path."""

    def __init__(self) -> None:
        self._known = load_transforms()
        self._verifier: Verifier | None = None

    def __enter__(self) -> Callable[[object], object]:
        return self._answer

    def __exit__(self, *_: object) -> None:
        if self._verifier:
            self._verifier.close()

    def _answer(self, question: object) -> object:
        match question:
            case Load():
                return self.load(question)
            case Mend():
                return self.mend(question)
        raise TypeError(f"no answer to {question!r}")

    def _prepare(self, path: Path, folder: Path) -> tuple[Work, Verifier]:
        go_to(folder)
        work = prepare(Flags(paths=(str(path),), force_exclude=True), self._known, lambda line: None)
        if self._verifier is None:
            self._verifier = verifier_of(Flags(), work.settings.cache)
        return work, self._verifier

    def load(self, request: Load) -> Loaded:
        """Load the programs of a file as it is on the disk."""
        data = b""
        try:
            data = Source.read(request.path).data
            work, verifier = self._prepare(request.path, request.folder)
            told = len(verifier.problems)
            headers = [Source.read(header.path) for header in work.discovery.headers]
            refusals = [
                refusal
                for loadable in programs_to_load(work.discovery, work.settings)
                for refusal in _refused(loadable, verifier, headers)
            ]
        except (*_TOLD, CannotVerify) as error:
            return Loaded(request.path, data, said=(str(error),))
        return Loaded(request.path, data, tuple(dict.fromkeys(refusals)), tuple(verifier.problems[told:]))

    def mend(self, request: Mend) -> Mended:
        """Search for a repair of the programs of a file as it is on the disk."""
        try:
            work, verifier = self._prepare(request.path, request.folder)
            strategies = list(load_strategies().values())
            found = repair_all(work.discovery, work.settings, verifier, strategies, unsafe=True)
        except (*_TOLD, CannotVerify):
            return Mended(request.path, {})
        mended = [one for one in found.repairs if one.status == "repaired"]
        changed = {path: data for one in mended for path, data in one.changed.items()}
        edits = {
            path: tuple(Edit(path, start, end, text) for start, end, text in changed_spans(found.before[path], data))
            for path, data in changed.items()
        }
        steps = tuple(step for one in mended for step in _steps(one))
        return Mended(request.path, {path: found.before[path] for path in edits}, steps, edits)


def _refused(loadable: Loadable, verifier: Verifier, headers: list[Source]) -> Iterator[Refusal]:
    target, program = verifier.target(loadable), loadable.program
    if target is None:
        return
    made = target.compile({})
    if isinstance(made, CompileError):
        yield _uncompiled(made, program.file)
        return
    sources = [Source.read(program.file), *headers]
    for result in made.load():
        if result.verdict != "rejected":
            continue
        if result.reason:
            yield Refusal(program.file, 0, f"{result.name}: refused: {result.reason}")
            continue
        for rejection in read(io.BytesIO(result.log.encode())):
            yield _of(rejection, result.name, program.file, sources)


def _uncompiled(error: CompileError, file: Path) -> Refusal:
    for line in error.lines:
        if (match := _CLANG.match(line)) and Path(match[1]) == file:
            return Refusal(file, int(match[2]), f"does not compile: {match[3]}")
    return Refusal(file, 0, f"does not compile: {error.lines[0] if error.lines else 'clang does not say why'}")


def _of(rejection: Rejection, program: str, file: Path, sources: list[Source]) -> Refusal:
    found = cause(rejection.message, parse(rejection.path))
    explanation = found.explanation.text if found and found.explanation else rejection.explanation
    place = _placed(rejection, sources)
    lost = None
    if found and (at := _placed(replace(rejection, source=found.source), sources)):
        lost = Path(at.file), at.line, found.words
    message = f"{program}: the verifier refuses it: {rejection.message}. {explanation}".rstrip()
    return Refusal(Path(place.file) if place else file, place.line if place else 0, message, lost)


def _placed(rejection: Rejection, sources: list[Source]) -> SourceLine | None:
    return next(iter(locate(rejection, sources)), None)


def _steps(repair: Repair) -> Iterator[str]:
    for made in repair.found.made if repair.found else ():
        yield f"{made.candidate.strategy}: {made.candidate.says} [{made.candidate.effect}]"
