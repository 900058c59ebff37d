"""What a repository says about itself: `ebpffix.toml`, `[tool.ebpffix]` of pyproject.toml, compile_commands.json.

All three come from whoever wrote the pull request that is being checked, so nothing in them can run: there is no key
for a compiler, and of a compile command only the flags that say where headers are and what is defined. Nor do they
lead elsewhere: what they name lies in the project or in a folder of the system.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ebpffix.sources.files import git_root, inside, is_ours, is_pattern, on_disk, reason, root_of
from ebpffix.sources.reach import within
from ebpffix.sources.reader import DATA, SETTINGS, read_file

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

DIALECTS = ("auto", "bcc", "libbpf")
OLDEST_KERNEL = (5, 10)


class ConfigError(Exception):
    """One line for the user: which file, which key, what to do."""


@dataclass(frozen=True)
class Patterns:
    """Patterns of a .gitignore file, relative to the folder `base`."""

    lines: tuple[str, ...] = ()
    base: Path = Path("/")

    @cached_property
    def _spec(self) -> GitIgnoreSpec:
        from pathspec import GitIgnoreSpec

        return GitIgnoreSpec.from_lines(self.lines)

    def match(self, path: Path) -> bool:
        """Do they name this file (an absolute path), or a folder that holds it?"""
        if not self.lines or not inside(str(path), str(self.base)):
            return False
        return self._spec.match_file(os.path.relpath(path, self.base))


@dataclass(frozen=True)
class Config:
    """The settings of a run. Paths are absolute; `file` is where they stand, None if no file says anything.

    `target_kernel` is the oldest kernel to support, as (major, minor). `define` holds `NAME` or `NAME=VALUE`.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    dialect: str = "auto"
    target_kernel: tuple[int, int] = OLDEST_KERNEL
    include: tuple[Path, ...] = ()
    define: tuple[str, ...] = ()
    vmlinux: Path | None = None
    btf: Path | None = None
    compile_commands: Path | None = None
    exclude: Patterns = Patterns()
    per_file_ignores: tuple[tuple[Patterns, tuple[str, ...]], ...] = ()
    unsafe_fixes: bool = False
    baseline: Path | None = None
    file: Path | None = None

    def silences(self, transform: str, path: Path) -> bool:
        """Does `per-file-ignores` say that nothing is to be told of this transform in this file (an absolute path)?"""
        return any(transform in names and patterns.match(path) for patterns, names in self.per_file_ignores)


Tell = Callable[[str], object]  # takes a line for the user
Names = Mapping[str, Sequence[str]]  # what may be written, and the transforms that it means


def load_config(
    paths: Sequence[str | os.PathLike[str]], transforms: Names, tell: Tell, default: Config = Config()
) -> Config:
    """The settings for a run over `paths`, from one file: the nearest to the folder that holds all of them.

    From there upwards, the first folder with an `ebpffix.toml` or with a pyproject.toml that has `[tool.ebpffix]`
    decides; in the same folder the former wins, and a git tree's root is the last folder looked at. Outside of a git
    tree a file of another user is passed over, and told. `transforms` are the names that select and ignore may use, and
    what each means (see `transform.selectable`); the settings have the transforms meant. What no file says is as in
    `default`. ConfigError for anything that is not as it should be.
    """
    absolute = [os.path.abspath(path) for path in paths] or [os.getcwd()]
    folder = on_disk(os.path.commonpath([path if os.path.isdir(path) else os.path.dirname(path) for path in absolute]))
    root = git_root(folder)
    for place in (Path(folder), *Path(folder).parents):
        for name, table in (("ebpffix.toml", ()), ("pyproject.toml", ("tool", "ebpffix"))):
            file = place / name
            if not (root or str(place) == folder) and os.path.lexists(file) and not is_ours(str(file), folder):
                tell(f"{file}: belongs to another user, so it is not read; name the folder to have it read")
                continue
            settings = _table(file, table)
            if settings is not None:
                return _config(settings, file, transforms, default)
        if str(place) == root:
            break
    return default


