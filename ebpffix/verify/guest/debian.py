"""Kernel images out of Debian's packages, by apt: when the user asks for it, and only then. Nothing is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

# Kernel, and the suites that have it.
SUITES = {
    "5.10": ("bullseye main", "bullseye-security main"),
    "6.1": ("bookworm main", "bookworm-security main"),
    "6.12": ("bookworm-backports main",),
}
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_SECONDS = 600


class CannotFetch(ValueError):
    """Why there is no image: one line, with what to do."""


def fetch(name: str, cache: Path) -> Path:
    """Put the newest image of a kernel into the cache; its path. CannotFetch."""
    folder = cache / "kernels" / name
    image = folder / "vmlinuz"
    if name not in SUITES:
        raise CannotFetch(f"--fetch-kernels {name}: Debian has {', '.join(SUITES)}; name others with --kernel IMAGE")
    if image.exists():
        return image
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if not shutil.which(tool):
            raise CannotFetch(f"--fetch-kernels: there is no {tool} here; name an image with --kernel IMAGE")
    if not os.path.exists(_KEYRING):
        raise CannotFetch("--fetch-kernels: Debian's keys are not here; install debian-archive-keyring")
    try:
        _download(name, folder, image)
    finally:
        for part in ("lists", "cache", "package"):
            shutil.rmtree(folder / part, ignore_errors=True)
        (folder / "sources.list").unlink(missing_ok=True)
    return image


def _download(name: str, folder: Path, image: Path) -> None:
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    sources = folder / "sources.list"
    sources.write_text("".join(map(_source, SUITES[name])))
    apt = ["-o", f"Dir::Etc::SourceList={sources}", "-o", "Dir::Etc::SourceParts=/dev/null"]
    apt += ["-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache", "-qq"]
    _run(["apt-get", *apt, "update"])
    pattern = rf"^linux-image-{name}\.[0-9].*[0-9a-z]-amd64$"
    names = [line.split()[0] for line in _run(["apt-cache", *apt, "search", "--names-only", pattern]).splitlines()]
    plain = [n for n in names if "-rt-" not in n and "-cloud-" not in n]
    if not plain:
        raise CannotFetch(f"--fetch-kernels {name}: Debian's archive has no such package now; name an image instead")
    newest = max(plain, key=lambda n: [int(part) for part in re.findall(r"\d+", n)])
    _run(["apt-get", *apt, "download", newest], folder)
    package = next(folder.glob(f"{newest}_*.deb"))
    _run(["dpkg-deb", "-x", str(package), str(folder / "package")])
    package.unlink()
    shutil.copyfile(next((folder / "package" / "boot").glob("vmlinuz-*")), new := image.with_suffix(".new"))
    new.replace(image)


def _source(suite: str) -> str:
    archive = "debian-security" if "-security" in suite else "debian"
    return f"deb [signed-by={_KEYRING}] http://deb.debian.org/{archive} {suite}\n"


def _run(command: list[str], folder: Path | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=_SECONDS, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotFetch(f"--fetch-kernels: {command[0]}: {error}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise CannotFetch(f"--fetch-kernels: {command[0]} failed: {said[-1] if said else done.returncode}")
    return done.stdout.decode(errors="replace")
