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


@functools.cache
def definer(name: str) -> Path | None:
    """The header that defines `struct name`, None where none does or there are no headers."""
    definition = re.compile(rb"\bstruct\s+%s\s*(?:__\w+\s*(?:\(\([^{;]*\)\)\s*)?)*\{" % name.encode())
    for header in _headers():
        text = header.read_bytes()
        if name.encode() in text and definition.search(text):
            return header
    return None


def _headers() -> Iterator[Path]:
    for folder in folders():
        for part in ("include", "arch/x86/include" if platform.machine() == "x86_64" else "arch"):
            yield from sorted((folder / part).rglob("*.h"))
