"""What a run prints or writes in each mode, and its exit code. Standard output carries the result alone."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ebpffix.app.said import Said
from ebpffix.app.writing import unwritten, write_all
from ebpffix.fix import Safety
from ebpffix.report import FORMATS, listing, render, text
from ebpffix.report.line import Line
from ebpffix.report.model import model
from ebpffix.report.places import display
from ebpffix.rewriting.found import Applied, Found, apply_all
from ebpffix.rewriting.patch import format_patch as write_series
from ebpffix.rewriting.patch import unified
from ebpffix.run.analyse import Status
from ebpffix.run.engine import Report, run
from ebpffix.run.settings import Settings
from ebpffix.shown import visible, visible_code
from ebpffix.sources.discover import Discovery
from ebpffix.sources.files import root_of
from ebpffix.sources.git import GitError, git
from ebpffix.transform import Transform
from ebpffix.write import replace_content

if TYPE_CHECKING:
    from ebpffix.verify.session import Verifier

_MAIL = 72  # columns of a commit's message


@dataclass(frozen=True)
class Output:
    """Where the report goes and how it looks. `stdin`: the program came from standard input. `width` is that of the
    terminal in columns, 0 if standard output is none. `fail_on`: the least sure that a finding may be to make the exit
    1."""

    format: str = "text"
    file: Path | None = None
    statistics: bool = False
    quiet: bool = False
    fail_on: Safety = Safety.SUGGESTED
    verbose: bool = False
    colour: bool = False
    width: int = 0
    stdin: bool = False

    @property
    def for_people(self) -> bool:
        return self.format not in FORMATS


def check(report: Report, output: Output) -> Said:
    """List the findings."""
    found = report.findings
    if output.statistics and output.for_people:
        return _finish(
            report, replace(output, statistics=False), _encoded(text.statistics(found)), bool(_failing(found, output))
        )
    looked = bool(report.files) or not report.errors
    summary = f"{text.counts(found)}; {text.files_line(report)}\n".encode() if looked and not output.quiet else b""
    by_kernel, refused = _by_kernel(report)
    listing = _listing(report, output, found) + by_kernel + summary
    return _finish(report, output, listing, bool(_failing(found, output)) or refused)


def diff(report: Report, output: Output) -> Said:
    """Print what --apply would write, as one diff."""
    changes = [
        _proofs_of(report, path) + unified(display(path), report.before[path], data)
        for path, data in sorted(report.changed.items())
    ]
    said = _finish(report, output, shown(b"".join(changes), output), bool(_failing(report.applied, output)))
    if output.for_people:
        said = said.more(_by_kernel(report)[0].decode("utf-8", "surrogateescape").splitlines())
    return said.more(_summary(report, "would be made", report.remaining)) if output.for_people else said


def _proofs_of(report: Report, path: Path) -> bytes:
    """What was proven of the fixes in a file, as lines that git and patch pass over."""
    found = [one for one in report.applied if one.fix.at.path == path]
    proofs = [(one.transform, proof) for one in found if (proof := report.proofs.get(one.identity))]
    return "".join(f"# {transform}: {text.proved(proof)}\n" for transform, proof in proofs).encode()


def shown(result: bytes, output: Output) -> bytes:
    """Code for standard output: as it is, for programs; where it is looked at, in colour, and with none of what a
    terminal would obey."""
    if not output.colour and not sys.stdout.isatty():
        return result
    lines = [visible_code(line.removesuffix("\r")) for line in result.decode("utf-8", "surrogateescape").split("\n")]
    if output.colour:
        from ebpffix.report.terminal import painted

        return painted(lines).encode()
    return "\n".join(lines).encode()


def apply(report: Report, output: Output) -> Said:
    """Write the new content of the files that change; of standard input, print it."""
    if output.stdin:
        result = b"".join(report.changed.get(path, data) for path, data in report.before.items())
        return _finish(
            report, output, shown(result, replace(output, colour=False)), bool(_failing(report.remaining, output))
        )
    failed = write_all(report)
    applied = [line.with_end(" applied", "green") for line in text.lines(report, report.applied)]
    listing = _drawn(applied, output) + _listing(report, output, report.remaining) + _by_kernel(report)[0]
    said = _finish(report, output, listing, bool(_failing(report.remaining, output) or report.dropped))
    said = said.more(_summary(report, "made", report.remaining)) if output.for_people else said
    return Said(2 if failed else said.code, said.out, (*failed.values(), *said.err))


def step(report: Report, output: Output, verifier: Verifier, say: Callable[[str], object]) -> Said:
    """Make one fix at a time, compile and load after each, and undo one that does harm. `say` is told of each line as
    soon as it is known: a step takes seconds."""
    made: list[Applied] = []
    steps = report.applied
    for number, found in enumerate(steps, 1):
        (proof,) = verifier.prove([found], report.before, report.programs, made)
        harm = proof is not None and proof.verdict == "worse"
        said = _drawn(text.lines(report, [found]), replace(output, width=0)).decode("utf-8", "surrogateescape")
        say(f"{number}/{len(steps)} {said.rstrip()}")
        if harm:
            report.dropped.append((found, f"undone: {proof.reason if proof else ''}"))
            say(f"    undone: {visible(proof.reason) if proof else ''}")
            continue
        made.append(found)
        changed = {path: apply_all(report.before, made)[path] for path in {e.path for e in found.fix.edits}}
        for path, data in sorted(changed.items()):
            try:
                replace_content(path, data)
            except OSError as error:
                return Said(2, err=(unwritten(path, error),))
        if proof:
            say(f"    {text.proved(proof)}")
    report.applied = made
    return _finish(report, output, b"", bool(_failing(report.remaining, output) or report.dropped))


def format_patch(discovery: Discovery, settings: Settings, folder: Path, *, signoff: bool) -> Said:
    """Write one patch for each transform that has something to change, each on top of the one before. `signoff` ends
    each with a Signed-off-by of the user."""
    author = _author()
    if signoff and author is None:
        return Said(2, err=("ebpffix: --signoff: git does not know who you are; set user.name and user.email",))
    signed = f"\n\nSigned-off-by: {author[0]} <{author[1]}>" if signoff and author else ""
    contents = dict(settings.contents)
    series, failed, err = [], False, list[str]()
    for name, known in settings.transforms.items():
        report = run(discovery, replace(settings, transforms={name: known}, contents=contents))
        if any(file.status is Status.FAILED for file in report.files):
            err += text.notes(report)
            failed = True
        if report.changed:
            files = [(display(p), report.before[p], data) for p, data in sorted(report.changed.items())]
            body = _body(report, known.facts) + signed
            series.append((_subject(known.facts, list(report.changed)), body, files))
            contents |= report.changed
    try:
        written = write_series(folder, series, author=author)
    except OSError as error:
        return Said(2, err=(*err, f"ebpffix: {folder}: {error.strerror}; give a folder that can be written"))
    except ValueError as error:  # it holds other patches
        return Said(2, err=(*err, f"ebpffix: {error}"))
    return Said(2 if failed else int(bool(series)), _encoded(map(str, written)), tuple(err))


def write_baseline(report: Report, found: Sequence[Found], path: Path) -> Said:
    """Write down all that was found, advice too: none of it is told of with --baseline."""
    from ebpffix.app import baseline

    try:
        baseline.write(path, found, report.before)
    except OSError as error:
        return Said(2, err=(f"ebpffix: {path}: {error.strerror}; give a file that can be written",))
    return _finish(report, Output(), _encoded([f"{text.counts(found)} written to {text.name(path)}"]), False)


def _author() -> tuple[str, str] | None:
    """Who git says the user is, in one line each; None if it does not say, or with an address that no mail has."""
    try:
        said = [git(root_of(os.getcwd()), "config", "--get", f"user.{key}").output for key in ("name", "email")]
    except GitError:
        return None
    name, address = (visible(" ".join(text.decode(errors="replace").split())) for text in said)
    return (name, address) if name and address.isascii() else None


def _subject(facts: Transform, changed: Sequence[Path]) -> str:
    """As the kernel's lists have it: where, and what the patch does, in the imperative."""
    names = sorted({path.name.split(".")[0] for path in changed})
    where = ", ".join(names) if len(names) <= 2 else display(Path(os.path.commonpath([p.parent for p in changed])))
    prefix = f"{where}: " if where not in ("", ".") else ""
    return f"{visible(prefix)}{facts.imperative or f'apply {facts.name}'}"


