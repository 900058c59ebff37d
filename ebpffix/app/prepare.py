"""From flags and configuration files to what a run works on, and what it is asked to do."""

from __future__ import annotations

import atexit
import dataclasses
import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ebpffix.app import changed_lines as scope
from ebpffix.app.config import (
    CompileCommands,
    Config,
    check_defines,
    find_compile_commands,
    load_config,
    named,
    parse_kernel,
    patterns,
)
from ebpffix.app.flags import STDIN, Flags
from ebpffix.frontend.environment import Environment, Options
from ebpffix.rewriting.found import Found
from ebpffix.run.settings import Settings
from ebpffix.sources.discover import Discovery, discover
from ebpffix.sources.files import git_root, inside, root_of
from ebpffix.transform import DEFAULT, Registered, selectable

if TYPE_CHECKING:
    from ebpffix.verify.guest.images import Image
    from ebpffix.verify.session import Verifier

Tell = Callable[[str], None]  # one line for the user, about what does not stop the run


@dataclass(frozen=True)
class Work:
    """All that a mode needs."""

    config: Config
    discovery: Discovery
    settings: Settings


def prepare(
    flags: Flags, known: Mapping[str, Registered], tell: Tell, texts: Mapping[Path, bytes] | None = None
) -> Work:
    """The work that was asked for. `texts` are what files hold instead of what is on the disk, by path behind links.
    ConfigError, GitError, OSError and ValueError are one line each for the user."""
    cache = None if flags.no_cache else cache_folder(tell)
    images = kernel_images(flags, tell)
    config = _config(flags, known, tell, images)
    discovery, contents = _discover(flags, config, texts or {})
    return Work(config, discovery, _settings(flags, config, known, contents, tell, cache, images))


def kernel_images(flags: Flags, tell: Tell) -> Sequence[Image]:
    """The other kernels that were asked for, the oldest first; those that were fetched too, whatever --no-cache says of
    results. ValueError where there is no such image, or no qemu."""
    if not (flags.kernels or flags.kernel):
        return ()
    from ebpffix.verify import CannotVerify
    from ebpffix.verify.guest import images, machine

    found = images.find(flags.kernels, [_existing(name, "--kernel") for name in flags.kernel], cache_folder(tell))
    try:
        if found:
            machine.find_qemu()
    except CannotVerify as error:
        raise ValueError(str(error)) from None
    return found


def _config(flags: Flags, known: Mapping[str, Registered], tell: Tell, images: Sequence[Image]) -> Config:
    """The nearest configuration file with the flags over it. The oldest of the kernels to load in is the target, unless
    another was set."""
    given: dict[str, Any] = {
        name: getattr(flags, name) for name in ("dialect", "define", "unsafe_fixes") if getattr(flags, name)
    }
    check_defines(flags.define)
    transforms = selectable(known)
    for name in ("select", "ignore"):
        if getattr(flags, name):
            given[name] = named(getattr(flags, name), transforms, f"--{name}")
    if flags.target_kernel:
        given["target_kernel"] = parse_kernel(flags.target_kernel)
    for name in ("vmlinux", "btf", "compile_commands", "baseline"):
        if getattr(flags, name):
            given[name] = _existing(getattr(flags, name), f"--{name.replace('_', '-')}")
    if flags.include:
        given["include"] = tuple(_existing(folder, "-I") for folder in flags.include)
    if flags.exclude:
        given["exclude"] = patterns(flags.exclude, Path.cwd())
    paths = [flags.stdin_filename if path == STDIN else path for path in flags.paths]
    default = Config(target_kernel=images[0].version) if images else Config()
    config = load_config([path for path in paths if path], transforms, tell, default)
    return dataclasses.replace(config, **given)


def _existing(name: str, flag: str) -> Path:
    if not os.path.exists(name):
        raise ValueError(f"{flag} {name}: there is no such file; check the path")
    return Path(os.path.abspath(name))


def _discover(flags: Flags, config: Config, texts: Mapping[Path, bytes]) -> tuple[Discovery, Mapping[Path, bytes]]:
    """The files of the run, and the texts that take the place of files: that of standard input has the name that it was
    given."""
    if not flags.stdin:
        paths = flags.paths or (".",)
        found = discover(
            paths,
            dialect=config.dialect,
            include_dirs=config.include,
            exclude=config.exclude.match,
            force_exclude=flags.force_exclude,
            texts=texts,
        )
        return found, texts
    path = Path(os.path.abspath(flags.stdin_filename or "stdin.bpf.c"))
    text = sys.stdin.buffer.read()
    if not text.strip() or (flags.force_exclude and config.exclude.match(path)):  # an editor's empty buffer
        return Discovery(), {path: text}
    return Discovery.of_text(path, text, config.dialect), {path: text}


