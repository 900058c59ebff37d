"""Flags to a mode, and what the mode says to the terminal.

Only click is imported at the top: `--version` and `--help` answer at once, and a mistake in a flag costs no analysis.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

import click

from ebpffix import __version__
from ebpffix.app.flags import STDIN, Flags, Mistake
from ebpffix.app.help import EXAMPLES, Grouped
from ebpffix.app.said import Said
from ebpffix.report import FORMATS
from ebpffix.shown import visible

if TYPE_CHECKING:
    from ebpffix.app.modes import Output
    from ebpffix.app.prepare import Work
    from ebpffix.transform import Registered


_WIDEST = 120
_LONG = 20  # programs: fewer need no bar


class Problem(click.ClickException):
    """What ends the command: one line on standard error, and exit 2."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        _tell(self.format_message())


def _tell(line: str) -> None:
    """One line on standard error."""
    click.echo(f"ebpffix: {visible(line)}", err=True)


def _names(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())


def _complete(_context: click.Context, option: click.Parameter, begun: str) -> list[str]:
    """The names that a shell may complete: of transforms and their groups, or of what --explain knows; of a list its
    last one."""
    from ebpffix.repair.registry import load_strategies
    from ebpffix.transform import load_transforms, selectable

    known = load_transforms()
    names = [*known, *load_strategies()] if option.name == "explain" else list(selectable(known))
    before, comma, last = begun.rpartition(",")
    return [f"{before}{comma}{name}" for name in names if name.startswith(last)]


