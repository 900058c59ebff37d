"""Flags to a run, nothing else.

Only click is imported at the top: `--version` and `--help` answer at once, and a mistake in a flag costs no analysis.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ebpffix import __version__
from ebpffix.report import FORMATS
from ebpffix.shown import visible

if TYPE_CHECKING:
    from ebpffix.app.config import Config
    from ebpffix.rewriting.found import Found
    from ebpffix.run.settings import Settings
    from ebpffix.sources.discover import Discovery
    from ebpffix.sources.source import Source
    from ebpffix.transform import Registered
    from ebpffix.verify.session import Verifier

_STDIN = "-"


def fail(message: str) -> NoReturn:
    """One line on standard error, and exit 2."""
    _tell(message)
    raise SystemExit(2)


def _tell(line: str) -> None:
    """One line on standard error."""
    click.echo(f"ebpffix: {visible(line)}", err=True)


def _names(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("paths", nargs=-1)
@click.option("--diff", is_flag=True, help="Print one diff of all safe fixes; write nothing.")
@click.option("--apply", is_flag=True, help="Write the safe fixes.")
@click.option("--unsafe-fixes", is_flag=True, default=None, help="Take the suggested fixes too.")
@click.option("--verify", is_flag=True, help="Compile and load each touched program before and after.")
@click.option("--repair", is_flag=True, help="Repair programs that the verifier refuses; with --diff, --apply, alone.")
@click.option("--cap-bpf", is_flag=True, help="With --verify: load with CAP_BPF alone too.")
@click.option("--clang", metavar="C", help="With --verify: the compiler; else $CLANG, else the one on the path.")
@click.option("--step", is_flag=True, help="With --apply --verify: one fix at a time; undo one that does harm.")
@click.option("--watch", is_flag=True, help="On each save: analyse, and with --verify compile and load.")
@click.option(
    "--log", metavar="FILE", help="Explain a verifier log; `-` is standard input. PATHS may have objects (.o)."
)
@click.option("--select", multiple=True, callback=_names, metavar="T,…", help="Only these transforms.")
@click.option("--ignore", multiple=True, callback=_names, metavar="T,…", help="Not these transforms.")
@click.option("--dialect", type=click.Choice(["auto", "bcc", "libbpf"]), help="Read all programs so.")
@click.option("--target-kernel", metavar="VERSION", help="The oldest kernel to support; 5.10 unless set.")
@click.option("-I", "include", multiple=True, metavar="DIR", help="Look for headers there first.")
@click.option("-D", "define", multiple=True, metavar="NAME[=VALUE]", help="Define a macro.")
@click.option("--vmlinux", metavar="H", help="The vmlinux.h to take kernel types from.")
@click.option("--btf", metavar="FILE", help="The BTF to take kernel types from; else the running kernel's.")
@click.option("--compile-commands", metavar="FILE", help="A compile_commands.json with the project's flags.")
@click.option("--changed-lines", metavar="DIFF", help="Only findings on lines that this diff adds or changes.")
@click.option("--diff-base", metavar="REV", help="Only findings on lines changed since the merge base with REV.")
@click.option("--baseline", metavar="F", help="Not the findings in this file.")
@click.option("--write-baseline", metavar="F", help="Write all findings to a file for --baseline.")
@click.option("--output-format", type=click.Choice(["text", *FORMATS]), default="text", help="The report's format.")
@click.option("--output-file", metavar="F", help="Write the report there.")
@click.option("-v", "--verbose", is_flag=True, help="Show where the pointers come from that findings are about.")
@click.option("--statistics", is_flag=True, help="Count findings by transform.")
@click.option("--format-patch", metavar="DIR", help="Write a series for `git am` there, one patch a transform.")
@click.option("--explain", metavar="T", help="Print a transform's page.")
@click.option("--transforms", "list_transforms", is_flag=True, help="List the transforms.")
@click.option("--jobs", type=click.IntRange(1), metavar="N", help="Threads; one a processor unless set.")
@click.option("--no-cache", is_flag=True, help="Keep nothing on disk, and use nothing that is there.")
@click.option("--stdin-filename", metavar="F", help="The name that standard input has, with `-`.")
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="Colour the output.")
@click.version_option(__version__, prog_name="ebpffix")
def command(**flags: Any) -> None:
    """Find risky patterns in eBPF C (BCC and libbpf) and rewrite them into the known-good form.

    PATHS are files or folders, the current folder unless given; `-` is standard input. Without --diff or --apply the
    findings are listed. Exit: 0 nothing found, 1 something, 2 an error.
    """
    if sys.stdout is None:  # closed
        fail("standard output is closed; send it where it can be written")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name need not be what the locale can write
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    if flags["list_transforms"]:
        return _list_transforms()
    if flags["explain"]:
        return _explain(flags["explain"])
    if flags["log"]:
        return _log(flags)
    return _check(flags)


def main() -> None:
    """The command; a mistake in its flags is one line on standard error, and exit 2."""
    try:
        raise SystemExit(command.main(prog_name="ebpffix", standalone_mode=False))
    except click.ClickException as error:
        fail(f"{error.format_message()}; see ebpffix --help")
    except click.Abort:
        raise SystemExit(130) from None
    except Exception as error:
        at = error.__traceback__
        while at and at.tb_next:
            at = at.tb_next
        where = f" at {at.tb_frame.f_globals.get('__name__')}:{at.tb_lineno}" if at else ""
        fail(f"a mistake of ebpffix ({type(error).__name__}: {error}{where}); please report it with what you ran")


def _log(flags: dict[str, Any]) -> None:
    """Explain a verifier log from anywhere."""
    from ebpffix.report import rejection

    objects = {path: _object(path) for path in flags["paths"] if path.endswith(".o")}
    sources = _sources(tuple(path for path in flags["paths"] if path not in objects))
    given = "standard input" if flags["log"] == _STDIN else flags["log"]
    try:
        with contextlib.nullcontext(sys.stdin.buffer) if flags["log"] == _STDIN else open(given, "rb") as stream:
            raise SystemExit(rejection.explain(stream, sources, list(objects.values())))
    except OSError as error:
        fail(f"{given}: {error.strerror}; check the path")
    except rejection.NoLog as error:
        fail(f"{given}: {error}; give what libbpf, bpftool or BCC printed when the load failed")


def _object(path: str) -> bytes:
    """A compiled program with a line table."""
    from ebpffix.verify import lineinfo, objects

    try:
        data = Path(path).read_bytes()
        lineinfo.check(data)
        objects.programs(data)
    except OSError as error:
        fail(f"{path}: {error.strerror}; check the path")
    except ValueError as error:
        fail(f"{path}: {error}; compile it with `clang -g -target bpf`")
    return data


def _sources(paths: tuple[str, ...]) -> list[Source]:
    """The programs and headers that a log's lines may come from: in the paths, else in the current folder."""
    from ebpffix.sources.discover import discover
    from ebpffix.sources.source import Source

    found = discover(paths or ["."])
    for line in found.errors:
        fail(line)
    named = [Source.read(path) for path in found.skipped]
    files = dict.fromkeys([*(p.file for p in found.programs), *(h.path for h in found.headers)])
    return [*named, *map(Source.read, files)]


