"""Transforms of other packages: said whose they are, and none in the place of a built-in one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .support import Attack
from .support_b import PROGRAM

MODULE = """\"\"\"Its page.\"\"\"
from ebpffix.transform import Transform
TRANSFORM = Transform(name="{name}", pattern=0, dialects=("libbpf",), triggers=(b"SEC",), summary="it finds nothing")
def find(unit):
    return iter(())
"""


def package(folder: Path, name: str, distribution: str = "Other_Checks", module: str = "other_checks") -> Path:
    """An installed package that brings one transform."""
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[ebpffix.transforms]\nmine = {module}\n")
    (folder / f"{module}.py").write_text(MODULE.format(name=name))
    return folder


def ebpffix(folder: Path, *args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.path.append(sys.argv.pop(1)); from ebpffix.app.cli import main; main()"
    command = [sys.executable, "-I", "-c", code, str(folder), "--no-cache", *args]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def test_they_are_named_with_their_package(tmp_path: Path) -> None:
    folder = package(tmp_path / "site", "my-check")
    listed = ebpffix(folder, "--transforms", cwd=tmp_path)
    assert "it finds nothing (of other-checks)\n" in listed.stdout, listed
    assert listed.stdout.count("(of ") == 1
    (tmp_path / "a.bpf.c").write_bytes(PROGRAM)
    run = ebpffix(folder, "a.bpf.c", cwd=tmp_path)
    assert run.returncode == 1 and run.stderr.startswith("ebpffix: with my-check (of other-checks)\n"), run
    without = ebpffix(folder, "--ignore", "my-check", "a.bpf.c", cwd=tmp_path)
    assert "my-check" not in without.stderr


@pytest.mark.parametrize("name", ["padded-init", "map-size"])
def test_a_built_in_name_is_refused(tmp_path: Path, name: str) -> None:
    folder = package(tmp_path / "site", name)
    done = ebpffix(folder, "--transforms", cwd=tmp_path)
    said = f"ebpffix: a transform cannot be loaded: other-checks: other_checks calls itself {name}, as one of ebpffix; "
    assert done.returncode == 2 and done.stderr.startswith(said), done
    assert done.stderr.count("\n") == 1 and not done.stdout


def test_a_name_of_two_packages_is_refused(tmp_path: Path) -> None:
    folder = package(tmp_path / "site", "my-check")
    package(folder, "my-check", "Third", "third")
    done = ebpffix(folder, "--transforms", cwd=tmp_path)
    assert done.returncode == 2 and "third calls itself my-check, as one of other-checks" in done.stderr, done


def test_a_tree_is_no_package(attack: Attack) -> None:
    """With `python -m` the current folder is on the path: what looks like an installed package there is none."""
    package(attack.tree, "my-check")
    (attack.tree / "other_checks.py").write_text("open('RAN', 'w')\n")
    attack.write({"prog.bpf.c": PROGRAM})
    done = subprocess.run(
        [sys.executable, "-m", "ebpffix"], cwd=attack.tree, env=attack.environment, capture_output=True, text=True
    )
    assert done.returncode == 1, done
    assert not (attack.tree / "RAN").exists() and "other-checks" not in done.stderr
    assert os.listdir(attack.tree)