@click.command(
    cls=Grouped, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.argument("paths", nargs=-1, type=click.Path())
@click.option("--diff", is_flag=True, help="Print one diff of all safe fixes; write nothing.")
@click.option("--apply", is_flag=True, help="Write the safe fixes.")
@click.option("--unsafe-fixes", is_flag=True, default=None, help="Take the suggested fixes too.")
@click.option("--format-patch", metavar="DIR", help="Write a series for `git am` there, one patch a transform.")
@click.option("--signoff", is_flag=True, help="With --format-patch: end each with your Signed-off-by.")
@click.option("--watch", is_flag=True, help="On each save: analyse, and with --verify compile and load.")
@click.option(
    "--log", metavar="FILE", help="Explain a verifier log; `-` is standard input. PATHS may have objects (.o)."
)
@click.option("--verify", is_flag=True, help="Compile and load each touched program before and after.")
@click.option("--repair", is_flag=True, help="Repair programs that the verifier refuses; with --diff, --apply, alone.")
@click.option("--cap-bpf", is_flag=True, help="With --verify: load with CAP_BPF alone too.")
@click.option("--clang", metavar="C", help="With --verify: the compiler; else $CLANG, else the one on the path.")
@click.option(
    "--kernels", multiple=True, callback=_names, metavar="V,…", help="With --verify: load in these, under qemu."
)
@click.option("--kernel", multiple=True, metavar="F", help="The same, by image, or by folder of images.")
@click.option(
    "--fetch-kernels", multiple=True, callback=_names, metavar="V,…", help="Download Debian's kernels for it."
)
@click.option("--step", is_flag=True, help="With --apply --verify: one fix at a time; undo one that does harm.")
@click.option(
    "--select",
    multiple=True,
    callback=_names,
    shell_complete=_complete,
    metavar="T,…",
    help="Only these transforms, or groups (modernise, all).",
)
@click.option(
    "--ignore",
    multiple=True,
    callback=_names,
    shell_complete=_complete,
    metavar="T,…",
    help="Not these transforms, or groups.",
)
@click.option("--exclude", multiple=True, metavar="P", help="Not these files: patterns as in .gitignore.")
@click.option("--force-exclude", is_flag=True, help="Leave excluded files out even if they are named.")
@click.option("--changed-lines", metavar="DIFF", help="Only findings on lines that this diff adds or changes.")
@click.option("--diff-base", metavar="REV", help="Only findings on lines changed since the merge base with REV.")
@click.option("--baseline", metavar="F", help="Not the findings in this file.")
@click.option("--write-baseline", metavar="F", help="Write all findings to a file for --baseline.")
@click.option("--stdin-filename", metavar="F", help="The name that standard input has, with `-`.")
@click.option("--dialect", type=click.Choice(["auto", "bcc", "libbpf"]), help="Take all programs for this dialect.")
@click.option("--target-kernel", metavar="VERSION", help="The oldest kernel to support; 5.10 unless set.")
@click.option("-I", "include", multiple=True, metavar="DIR", help="Look for headers there first.")
@click.option("-D", "define", multiple=True, metavar="NAME[=VALUE]", help="Define a macro.")
@click.option("--vmlinux", metavar="H", help="The vmlinux.h to take kernel types from.")
@click.option("--btf", metavar="FILE", help="The BTF to take kernel types from; else the running kernel's.")
@click.option("--compile-commands", metavar="FILE", help="A compile_commands.json with the project's flags.")
@click.option(
    "--output-format", type=click.Choice(["text", "concise", *FORMATS]), default="text", help="The report's format."
)
@click.option("--output-file", metavar="F", help="Write the report there.")
@click.option("-v", "--verbose", is_flag=True, help="Show each advice, and where pointers come from.")
@click.option("-q", "--quiet", is_flag=True, help="Print the result alone: no summary, no notes; errors stay.")
@click.option("--statistics", is_flag=True, help="Print a table of how many there are of what.")
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="Colour the output.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even if something is found.")
@click.option(
    "--fail-on", type=click.Choice(["safe", "suggested"]), default="suggested", help="What makes the exit 1; both."
)
@click.option(
    "--explain",
    metavar="T",
    shell_complete=_complete,
    help="Print the page of a transform, or of a strategy of --repair.",
)
@click.option("--transforms", "list_transforms", is_flag=True, help="List the transforms.")
@click.option("--show-files", is_flag=True, help="List the files that would be looked at.")
@click.option("--show-settings", is_flag=True, help="Print the settings, and the file that they are from.")
@click.option("--jobs", type=click.IntRange(1), metavar="N", help="Threads; one a processor unless set.")
@click.option("--no-cache", is_flag=True, help="Keep nothing on disk, and use nothing that is there.")
@click.option("--clean-cache", is_flag=True, help="Remove what was kept on disk.")
@click.version_option(__version__, prog_name="ebpffix")
def command(**given: Any) -> None:
    """Find risky patterns in eBPF C (BCC and libbpf) and rewrite them into the known-good form.

    PATHS are files or folders, the current folder unless given; `-` is standard input. Without --diff or --apply the
    findings are listed. Exit: 0 nothing found, 1 something, 2 an error.
    """
    if sys.stdout is None:  # closed
        raise Problem("standard output is closed; send it where it can be written")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name need not be what the locale can write
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    try:
        flags = Flags(**{name: value for name, value in given.items() if value is not None})
    except Mistake as mistake:
        raise click.UsageError(str(mistake)) from None
    said = _run(flags)
    code = _print(dataclasses.replace(said, err=()) if flags.quiet and said.code != 2 else said)
    click.get_current_context().exit(0 if flags.exit_zero and code == 1 else code)


def _end(number: int, _frame: object) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)  # once is enough: cleaning up is short
    raise SystemExit(128 + number)