def _body(report: Report, facts: Transform) -> str:
    said = [*_described(report), "", f"Found by ebpffix ({facts.name}: {facts.summary})."]
    return "\n".join(textwrap.fill(line, _MAIL, subsequent_indent="    ", break_on_hyphens=False) for line in said)


def _described(report: Report) -> Iterable[str]:
    for found in report.applied:
        reason = f" ({found.fix.reason})" if found.fix.reason else ""
        yield visible(f"{display(found.fix.at.path)}: {found.fix.message}{reason}")
        if proof := report.proofs.get(found.identity):
            yield f"    {text.proved(proof)}"


def _failing(found: Sequence[Found], output: Output) -> list[Found]:
    """Those that make a run fail: they have an edit, and are as sure as was asked. Advice never makes a run fail."""
    counted = (Safety.SAFE,) if output.fail_on is Safety.SAFE else (Safety.SAFE, Safety.SUGGESTED)
    return [one for one in found if one.fix.safety in counted]


def _listing(report: Report, output: Output, found: Sequence[Found]) -> bytes:
    if output.format == "concise":
        return _drawn(text.lines(report, found, verbose=output.verbose), output)
    return _drawn(listing.lines(report, found, verbose=output.verbose, width=output.width), output)


def _by_kernel(report: Report) -> tuple[bytes, bool]:
    """What the kernels that were asked for say of the programs, and whether one is refused."""
    if not report.loads:
        return b"", False
    from ebpffix.report import kernels

    return _encoded(kernels.lines(report)), kernels.any_refused(report)