def _settings(
    flags: Flags,
    config: Config,
    known: Mapping[str, Registered],
    contents: Mapping[Path, bytes],
    tell: Tell,
    cache: Path | None,
    images: Sequence[Image],
) -> Settings:
    selected = config.select or selectable(known).get(DEFAULT, ())
    chosen = {n: t for n, t in known.items() if n in selected and n not in config.ignore}
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
        jobs=flags.jobs or len(os.sched_getaffinity(0)),
        cache=cache,
        unsafe=config.unsafe_fixes,
        wanted=_wanted(flags, config, contents),
        flags=_compile_flags(config, tell),
        contents=contents,
        verifier=verifier_of(flags, cache, images) if flags.verify or images else None,
        stepwise=flags.step,
    )


def _given(flags: Flags) -> tuple[Path, ...]:
    """What the user pointed at by a flag, where a configuration file may come from a stranger."""
    named = [*flags.include, *(getattr(flags, name) for name in ("vmlinux", "btf") if getattr(flags, name))]
    if flags.compile_commands:
        named.append(os.path.dirname(os.path.abspath(flags.compile_commands)))
    return tuple(Path(os.path.abspath(name)) for name in named)


def verifier_of(flags: Flags, cache: Path | None, images: Sequence[Image] = ()) -> Verifier:
    """What compiles and loads; it ends with the process."""
    from ebpffix.verify.guest.images import HOST
    from ebpffix.verify.session import Verifier

    verifier = Verifier(
        clang=flags.clang,
        cap_bpf=flags.cap_bpf,
        cache=cache,
        images=images,
        here=not images or HOST in flags.kernels,
        tells_kernels=bool(flags.kernels or flags.kernel),
    )
    atexit.register(verifier.close)
    return verifier


def _compile_flags(config: Config, tell: Tell) -> Callable[[Path], list[str]]:
    """The flags of a program out of the compile_commands.json that was given, else of the one in its project."""

    @functools.cache
    def commands(path: Path | None) -> CompileCommands | None:
        return CompileCommands(path, tell) if path else None

    @functools.cache
    def of_root(root: Path) -> CompileCommands | None:
        return commands(config.compile_commands or find_compile_commands(root))

    def flags(program: Path) -> list[str]:
        found = of_root(root_of(program))
        return found.compile_flags(program) if found else []

    return flags


def cache_folder(tell: Tell) -> Path | None:
    """The folder for what is kept; None, and a line that says why, if none can be trusted."""
    import platformdirs

    from ebpffix.run.cache import refusal

    given = os.environ.get("EBPFFIX_CACHE_DIR")
    folder = Path(os.path.abspath(given) if given else platformdirs.user_cache_dir("ebpffix"))
    tree = git_root(os.getcwd()) if given else None
    if tree and inside(os.path.realpath(folder), os.path.realpath(tree)):
        why = "lies in the project, which could bring results of its own; name a folder outside of it"
    else:
        why = refusal(folder)
    if why:
        tell(f"{folder}: {why}: nothing is kept there, and nothing read from there")
    return None if why else folder


def _wanted(flags: Flags, config: Config, contents: Mapping[Path, bytes]) -> Callable[[Found], bool]:
    """Whether a finding counts: what the configuration silences in its file does not; with --changed-lines or
    --diff-base, those that overlap a changed line; with a baseline, those that are not in it."""
    filters: list[Callable[[Found], bool]] = []
    if config.per_file_ignores:
        filters.append(lambda found: not config.silences(found.transform, found.fix.at.path))
    if flags.changed_lines:
        filters.append(scope.of_diff(Path(flags.changed_lines), contents))
    if flags.diff_base:
        filters.append(scope.since(flags.diff_base, flags.paths, contents))
    if config.baseline and not flags.write_baseline:
        from ebpffix.app import baseline

        filters.append(baseline.outside(config.baseline, contents))
    return lambda found: all(wanted(found) for wanted in filters)