def _list_transforms() -> None:
    from ebpffix.transform import BUILT_IN

    for transform in _load_transforms().values():
        facts = transform.facts
        origin = "" if transform.distribution == BUILT_IN else f" (of {transform.distribution})"
        click.echo(f"{facts.name:22} {', '.join(facts.dialects):12} {facts.summary}{origin}")


def _tell_of_others(chosen: Iterable[Registered]) -> None:
    """Whose code runs, besides ours."""
    from ebpffix.transform import BUILT_IN

    others = [f"{t.facts.name} (of {t.distribution})" for t in chosen if t.distribution != BUILT_IN]
    if others:
        _tell(f"with {', '.join(others)}")


def _explain(name: str) -> None:
    from ebpffix.report import explain

    known = _load_transforms()
    if name not in known:
        fail(f"--explain {name}: no such transform; there are {', '.join(known)}")
    click.echo(explain.page(known[name]))


def _load_transforms() -> dict[str, Registered]:
    from ebpffix.transform import load_transforms

    try:
        return load_transforms()
    except (ValueError, ImportError) as error:
        fail(f"a transform cannot be loaded: {error}; reinstall the package that brings it")


def _check(flags: dict[str, Any]) -> None:
    """The run itself, for every mode."""
    from ebpffix.app import modes
    from ebpffix.app.config import ConfigError
    from ebpffix.frontend.environment import NoTypes
    from ebpffix.run import engine
    from ebpffix.sources.git import GitError

    for flag, needs in (("cap_bpf", "verify"), ("clang", "verify"), ("step", "apply"), ("step", "verify")):
        if flags[flag] and not flags[needs] and not (flags["repair"] and needs == "verify"):
            raise click.UsageError(f"--{flag.replace('_', '-')} goes with --{needs}")
    modes_given = [mode for mode in ("diff", "apply", "format_patch", "write_baseline", "watch") if flags[mode]]
    if len(modes_given) > 1:
        names = " and ".join(f"--{mode.replace('_', '-')}" for mode in modes_given)
        raise click.UsageError(f"{names} exclude each other: give one of them")
    if flags["watch"] and _STDIN in flags["paths"]:
        raise click.UsageError("--watch follows files: leave `-` out")
    known = _load_transforms()
    try:
        config = _config(flags, known)
        discovery, contents = _discover(flags, config)
        settings = _settings(flags, config, known, contents)
    except (ConfigError, OSError, ValueError) as error:
        fail(str(error))
    for line in discovery.errors:
        _tell(line)
    _tell_of_others(settings.transforms.values())
    if discovery.skipped:
        others = f" and {len(discovery.skipped) - 1} more" if len(discovery.skipped) > 1 else ""
        _tell(f"{discovery.skipped[0]}{others}: no eBPF C by its looks, left alone")
    if flags["write_baseline"]:
        from ebpffix.app import baseline

        everything = baseline.Everything()
        settings = dataclasses.replace(settings, wanted=everything)
    if flags["repair"]:
        raise SystemExit(_repair(flags, discovery, settings, contents))
    try:
        if flags["watch"]:
            from ebpffix.app import watch

            raise SystemExit(watch.watch(flags["paths"] or (".",), discovery, settings, config))
        if flags["format_patch"]:
            raise SystemExit(modes.format_patch(discovery, settings, Path(flags["format_patch"])))
        with _progress(len(discovery.programs)) as bar:
            report = engine.run(discovery, settings, bar)
    except (ConfigError, NoTypes, GitError) as error:  # what only a program's turn shows: its command, its types
        fail(str(error))
    if flags["write_baseline"]:
        raise SystemExit(modes.write_baseline(report, everything.found, Path(flags["write_baseline"])))
    mode = modes.diff if flags["diff"] else modes.apply if flags["apply"] else modes.check
    output = modes.Output(
        format=flags["output_format"],
        file=Path(flags["output_file"]) if flags["output_file"] else None,
        statistics=flags["statistics"],
        verbose=flags["verbose"],
        colour=_colour(flags["color"]),
        stdin=bool(contents),
    )
    if flags["step"] and settings.verifier:
        raise SystemExit(modes.step(report, output, settings.verifier))
    raise SystemExit(mode(report, output))