# The time that tomllib takes for a key grows with the square of its parts.
_LONG_KEY = re.compile(rb"^(?:[^.\n]*\.){1001}", re.MULTILINE)


def _table(path: Path, keys: tuple[str, ...]) -> dict[str, Any] | None:
    """The table under `keys` of a TOML file; None if there is no such file, or no such table in it."""
    try:
        data = read_file(path, SETTINGS)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path}: {reason(error)}; make it readable") from None
    if keys and b"ebpffix" not in data:  # nothing of ours: not ours to complain of either
        return None
    if _LONG_KEY.search(data):
        raise ConfigError(f"{path}: a line with over a thousand dots; write it as several")
    import tomllib

    try:
        table: Any = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        problem = "no UTF-8" if isinstance(error, UnicodeDecodeError) else str(error) or "nested too deep"
        raise ConfigError(f"{path}: not valid TOML: {problem}") from None
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    if table is not None and not isinstance(table, dict):
        raise ConfigError(f"{path}: {'.'.join(keys)} must be a table")
    return table


def _config(settings: dict[str, Any], file: Path, transforms: Names, default: Config) -> Config:
    values: dict[str, Any] = {"file": file}
    for key, value in settings.items():
        read = _KEYS.get(key)
        if read is None:
            raise ConfigError(f"{file}: unknown key {key!r}; {hint(key, _KEYS, 'known are')}")
        try:
            values[key.replace("-", "_")] = read(value, file.parent)
        except ValueError as error:
            raise ConfigError(f"{file}: {key}: {error}") from None
    for key in ("select", "ignore"):
        if key in values:
            values[key] = named(values[key], transforms, f"{file}: {key}")
    values["per_file_ignores"] = tuple(
        (pattern, named(names, transforms, f"{file}: per-file-ignores"))
        for pattern, names in values.get("per_file_ignores", ())
    )
    return replace(default, **values)