def main() -> None:
    """The command; whatever is wrong is one line on standard error, and exit 2. A signal that ends it lets it end
    what it started, and remove what it put on the disk for a while."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)
    try:
        code = command.main(prog_name="ebpffix", standalone_mode=False)
    except Problem as problem:
        problem.show()
        code = 2
    except click.ClickException as error:
        _tell(f"{error.format_message()}; see ebpffix --help")
        code = 2
    except click.Abort:
        code = 130
    except Exception as error:
        at = error.__traceback__
        while at and at.tb_next:
            at = at.tb_next
        where = f" at {at.tb_frame.f_globals.get('__name__')}:{at.tb_lineno}" if at else ""
        _tell(f"this is a bug in ebpffix ({type(error).__name__}: {error}{where}); please report it with what you ran")
        code = 2
    raise SystemExit(code)


def _print(said: Said) -> int:
    """Say it; the exit code. Standard output carries the result alone."""
    code, err = said.code, said.err
    try:
        sys.stdout.buffer.write(said.out)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise  # click ends the run without a word: whoever read has read enough
    except OSError as error:
        code, err = 2, (f"ebpffix: standard output: {error.strerror}; send it where it can be written", *err)
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - what is left in the buffer must not be tried again
    for line in err:
        print(visible(line), file=sys.stderr)
    return code


def _run(flags: Flags) -> Said:
    if flags.list_transforms:
        return _list_transforms()
    if flags.explain:
        return _explain(flags.explain)
    if flags.clean_cache:
        return _clean_cache()
    if flags.fetch_kernels:
        return _fetch_kernels(flags.fetch_kernels)
    if flags.log and not flags.repair:
        return _log(flags.log, flags)
    return _check(flags)


def _clean_cache() -> Said:
    """Empty the folder for what is kept."""
    from ebpffix.app.prepare import cache_folder
    from ebpffix.run.cache import clear

    folder = cache_folder(_tell)
    if folder is None:
        return Said(2)
    try:
        removed = clear(folder)
    except OSError as error:
        raise Problem(f"{folder}: {error.strerror}; remove it yourself") from None
    return _said(f"{folder}: {'emptied' if removed else 'nothing was kept there'}")


def _fetch_kernels(names: tuple[str, ...]) -> Said:
    """Kernel images into the cache, for --kernels."""
    from ebpffix.app.prepare import cache_folder
    from ebpffix.verify.guest import debian, images

    folder = cache_folder(_tell)
    if folder is None:
        return Said(2)
    try:
        return _said("\n".join(f"{n}: {images.read(debian.fetch(n, folder)).release}" for n in names))
    except (debian.CannotFetch, images.NoKernel) as error:
        raise Problem(str(error)) from None
    except OSError as error:
        raise Problem(f"--fetch-kernels: {error.filename}: {error.strerror}") from None


def _log(name: str, flags: Flags) -> Said:
    from ebpffix.app import log

    try:
        return Said(log.explain(name, flags, click.echo, _tell))
    except ValueError as error:
        raise Problem(str(error)) from None


def _list_transforms() -> Said:
    from ebpffix.transform import BUILT_IN

    lines = []
    for known in _load_transforms().values():
        facts = known.facts
        origin = "" if known.distribution == BUILT_IN else f" (of {known.distribution})"
        lines.append(f"{facts.name:22} {facts.group:10} {', '.join(facts.dialects):12} {facts.summary}{origin}")
    return _said("\n".join(lines))


def _tell_of_others(chosen: Iterable[Registered]) -> None:
    """Whose code runs, besides ours."""
    from ebpffix.transform import BUILT_IN

    others = [f"{t.facts.name} (of {t.distribution})" for t in chosen if t.distribution != BUILT_IN]
    if others:
        _tell(f"with {', '.join(others)}")


def _explain(name: str) -> Said:
    from ebpffix.repair.registry import load_strategies
    from ebpffix.report import explain

    known, strategies = _load_transforms(), load_strategies()
    if name in known:
        return _said(explain.page(known[name]))
    if name in strategies:
        return _said(explain.strategy_page(strategies[name]))
    from ebpffix.app.config import hint

    what = hint(name, (*known, *strategies), "there are")
    raise Problem(f"--explain {name}: no such transform or strategy; {what}")


def _said(text: str) -> Said:
    return Said(0, f"{text}\n".encode("utf-8", "surrogateescape"))


def _load_transforms() -> dict[str, Registered]:
    from ebpffix.transform import load_transforms

    try:
        return load_transforms()
    except (ValueError, ImportError) as error:
        raise Problem(f"a transform cannot be loaded: {error}; reinstall the package that brings it") from None


def _check(flags: Flags) -> Said:
    """The run itself, for every mode."""
    from ebpffix.app import modes, show
    from ebpffix.app.config import ConfigError
    from ebpffix.app.prepare import prepare
    from ebpffix.fix import Safety
    from ebpffix.frontend.environment import NoTypes
    from ebpffix.run import engine
    from ebpffix.sources.git import GitError

    known = _load_transforms()
    try:
        work = prepare(flags, known, _tell)
    except (ConfigError, OSError, ValueError) as error:
        raise Problem(str(error)) from None
    discovery, settings = work.discovery, work.settings
    for line in discovery.errors:
        _tell(line)
    _tell_of_others(settings.transforms.values())
    if discovery.skipped and not (discovery.programs or flags.quiet or flags.force_exclude):
        others = f" and {len(discovery.skipped) - 1} more" if len(discovery.skipped) > 1 else ""
        _tell(f"{discovery.skipped[0]}{others}: no eBPF C in it, left alone")
    if flags.show_settings:
        return show.settings(work.config)
    if flags.show_files:
        return show.files(discovery)
    if flags.write_baseline:
        from ebpffix.app import baseline

        everything = baseline.Everything(settings.wanted)
        settings = dataclasses.replace(settings, wanted=everything)
    output = modes.Output(
        format=flags.output_format,
        file=Path(flags.output_file) if flags.output_file else None,
        statistics=flags.statistics,
        quiet=flags.quiet,
        fail_on=Safety(flags.fail_on),
        verbose=flags.verbose,
        colour=_colour(flags.color),
        width=_width(),
        stdin=flags.stdin,
    )
    if flags.repair:
        return _repair(flags, work, output)
    try:
        if flags.watch:
            from ebpffix.app import watch

            return Said(watch.watch(flags.paths or (".",), discovery, settings, work.config))
        if flags.format_patch:
            return modes.format_patch(discovery, settings, Path(flags.format_patch), signoff=flags.signoff)
        with _progress() as bar:
            report = engine.run(discovery, settings, bar)
    except (ConfigError, NoTypes, GitError) as error:  # what only a program's turn shows: its command, its types
        raise Problem(str(error)) from None
    if flags.write_baseline:
        return modes.write_baseline(report, everything.found, Path(flags.write_baseline))
    if flags.step and settings.verifier:
        return modes.step(report, output, settings.verifier, click.echo)
    mode = modes.diff if flags.diff else modes.apply if flags.apply else modes.check
    return mode(report, output)


def _repair(flags: Flags, work: Work, output: Output) -> Said:
    """Search for repairs of what the verifier refuses."""
    from ebpffix.app import repairs
    from ebpffix.app.prepare import verifier_of
    from ebpffix.frontend.environment import NoTypes
    from ebpffix.repair.registry import load_strategies

    mode: repairs.Mode = "diff" if flags.diff else "apply" if flags.apply else "list"
    try:
        strategies = list(load_strategies().values())
        if flags.log:
            with contextlib.nullcontext(sys.stdin.buffer) if flags.log == STDIN else open(flags.log, "rb") as stream:
                return repairs.propose(stream, work.discovery, work.settings, strategies, output)
        verifier = work.settings.verifier or verifier_of(flags, work.settings.cache)
        return repairs.run(work.discovery, work.settings, verifier, strategies, mode, output)
    except (ValueError, OSError, NoTypes) as error:
        raise Problem(str(error)) from None


def _colour(when: str) -> bool:
    """Whether to colour; NO_COLOR (https://no-color.org) and FORCE_COLOR count where the flag leaves it open."""
    if when != "auto":
        return when == "always"
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (sys.stdout.isatty() and os.environ.get("TERM") != "dumb")


def _width() -> int:
    """The columns to use of a terminal; 0 if standard output is none. Longer lines are hard to read."""
    return min(shutil.get_terminal_size().columns, _WIDEST) if sys.stdout.isatty() else 0


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int], object]]:
    """A bar on a terminal, for long work, which is told how many programs of how many are done. A later pass, over what
    a fix changed, begins anew."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return
    with contextlib.ExitStack() as stack:
        bar: Callable[..., object] | None = None

        def told(done: int, of: int) -> None:
            nonlocal bar
            if bar is None and of >= _LONG:
                bar = _bar(stack)
            if bar:
                bar(completed=done, total=of)

        yield told


def _bar(stack: contextlib.ExitStack) -> Callable[..., object]:
    """What moves a bar that ends with the stack."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("analysing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True)
    shown = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
    return functools.partial(shown.update, shown.add_task(""))
