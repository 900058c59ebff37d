"""--watch: on each save the saved programs are analysed, and with --verify compiled and loaded."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ebpffix.app.config import Config
from ebpffix.report import rejection, text
from ebpffix.run.engine import programs_to_load, run
from ebpffix.run.settings import Settings
from ebpffix.shown import visible
from ebpffix.sources.discover import Discovery, discover
from ebpffix.sources.files import HOSTS
from ebpffix.sources.source import Source
from ebpffix.verify.compile import CompileError
from ebpffix.verify.logs import read
from ebpffix.verify.session import Loadable, Verifier

# Editors write by several steps (a new file, a rename, a touch); what comes within this many milliseconds is one save.
_SETTLE = 50
_SUFFIXES = (".c", ".h", *HOSTS)


def watch(paths: Sequence[str], found: Discovery, settings: Settings, config: Config) -> int:
    """Answer every save in `paths` until interrupted; 0. `found` is what is there now, whose errors were told; 2 if a
    path is not there."""
    from watchfiles import Change
    from watchfiles import watch as events

    if not all(Path(path).exists() for path in paths):
        return 2
    settings = replace(settings, precompile_from=1)  # the second save of a file is to be quick
    if settings.verifier:
        settings.verifier.start()  # kernels boot while nothing is saved
    _print(_answer(found, replace(settings, verifier=None)))
    print("watching; end with Ctrl-C", flush=True)
    # A file is replaced when an editor renames over it: its folder is what can be watched.
    folders = {path if Path(path).is_dir() else str(Path(path).resolve().parent) for path in paths}
    wanted = [Path(path).resolve() for path in paths]

    def relevant(change: Change, name: str) -> bool:
        path = Path(name)
        inside = any(path == one or one in path.parents for one in wanted)
        return change is not Change.deleted and path.suffix in _SUFFIXES and inside

    for changes in events(*folders, watch_filter=relevant, debounce=_SETTLE, step=10, raise_interrupt=False):
        saved = sorted({Path(name) for _, name in changes})
        print(f"-- {time.strftime('%H:%M:%S')} {', '.join(text.name(path) for path in saved)}", flush=True)
        there = [path for path in saved if path.exists()]
        found = discover(there, dialect=config.dialect, include_dirs=config.include, exclude=config.exclude.match)
        _print(found.errors)
        _print(_answer(found, settings))
    return 0


def _print(lines: Iterable[str]) -> None:
    """Each line as soon as it is known: compiling takes longer than analysing."""
    for line in lines:
        print(visible(line), flush=True)


def _answer(found: Discovery, settings: Settings) -> Iterable[str]:
    if not found.programs and not found.headers:
        return
    report = run(found, replace(settings, verifier=None))
    yield from map(str, text.lines(report, report.findings))
    yield from text.notes(report)
    refused = list(_load(found, settings)) if settings.verifier else []
    yield from refused
    if not report.findings and not refused:
        yield "nothing found" + (", all programs load" if settings.verifier else "")


def _load(found: Discovery, settings: Settings) -> Iterable[str]:
    """Compile and load the programs, and say which source line the verifier refused."""
    verifier = settings.verifier
    if verifier is None:
        return
    told = len(verifier.problems)
    for program in programs_to_load(found, settings):
        yield from _load_one(program, verifier, found)
    yield from verifier.problems[told:]


def _load_one(loadable: Loadable, verifier: Verifier, found: Discovery) -> Iterable[str]:
    from ebpffix.verify import CannotVerify

    target, program = verifier.target(loadable), loadable.program
    if target is None:
        return
    made = target.compile({})
    if isinstance(made, CompileError):
        yield from made.lines
        return
    try:
        results = made.load()
    except CannotVerify as error:
        yield str(error)
        return
    sources = [Source.read(program.file), *(Source.read(header.path) for header in found.headers)]
    told = set[str]()  # of several kernels the first that refuses is quoted
    for result in results:
        by, where = (f" by Linux {result.kernel}", f"in Linux {result.kernel}") if result.kernel else ("", "here")
        if result.verdict == "rejected" and result.name in told:
            yield f"{text.name(program.path)}: {result.name}: refused{by} too"
        elif result.verdict == "rejected" and result.reason:
            yield f"{text.name(program.path)}: {result.name}: refused{by}: {result.reason}"
        elif result.verdict == "rejected":
            for refused in read(io.BytesIO(result.log.encode())):
                name = f"{result.name} on {result.kernel}" if result.kernel else result.name
                yield from rejection.lines(replace(refused, program=name), sources)
        elif result.verdict == "untried":
            yield f"{text.name(program.file)}: {result.name}: cannot be tried {where}: {result.reason}"
        if result.verdict == "rejected":
            told.add(result.name)
