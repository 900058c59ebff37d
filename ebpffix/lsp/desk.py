"""The files that an editor has open, and what the engine says of them: as `ebpffix` with their names, and with the
texts of the editor in place of those on the disk.

Files go into one run if one configuration holds for them. A change is looked at together with the files that it hangs
together with, by includes; the disk is looked at again when the server says so.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ebpffix.app.config import ConfigError, load_config
from ebpffix.app.flags import Flags
from ebpffix.app.prepare import Work, prepare
from ebpffix.fix import Edit, Fix, Safety
from ebpffix.frontend.environment import NoTypes
from ebpffix.lsp.messages import Finding, Looked, Made, Make, Note, Opened, Seen, Silence, Update
from ebpffix.lsp.silence import with_comment
from ebpffix.report.explain import url
from ebpffix.report.listing import becomes
from ebpffix.rewriting.found import Applied, Found, Identity
from ebpffix.run.analyse import Status
from ebpffix.run.engine import Report, run
from ebpffix.run.status import File
from ebpffix.run.warm import Warm
from ebpffix.sources import build
from ebpffix.sources.discover import Discovery
from ebpffix.sources.files import git_root
from ebpffix.sources.git import GitError
from ebpffix.sources.source import Source
from ebpffix.transform import load_transforms, selectable

_TOLD = (ConfigError, NoTypes, GitError, OSError, ValueError)  # one line each, for the user
_WORKERS = 2  # processes: an editor shares the machine with whatever else the user does


@dataclass
class _Group:
    """Files for which one configuration holds. `work` is None where it cannot be had."""

    folder: Path
    paths: list[Path]
    work: Work | None = None


class Desk:
    """Answers `Update`, `Make` and `Silence`."""

    def __init__(self) -> None:
        self._known = load_transforms()
        self._open: dict[Path, Opened] = {}
        self._groups: list[_Group] = []
        self._warm: Warm | None = None
        self._resources = contextlib.ExitStack()
        self._said: list[str] = []
        self._problems: list[str] = []

    def __enter__(self) -> Callable[[object], object]:
        return self._answer

    def __exit__(self, *_: object) -> None:
        self._cool()
        self._resources.close()

    def _answer(self, question: object) -> object:
        try:
            match question:
                case Update():
                    return self.update(question)
                case Make():
                    return self.make(question)
                case Silence():
                    return self.silence(question)
        except BaseException:
            self._cool()  # a run that did not come to its end left work behind
            raise
        raise TypeError(f"no answer to {question!r}")

    def _cool(self) -> None:
        if self._warm:
            self._warm.close()
            self._warm = None

    # -- what is open

    def update(self, update: Update) -> Looked:
        """Look at what changed, and at what hangs together with it."""
        self._said, self._problems = [], []
        texts = {one.path: one for one in update.opened}
        same = not update.closed and all(self._is_open(one) for one in update.opened)
        self._open |= texts
        for path in update.closed:
            self._open.pop(path, None)
        if update.fresh or not same:
            build.forget()
            self._groups = self._sorted()
            seen = [one for group in self._groups for one in self._look(group, set(group.paths))]
        else:
            seen = [one for group in self._groups for one in self._changed(group, texts.keys() & set(group.paths))]
        return Looked(tuple(seen), tuple(dict.fromkeys(self._said)), tuple(dict.fromkeys(self._problems)))

    def _is_open(self, now: Opened) -> bool:
        before = self._open.get(now.path)
        return before is not None and before.folder == now.folder

    def _sorted(self) -> list[_Group]:
        """All open files in groups, each prepared anew."""
        groups: dict[tuple[object, ...], _Group] = {}
        for path, one in sorted(self._open.items()):
            root = git_root(str(path.parent))
            with self._telling():
                config = load_config([path], selectable(self._known), self._said.append)
                groups.setdefault((config.file, root, one.folder), _Group(one.folder, [])).paths.append(path)
                continue
            groups[path,] = _Group(one.folder, [path])
        for group in groups.values():
            self._prepare(group)
        return list(groups.values())

    def _texts(self, group: _Group) -> dict[Path, bytes]:
        return {path: self._open[path].data for path in group.paths}

    def _prepare(self, group: _Group) -> None:
        group.work = None
        go_to(group.folder)
        flags = Flags(paths=tuple(map(str, group.paths)), force_exclude=True)
        with self._telling():
            work = prepare(flags, self._known, self._said.append, self._texts(group))
            if work.settings.cache is None:  # without one, types and headers would be made anew for each key
                folder = self._resources.enter_context(tempfile.TemporaryDirectory(prefix="ebpffix-"))
                os.environ["EBPFFIX_CACHE_DIR"] = folder
                work = prepare(flags, self._known, self._said.append, self._texts(group))
            self._said += work.discovery.errors
            group.work = work

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except _TOLD as error:
            self._problems.append(str(error))

    # -- what is in it

    def _changed(self, group: _Group, paths: set[Path]) -> list[Seen]:
        """Look at files of a group that have other texts now."""
        if not paths:
            return []
        work = group.work
        if work:
            found: Discovery | None = work.discovery
            for path in paths:
                found = found and found.with_text(path, self._open[path].data)
            if found:
                group.work = replace(work, discovery=found)
                return self._look(group, paths)
        self._prepare(group)
        return self._look(group, set(group.paths))

    def _look(self, group: _Group, paths: set[Path]) -> list[Seen]:
        report = self._run(group, paths) if group.work else None
        if report is None:
            return [Seen(path, self._open[path].generation) for path in paths]
        looked_at = paths | {file.path for file in report.files}
        return [self._seen(path, report) for path in sorted(looked_at)]

    def _run(
        self, group: _Group, paths: set[Path], only: Identity | None = None, texts: Mapping[Path, bytes] | None = None
    ) -> Report | None:
        """A run over what hangs together with these files; `only` is a fix that is made, whatever else is."""
        assert group.work
        go_to(group.folder)
        settings = replace(group.work.settings, contents={**self._texts(group), **(texts or {})})
        if only:
            wanted = settings.wanted
            settings = replace(settings, unsafe=True, wanted=lambda f: f.identity == only and wanted(f))
        if self._warm is None:
            assert settings.cache
            self._warm = Warm(self._known, _WORKERS, settings.cache)
        with self._telling():
            return run(group.work.discovery.around(paths), settings, warm=self._warm)
        return None

    def _seen(self, path: Path, report: Report) -> Seen:
        findings = [one for one in report.findings if one.fix.at.path == path]
        made = [one for one in report.applied if {edit.path for edit in one.fix.edits} == {path}]
        source = Source(path, report.before.get(path, b""))
        file = next((file for file in report.files if file.path == path), None)
        return Seen(
            path,
            self._open[path].generation,
            (
                *(_finding(one, one.fix, source, self._url(one)) for one in findings),
                *(
                    _finding(one, _left_out(one.fix, why), source, self._url(one))
                    for one, why in report.dropped
                    if one.fix.at.path == path
                ),
            ),
            tuple(edit for one in made for edit in one.fix.edits),
            tuple(_notes(file)) if file else (),
        )

    def _url(self, found: Found) -> str:
        return url(self._known[found.transform])

    # -- what can be made of it

    def make(self, request: Make) -> Made:
        """Make one fix alone, as a run with --unsafe-fixes does, and see that nothing is worse for it."""
        group = self._group_of(request.path)
        report = self._run(group, {request.path}, request.identity) if group and group.work else None
        if report is None or not report.applied:
            reasons = [why for _, why in report.dropped] if report else self._problems
            return Made(refused="; ".join(reasons) or "it is not there any more")
        edits: dict[Path, tuple[Edit, ...]] = {}
        for one in report.applied:
            for edit in one.fix.edits:
                edits[edit.path] = (*edits.get(edit.path, ()), edit)
        return self._made(edits)

    def silence(self, request: Silence) -> Made:
        """The comment that answers a finding, proven: with it the finding is gone, and no other one is."""
        path, (transform, _, start, end, _) = request.path, request.identity
        group = self._group_of(path)
        if group is None or group.work is None:
            return Made(refused="it is not there any more")
        edit = with_comment(Source(path, self._open[path].data), group.work.discovery.programs, transform, start)
        if edit is None:
            return Made(refused="no comment can stand above its line")
        before = self._run(group, {path})
        after = self._with(group, path, edit)
        gone, left = _moved((transform, start, end), edit), set(_places(after, path))
        if after is None or gone in left:
            return Made(refused="a comment above its line does not reach it")
        if not {_moved(one, edit) for one in _places(before, path)} - {gone} <= left:
            return Made(refused="a comment above its line would silence another finding too")
        return self._made({path: (edit,)})

    def _with(self, group: _Group, path: Path, edit: Edit) -> Report | None:
        """A run as if the edit were made."""
        assert group.work
        data = self._open[path].data
        text = data[: edit.start] + edit.text + data[edit.end :]
        other = group.work.discovery.with_text(path, text)
        if other is None:
            return None
        now = replace(group, work=replace(group.work, discovery=other))
        try:
            return self._run(now, {path}, texts={path: text})
        finally:
            other.with_text(path, data)

    def _group_of(self, path: Path) -> _Group | None:
        return next((group for group in self._groups if path in group.paths), None)

    def _made(self, edits: Mapping[Path, tuple[Edit, ...]]) -> Made:
        return Made(edits, {path: self._open[path].generation for path in edits})


def go_to(folder: Path) -> None:
    """Names count from where the user works."""
    try:
        os.chdir(folder)
    except OSError:
        os.chdir("/")


def _finding(found: Found, fix: Fix, source: Source, url: str) -> Finding:
    edits: dict[Path, tuple[Edit, ...]] = {}
    for edit in fix.edits:
        edits[edit.path] = (*edits.get(edit.path, ()), edit)
    return Finding(
        found.identity,
        fix.at.start,
        fix.at.end,
        fix.message,
        fix.safety,
        fix.reason,
        tuple(fix.origin),
        becomes(fix, source) if fix.edits else "",
        edits,
        isinstance(found, Applied),
        url,
    )


def _left_out(fix: Fix, why: str) -> Fix:
    return replace(fix, safety=Safety.ADVICE, edits=[], reason=f"its fix was left out: {why}")


def _notes(file: File) -> Iterable[Note]:
    if file.status in (Status.FAILED, Status.PARTIAL) and file.notes:
        yield Note(0, "; ".join(file.notes), str(file.status))
    for note in file.ignores:
        line, _, text = note.removeprefix("line ").partition(": ")
        yield Note(int(line), text, "idle") if line.isdigit() else Note(0, note, "idle")


def _places(report: Report | None, path: Path) -> list[tuple[str, int, int]]:
    found = report.findings if report else []
    return [(one.transform, one.fix.at.start, one.fix.at.end) for one in found if one.fix.at.path == path]


def _moved(place: tuple[str, int, int], edit: Edit) -> tuple[str, int, int]:
    transform, start, end = place
    by = len(edit.text)
    return transform, start + by * (start >= edit.start), end + by * (end > edit.start)
