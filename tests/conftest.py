"""What tests share: a tree to run the command in, and what those need that compile or load.

Without a compiler, BCC or the privilege these skip, or fail when EBPFFIX_REQUIRE_VERIFIER=1. `tests/run --quick` leaves
out what is marked here (see pyproject.toml for the markers).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import hypothesis
import others
import pytest
from support import PROGRAM, git

from ebpffix.kernel import btf, btf_c
from ebpffix.verify import CannotVerify
from ebpffix.verify.bcc import Bcc
from ebpffix.verify.compile import Clang, Object, compile_libbpf, find_clang
from ebpffix.verify.load import load

PROGRAMS = Path(__file__).with_name("bpf")
KERNEL_BTF = Path("/sys/kernel/btf/vmlinux")


# How long an example takes says more of what else the machine does than of the code.
hypothesis.settings.register_profile("anywhere", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("anywhere")


# Who asks for one of these compiles or loads.
_KERNEL = frozenset(("clang", "vmlinux_dir", "compiled", "verifier", "bcc"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _KERNEL.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.kernel)


def missing(what: str) -> NoReturn:
    others.missing(what, required_by="EBPFFIX_REQUIRE_VERIFIER")


@pytest.fixture(scope="session")
def clang() -> Clang:
    try:
        return find_clang()
    except CannotVerify as error:
        missing(str(error))


@pytest.fixture(scope="session")
def vmlinux_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the vmlinux.h of the running kernel."""
    if not KERNEL_BTF.exists():
        missing("the kernel has no BTF")
    folder = tmp_path_factory.mktemp("vmlinux")
    with open(folder / "vmlinux.h", "w", encoding="utf-8") as header:
        btf_c.write_header(btf.load(KERNEL_BTF), header)
    return folder


Compile = Callable[..., Object]


@pytest.fixture(scope="session")
def compiled(clang: Clang, vmlinux_dir: Path) -> Compile:
    """compiled(name, *args, overlay=…): a program of tests/bpf, or one at a path, as an object."""

    def compile_one(name: str | Path, *args: str, overlay: dict[Path, bytes] | None = None) -> Object:
        flags = ["-I", str(vmlinux_dir), *args]
        made = compile_libbpf(PROGRAMS / name, clang=clang, args=flags, overlay=overlay)
        assert isinstance(made, Object), str(made)
        return made

    return compile_one


@pytest.fixture(scope="session")
def verifier(compiled: Compile) -> None:
    """A kernel into which this user may load programs."""
    try:
        accepted = [r.verdict for r in load(compiled("plain.bpf.c"))]
    except CannotVerify as error:
        missing(str(error))
    # A loader that is there and does not work must not look like a machine without one.
    assert accepted == ["accepted"]


@pytest.fixture(scope="session")
def bcc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bcc]:
    """BCC, started once. Merged kernel headers are big, so they stay in $EBPFFIX_TEST_HEADERS where that is set."""
    folder = os.environ.get("EBPFFIX_TEST_HEADERS")
    try:
        running = Bcc(Path(folder) if folder else tmp_path_factory.mktemp("headers"))
    except CannotVerify as error:
        missing(str(error))
    with running:
        yield running


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A git tree with one program that has one safe fix, in a folder."""
    folder = tmp_path / "tree"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "count.bpf.c").write_bytes(PROGRAM)
    git("init", "-q", cwd=folder)
    git("add", ".", cwd=folder)
    git("commit", "-qm", "start", cwd=folder)
    return folder