def _repair(flags: dict[str, Any], discovery: Discovery, settings: Settings, contents: dict[Path, bytes]) -> int:
    """Search for repairs of what the verifier refuses."""
    from ebpffix.app import modes, repairs
    from ebpffix.frontend.environment import NoTypes
    from ebpffix.repair.registry import load_strategies

    output = modes.Output(
        format=flags["output_format"],
        file=Path(flags["output_file"]) if flags["output_file"] else None,
        stdin=bool(contents),
    )
    if output.format not in ("text", "json"):
        raise click.UsageError("--repair reports as text or json")
    mode: repairs.Mode = "diff" if flags["diff"] else "apply" if flags["apply"] else "list"
    try:
        strategies = list(load_strategies().values())
        return repairs.run(discovery, settings, _verifier(flags, settings.cache), strategies, mode, output)
    except (ValueError, OSError, NoTypes) as error:
        fail(str(error))


def _config(flags: dict[str, Any], known: Collection[str]) -> Config:
    """The nearest configuration file with the flags over it."""
    from ebpffix.app.config import check_defines, check_transforms, load_config, parse_kernel

    given: dict[str, Any] = {
        name: flags[name] for name in ("select", "ignore", "dialect", "define", "unsafe_fixes") if flags[name]
    }
    check_defines(flags["define"])
    for name in ("select", "ignore"):
        check_transforms(flags[name], known, f"--{name}")
    if flags["target_kernel"]:
        given["target_kernel"] = parse_kernel(flags["target_kernel"])
    for name in ("vmlinux", "btf", "compile_commands", "baseline"):
        if flags[name]:
            given[name] = _existing(flags[name], f"--{name.replace('_', '-')}")
    if flags["include"]:
        given["include"] = tuple(_existing(folder, "-I") for folder in flags["include"])
    named = [flags["stdin_filename"] if path == _STDIN else path for path in flags["paths"]]
    config = load_config([path for path in named if path], known, _tell)
    return dataclasses.replace(config, **given)


def _existing(name: str, flag: str) -> Path:
    if not os.path.exists(name):
        raise ValueError(f"{flag} {name}: there is no such file; check the path")
    return Path(os.path.abspath(name))


