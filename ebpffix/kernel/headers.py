"""The kernel headers on this machine that BCC compiles with: where they are, and which structs they define."""

from __future__ import annotations

import functools
import platform
import re
from collections.abc import Iterator
from pathlib import Path

_SOURCES = Path("/usr/src")
_MODULES = Path("/lib/modules")


def is_whole(folder: Path) -> bool:
    """Whether a folder has all that BCC compiles with: Debian's packages have half each."""
    return all((folder / "include" / n).exists() for n in ("linux/kconfig.h", "generated/autoconf.h"))


def build_folder() -> Path | None:
    """The running kernel's build folder, if the headers in it are whole."""
    build = _MODULES / platform.release() / "build"
    return build if is_whole(build) else None


def split_packages() -> tuple[Path, Path] | None:
    """Debian's two packages of headers, (common, of the machine), the newest first; BCC wants them merged."""
    for common in sorted(_SOURCES.glob("linux-headers-*-common"), reverse=True):
        release = common.name.removesuffix("-common")
        for machine in sorted(common.parent.glob(f"{release}-*")):
            if machine != common and (machine / "include/generated").is_dir():
                return common, machine
    return None


def folders() -> tuple[Path, ...]:
    """The folders of headers that a BCC program on this machine can include; none without headers."""
    build = build_folder()
    return (build,) if build else split_packages() or ()


# Where the kernel's own build looks for a header, in its order.
_ARCH = "arch/x86" if platform.machine() == "x86_64" else f"arch/{platform.machine()}"
_PARTS = (
    f"{_ARCH}/include", f"{_ARCH}/include/generated", "include", f"{_ARCH}/include/uapi",
    f"{_ARCH}/include/generated/uapi", "include/uapi", "include/generated/uapi",
)  # fmt: skip
_INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"\n]+)[>"]', re.MULTILINE)
_STRUCT = re.compile(rb"\b(?:struct|union)\s+(\w+)\s*(?:__\w+\s*(?:\([^{;]*\)\s*)?)*\{")


def structs_behind(includes: tuple[str, ...]) -> frozenset[str] | None:
    """The structs that these headers (`linux/sched.h`) and all that they lead to define, whatever #if they stand in;
    None where one of them is not found."""
    first = [_find(name, None) for name in includes]
    if None in first:
        return None
    found: set[str] = set()
    todo, seen = [header for header in first if header is not None], set(first)
    while todo:
        names, structs = _content(header := todo.pop())
        found |= structs
        new = {_find(name, header.parent) for name in names} - seen - {None}
        seen |= new
        todo += [one for one in new if one is not None]
    return frozenset(found)


def name_of(header: Path) -> str:
    """How a program includes a header that is made for all machines; "" for others."""
    for folder in folders():
        for part in ("include/uapi", "include"):
            if header.is_relative_to(folder / part):
                return str(header.relative_to(folder / part))
    return ""


def is_of_user_space(name: str) -> bool:
    """Whether user space has a header of this name too, with less in it."""
    return any((folder / part / name).exists() for folder in folders() for part in _PARTS if part.endswith("uapi"))


def _find(name: str, beside: Path | None) -> Path | None:
    places = [folder / part for part in _PARTS for folder in folders()]
    if beside is not None:
        places.insert(0, beside)
    return next((path for place in places if _is_file(path := place / name)), None)


@functools.cache
def _is_file(path: Path) -> bool:
    return path.is_file()


@functools.cache
def _content(header: Path) -> tuple[tuple[str, ...], frozenset[str]]:
    """What a header includes, and the structs that it defines."""
    text = header.read_bytes()
    includes = tuple(m[1].decode("latin-1") for m in _INCLUDE.finditer(text))
    return includes, frozenset(m[1].decode("latin-1") for m in _STRUCT.finditer(text))


def definer(name: str) -> Path | None:
    """The header that defines `struct name`, None where none does or there are no headers."""
    return _definers().get(name)


@functools.cache
def _definers() -> dict[str, Path]:
    """The first header that defines each struct."""
    found: dict[str, Path] = {}
    for header in _headers():
        for name in _content(header)[1]:
            found.setdefault(name, header)
    return found


def _headers() -> Iterator[Path]:
    for folder in folders():
        for part in ("include", "arch/x86/include" if platform.machine() == "x86_64" else "arch"):
            yield from sorted((folder / part).rglob("*.h"))
