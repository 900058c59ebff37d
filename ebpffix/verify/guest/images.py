"""Which kernel images there are, and which of them a user means by `5.10`."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ebpffix.verify.guest.debian import SUITES

HOST = "host"  # among names of kernels: the one that runs

_SYSTEM = ("/boot/vmlinuz-*", "/lib/modules/*/vmlinuz", "/run/booted-system/kernel")
_MAGIC, _VERSION = slice(0x202, 0x206), slice(0x20E, 0x210)  # of the header that a loader of x86 reads
_HEAD = 1 << 16  # bytes in which the version's words stand
_NAME = re.compile(r"\d+\.\d+(?:[.-][\w.+~-]*)?")


class NoKernel(ValueError):
    """A kernel that was asked for is not there: one line, with what to do."""


@dataclass(frozen=True)
class Image:
    """A bootable kernel of x86-64. `release` is what its `uname -r` says, such as "6.1.0-56-amd64"."""

    path: Path
    release: str

    @property
    def numbers(self) -> tuple[int, ...]:
        """For comparing: 6.1.0-56 is (6, 1, 0, 56)."""
        return tuple(int(n) for n in re.findall(r"\d+", self.release.partition("-amd64")[0])[:5])

    @property
    def version(self) -> tuple[int, int]:
        """(6, 1)."""
        return self.numbers[0], self.numbers[1]

    def is_called(self, name: str) -> bool:
        """Is it a kernel of this name: the beginning of its release, up to a mark between numbers?"""
        return self.release == name or (self.release.startswith(name) and not self.release[len(name)].isalnum())


def read(path: Path) -> Image:
    """The kernel in a file. NoKernel for anything else."""
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise NoKernel(f"{path}: {error.strerror}; name a kernel image, such as /boot/vmlinuz-6.1.0-56-amd64") from None
    at = int.from_bytes(head[_VERSION], "little") + 0x200
    words = head[at : at + 128].split(b"\0")[0].split()
    release = words[0].decode("ascii", "replace") if words else ""
    if head[_MAGIC] != b"HdrS" or not _NAME.fullmatch(release):
        raise NoKernel(f"{path}: no kernel image of x86-64 (bzImage); a vmlinux cannot be booted")
    return Image(path.absolute(), release)


def check_names(names: Iterable[str]) -> None:
    """NoKernel for a name that no kernel has."""
    for name in names:
        if name != HOST and not _NAME.fullmatch(name):
            raise NoKernel(f"--kernels {name}: give versions such as 5.10 or 6.1.0-56, or `{HOST}`")


def find(names: Sequence[str], paths: Sequence[Path], cache: Path | None) -> list[Image]:
    """The images for these names, and those in `paths`, files or folders, the oldest first. Names are looked for in the
    folders among `paths`, in `cache` and where systems keep their kernels; without names a folder's images all count.
    NoKernel where one is missing."""
    check_names(names)
    folders = [path for path in paths if path.is_dir()]
    found = [read(path) for path in paths if not path.is_dir()]
    given = [image for folder in folders for image in _images(sorted(folder.iterdir()))]
    wanted = [name for name in names if name != HOST]
    if folders and not given:
        raise NoKernel(f"--kernel {folders[0]}: no kernel image in this folder")
    if not wanted:
        found += given
    kept = _images(sorted(cache.glob("kernels/*/vmlinuz"))) if cache else []
    known = [*given, *kept, *_images(sorted(p for pattern in _SYSTEM for p in Path("/").glob(pattern[1:])))]
    found += (_newest(name, known) for name in wanted)
    return sorted(dict.fromkeys(found), key=lambda image: image.numbers)


def _newest(name: str, known: Iterable[Image]) -> Image:
    fitting = [image for image in known if image.is_called(name)]
    if not fitting:
        cure = f", or run ebpffix --fetch-kernels {name} (Debian's, by apt-get)" if name in SUITES else ""
        raise NoKernel(f"--kernels {name}: no image of this kernel here; name one, or its folder, with --kernel{cure}")
    return max(fitting, key=lambda image: image.numbers)


def _images(paths: Iterable[Path]) -> list[Image]:
    """Those of the files that are kernels, and may be read."""
    found = []
    for path in paths:
        if path.is_file() and os.access(path, os.R_OK):
            with contextlib.suppress(NoKernel):
                found.append(read(path))
    return found