def _drawn(lines: Iterable[Line], output: Output) -> bytes:
    if not (output.colour or output.width):
        return _encoded(map(str, lines))
    from ebpffix.report.terminal import drawn

    return drawn(lines, colour=output.colour, width=output.width).encode("utf-8", "surrogateescape")


def _encoded(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def _finish(report: Report, output: Output, result: bytes, found: bool) -> Said:
    """The result, or the report in its place; what was not understood; the exit code."""
    made = _formatted(report, output)
    out, err = result if made is None or output.file else made, list[str]()
    unwritten: tuple[str, ...] = ()
    if made is not None and output.file:
        try:
            replace_content(output.file, made)
        except OSError as error:
            why = f"ebpffix: --output-file {output.file}: {error.strerror}; give a file that can be written"
            unwritten = (why,)
    if output.statistics:  # standard output is the result's
        err += text.statistics(report.findings)
    failed = bool(unwritten or report.errors) or any(file.status is Status.FAILED for file in report.files)
    err += (*text.notes(report), *text.proof_table(report), *unwritten)
    return Said(2 if failed else int(found), out, tuple(err))


def _formatted(report: Report, output: Output) -> bytes | None:
    if output.format in FORMATS:
        return render(model(report, head_sha=_head()), output.format)
    if output.file:
        return _listing(report, replace(output, colour=False, width=0), report.findings)
    return None


def _head() -> str:
    """The commit that the working tree is at, for whoever reads the report elsewhere; "" without git."""
    try:
        return git(root_of(os.getcwd()), "rev-parse", "--verify", "-q", "HEAD").output.decode().strip()
    except GitError:
        return ""


def _summary(report: Report, verb: str, left: Sequence[Found]) -> list[str]:
    made = sum(len(found.fix.edits) > 0 for found in report.applied)
    parts = [
        f"{text.plural(made, 'fix').replace('fixs', 'fixes')} in {text.plural(len(report.changed), 'file')} {verb}"
    ]
    suggested = sum(one.fix.safety is Safety.SUGGESTED for one in left)
    if suggested:
        parts.append(f"{suggested} more suggested (--unsafe-fixes)")
    advice = sum(one.fix.safety is Safety.ADVICE for one in left)
    if advice:
        parts.append(f"{advice} with advice only")
    return ["; ".join(parts) + ".", text.files_line(report) + "."]