def hint(name: str, known: Collection[str], otherwise: str) -> str:
    """What a misspelt name was probably meant to be; else all that there are, after `otherwise`."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"{otherwise} {', '.join(known)}"


def named(names: Sequence[str], transforms: Names, where: str) -> tuple[str, ...]:
    """The transforms that `names` mean. ConfigError, beginning with `where`, for the first that means none."""
    for name in names:
        if name not in transforms:
            raise ConfigError(f"{where}: no transform {name!r}; {hint(name, transforms, 'there are')}")
    return tuple(dict.fromkeys(transform for name in names for transform in transforms[name]))


def parse_kernel(text: str) -> tuple[int, int]:
    """`"5.10"` as (5, 10). ValueError for anything but two numbers with a dot."""
    match = re.fullmatch(r"([1-9][0-9]{0,2})\.([0-9]{1,3})", text, re.ASCII)
    if not match:
        raise ValueError(f"{text!r} is no kernel version such as 5.10")
    return int(match[1]), int(match[2])


def _text(value: Any, _: Path) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a string, not {_kind(value)}")
    if not value or "\0" in value:
        raise ValueError("must be a string that is not empty")
    return value


def _list(value: Any, base: Path) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f"must be a list of strings, not {_kind(value)}")
    return tuple(_text(item, base) for item in value)


def _path(value: Any, base: Path) -> Path:
    path = Path(os.path.normpath(base / _text(value, base)))
    if not within(path, git_root(str(base)) or base):
        raise ValueError(f"{value!r} lies outside of the project; name it on the command line")
    return path


def _paths(value: Any, base: Path) -> tuple[Path, ...]:
    return tuple(_path(item, base) for item in _list(value, base))


def _bool(value: Any, _: Path) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {_kind(value)}")
    return value


def _dialect(value: Any, base: Path) -> str:
    if _text(value, base) not in DIALECTS:
        raise ValueError(f"{value!r} is none of {', '.join(DIALECTS)}")
    return str(value)


def _kernel(value: Any, base: Path) -> tuple[int, int]:
    if isinstance(value, float):
        raise ValueError('must be a string, such as "5.10" (as numbers 5.1 and 5.10 are the same)')
    return parse_kernel(_text(value, base))


def _defines(value: Any, base: Path) -> tuple[str, ...]:
    return check_defines(_list(value, base))


def check_defines(items: Sequence[str]) -> tuple[str, ...]:
    """`items` as they are; ValueError for the first that defines no macro."""
    for item in items:
        if not _DEFINE.fullmatch(item):
            raise ValueError(f"{item!r} is neither NAME nor NAME=VALUE")
    return tuple(items)


def _patterns(value: Any, base: Path) -> Patterns:
    return patterns(_list(value, base), base)


def patterns(lines: Sequence[str], base: Path) -> Patterns:
    """ValueError for the first of `lines` that is no pattern."""
    for line in lines:
        if not line.strip() or not is_pattern(line):
            raise ValueError(f"{line!r} is no pattern of a .gitignore file")
    return Patterns(tuple(lines), base)


def _per_file(value: Any, base: Path) -> tuple[tuple[Patterns, tuple[str, ...]], ...]:
    if not isinstance(value, dict):
        raise ValueError(f"must be a table from patterns to lists of transforms, not {_kind(value)}")
    return tuple((patterns([pattern], base), _list(names, base)) for pattern, names in value.items())


def _kind(value: Any) -> str:
    kinds = {bool: "a boolean", str: "a string", int: "a number", float: "a number", list: "a list", dict: "a table"}
    return kinds.get(type(value), "a date")


_DEFINE = re.compile(r"[A-Za-z_]\w*(?:\([\w, .]*\))?(?:=[^\r\n]*)?", re.ASCII)

_KEYS: dict[str, Callable[[Any, Path], Any]] = {
    "select": _list,
    "ignore": _list,
    "dialect": _dialect,
    "target-kernel": _kernel,
    "include": _paths,
    "define": _defines,
    "vmlinux": _path,
    "btf": _path,
    "compile-commands": _path,
    "exclude": _patterns,
    "per-file-ignores": _per_file,
    "unsafe-fixes": _bool,
    "baseline": _path,
}


def find_compile_commands(root: Path) -> Path | None:
    """The compile_commands.json at a project's root or in its `build/`."""
    places = (root / "compile_commands.json", root / "build" / "compile_commands.json")
    return next((path for path in places if path.is_file() and is_ours(str(path), str(root))), None)


class CompileCommands:
    """A compile_commands.json, read when it is first asked. `tell` hears, once, of each value that is left out."""

    def __init__(self, path: Path, tell: Tell) -> None:
        self.path = path
        self._tell = tell
        self._told: set[str] = set()

    def compile_flags(self, path: Path) -> list[str]:
        """The flags of the first entry for `path` (absolute) that are safe to take over; [] without an entry.

        ConfigError for a file that is not there or is not what it should be.
        """
        entry = self._entries.get(os.path.normpath(path))
        if entry is None:
            return []
        argv = entry.get("arguments")
        if argv is None:
            import shlex

            try:
                argv = shlex.split(entry["command"])
            except ValueError as error:
                raise ConfigError(f"{self.path}: the command for {path} cannot be split: {error}") from None
        flags = safe_flags(argv[1:], Path(entry["directory"]), (root_of(path), self.path.parent))
        for line in flags.left_out:
            if line not in self._told:
                self._told.add(line)
                self._tell(f"{self.path}: left out: {line}")
        return flags.taken

    @cached_property
    def _entries(self) -> dict[str, dict[str, Any]]:
        import json

        try:
            entries = json.loads(read_file(self.path, DATA))
        except OSError as error:
            raise ConfigError(f"{self.path}: {reason(error)}; check the path") from None
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{self.path}: not valid JSON: {error}") from None
        if not isinstance(entries, list):
            raise ConfigError(f"{self.path}: must be a list of compile commands")
        found: dict[str, dict[str, Any]] = {}
        for number, entry in enumerate(entries, 1):
            if not _is_entry(entry):
                raise ConfigError(
                    f"{self.path}: entry {number} needs the strings directory, file, and arguments or command"
                )
            # A relative directory is against the format, but CMake's users write it.
            entry["directory"] = os.path.join(self.path.parent.absolute(), entry["directory"])
            found.setdefault(os.path.normpath(os.path.join(entry["directory"], entry["file"])), entry)
        return found


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("directory", "file")):
        return False
    argv = entry.get("arguments")
    if argv is None:
        return isinstance(entry.get("command"), str)
    return isinstance(argv, list) and all(isinstance(word, str) for word in argv)