def _discover(flags: dict[str, Any], config: Config) -> tuple[Discovery, dict[Path, bytes]]:
    """The files of the run, and the text of standard input under the name that it was given."""
    from ebpffix.sources.discover import Discovery, discover

    paths = list(flags["paths"]) or ["."]
    if _STDIN not in paths:
        if flags["stdin_filename"]:
            raise click.UsageError("--stdin-filename goes with `-` as the path")
        found = discover(paths, dialect=config.dialect, include_dirs=config.include, exclude=config.excludes)
        return found, {}
    if len(paths) > 1:
        raise click.UsageError("`-` is read alone: leave the other paths out")
    path = Path(os.path.abspath(flags["stdin_filename"] or "stdin.bpf.c"))
    text = {path: sys.stdin.buffer.read()}
    return Discovery.of_text(path, text[path], config.dialect), text


def _settings(
    flags: dict[str, Any], config: Config, known: dict[str, Registered], contents: dict[Path, bytes]
) -> Settings:
    from ebpffix.frontend.environment import Environment, Options
    from ebpffix.run.settings import Settings

    chosen = {n: t for n, t in known.items() if (not config.select or n in config.select) and n not in config.ignore}
    cache = None if flags["no_cache"] else _cache_folder()
    options = Options(
        target_kernel=config.target_kernel,
        include_dirs=config.include,
        defines=config.define,
        vmlinux=config.vmlinux,
        btf=config.btf,
        cache=cache,
        given=_given(flags),
    )
    return Settings(
        transforms=chosen,
        known=frozenset(known),
        environment=Environment(options),
        jobs=flags["jobs"] or len(os.sched_getaffinity(0)),
        cache=cache,
        unsafe=config.unsafe_fixes,
        wanted=_wanted(flags, config, contents),
        flags=_compile_flags(config),
        contents=contents,
        verifier=_verifier(flags, cache) if flags["verify"] else None,
        stepwise=flags["step"],
    )


def _given(flags: dict[str, Any]) -> tuple[Path, ...]:
    """What the user pointed at by a flag, where a configuration file may come from a stranger."""
    named = [*flags["include"], *(flags[name] for name in ("vmlinux", "btf") if flags[name])]
    if flags["compile_commands"]:
        named.append(os.path.dirname(os.path.abspath(flags["compile_commands"])))
    return tuple(Path(os.path.abspath(name)) for name in named)


def _verifier(flags: dict[str, Any], cache: Path | None) -> Verifier:
    import atexit

    from ebpffix.verify.session import Verifier

    verifier = Verifier(clang=flags["clang"], cap_bpf=flags["cap_bpf"], cache=cache)
    atexit.register(verifier.close)
    return verifier


def _compile_flags(config: Config) -> Callable[[Path], list[str]]:
    """The flags of a program out of the compile_commands.json that was given, else of the one in its project."""
    from ebpffix.app.config import CompileCommands, find_compile_commands
    from ebpffix.sources.files import root_of

    @functools.cache
    def commands(path: Path | None) -> CompileCommands | None:
        return CompileCommands(path, _tell) if path else None

    @functools.cache
    def of_root(root: Path) -> CompileCommands | None:
        return commands(config.compile_commands or find_compile_commands(root))

    def flags(program: Path) -> list[str]:
        found = of_root(root_of(program))
        return found.compile_flags(program) if found else []

    return flags


def _cache_folder() -> Path:
    given = os.environ.get("EBPFFIX_CACHE_DIR")
    if given:
        return Path(os.path.abspath(given))
    import platformdirs

    return Path(platformdirs.user_cache_dir("ebpffix"))


def _wanted(flags: dict[str, Any], config: Config, contents: dict[Path, bytes]) -> Callable[[Found], bool]:
    """Whether a finding counts: with --changed-lines or --diff-base, those that overlap a changed line; with a
    baseline, those that are not in it."""
    from ebpffix.app import changed_lines as scope

    if flags["changed_lines"] and flags["diff_base"]:
        raise click.UsageError("--changed-lines and --diff-base say the same twice: give one of them")
    filters: list[Callable[[Found], bool]] = []
    if flags["changed_lines"]:
        filters.append(scope.of_diff(Path(flags["changed_lines"]), contents))
    if flags["diff_base"]:
        filters.append(scope.since(flags["diff_base"], contents))
    if config.baseline and not flags["write_baseline"]:
        from ebpffix.app import baseline

        filters.append(baseline.outside(config.baseline, contents))
    return lambda found: all(wanted(found) for wanted in filters)


def _colour(when: str) -> bool:
    if when == "auto":
        return sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return when == "always"


@contextlib.contextmanager
def _progress(programs: int) -> Iterator[Callable[[int], object]]:
    """A bar on a terminal, for long work."""
    if not sys.stderr.isatty() or programs < 20:
        yield lambda count: None
        return
    with click.progressbar(length=programs, label="analysing", file=sys.stderr) as bar:
        yield bar.update