_VALUED = ("-isystem", "-iquote", "-include", "-target", "-I", "-D", "-U")
_ALONE = re.compile(
    r"-std=[\w+:.-]+|-m(?:cpu|arch|tune|abi|float-abi)=[\w.+-]+|-m(?:16|32|64|x32|alu32|little-endian|big-endian)"
    r"|--target=[\w.-]+",
    re.ASCII,
)
_SYSTEM_HEADERS = Path("/usr/include")


class Flags(NamedTuple):
    """What is taken of a compile command, and one line for each value that was not, though its flag is known."""

    taken: list[str]
    left_out: list[str]


def safe_flags(argv: Sequence[str], folder: Path, trees: Sequence[Path]) -> Flags:
    """The words of a compile command, without the compiler, that say where headers are and what is defined.

    Taken: -I -isystem -iquote -D -U -include -std -m… -target, and nothing else: no plugin, no response file, no
    precompiled header, nothing for the code generator. What a path names, relative to `folder`, is made absolute, so
    it cannot be read as another flag; it must be there, and `within` one of `trees`.
    """
    taken: list[str] = []
    left_out: list[str] = []
    places = [folder]  # where a header is looked for
    for flag, value in _split_words(argv):
        if _ALONE.fullmatch(flag):
            taken.append(flag)
        elif flag.startswith("@"):
            left_out.append(f"{flag} (a file of arguments)")
        elif value is None:
            continue
        elif value.startswith(("@", "-")):
            left_out.append(f"{flag} {value} (reads as another flag)")
        elif flag in ("-I", "-isystem", "-iquote", "-include"):
            header = flag == "-include"
            path = _found(value, [*places, _SYSTEM_HEADERS]) if header else os.path.normpath(folder / value)
            if not within(path, *trees):
                left_out.append(f"{flag} {value} (outside of the project; -I names folders)")
            elif header and not os.path.isfile(path):
                left_out.append(f"{flag} {value} (no such file)")
            elif header or os.path.isdir(path):
                taken += [flag, path]
                places += [] if header else [Path(path)]
        elif flag == "-target":
            taken += [f"--target={value}"] if re.fullmatch(r"[\w.-]+", value, re.ASCII) else []
        elif _DEFINE.fullmatch(value):
            taken.append(flag + value)
    return Flags(taken, left_out)


def _split_words(argv: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Flags with their values, whether these are one word with them or the next; other words alone."""
    words = iter(argv)
    for word in words:
        if "\0" in word:
            continue
        flag = next((flag for flag in _VALUED if word.startswith(flag)), None)
        if flag in ("-include", "-target") and word != flag:  # -include-pch is another
            flag = None
        value = (word[len(flag) :] or next(words, "")) if flag else None
        if value is None or (value and "\0" not in value):
            yield flag or word, value


def _found(name: str, places: Sequence[Path]) -> str:
    """A header as the compiler looks for it: in its current folder first, then as for an include."""
    paths = [os.path.normpath(place / name) for place in places]
    return next(filter(os.path.isfile, paths), paths[0])
