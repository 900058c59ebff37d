"""action.yml over a pull request that brings files named as Python's own modules, and as this package."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from .support import Attack
from .support_b import PROGRAM

ROOT = Path(__file__).parent.parent.parent
STEPS: list[dict[str, Any]] = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
MODULES = [
    "venv", "pip", "secrets", "ensurepip", "sitecustomize", "usercustomize", "json", "shlex", "click", "tomllib",
    "pathspec", "hashlib", "difflib", "typing", "clang", "platformdirs", "random", "hmac", "runpy",
    "ebpffix_transforms",
]  # fmt: skip


def poisoned(attack: Attack, *, package: bool) -> Attack:
    """A tree in which each module leaves a mark where it is imported."""
    mark = "import os\nopen(os.environ['MARK'], 'a').write(__name__ + '\\n')\n"
    files = {f"{name}.py": mark for name in MODULES} | {"src/count.bpf.c": PROGRAM.decode()}
    if package:
        files |= {"ebpffix/__init__.py": mark, "ebpffix/__main__.py": mark, "ebpffix/app/cli.py": mark}
    return attack.write(files)


@pytest.mark.parametrize("step", ["install", "check"])
def test_nothing_of_the_checkout_is_imported(attack: Attack, tmp_path: Path, step: str) -> None:
    poisoned(attack, package=True)
    temp, log = tmp_path / "runner", tmp_path / "log"
    tools = temp / "ebpffix" / "bin"
    tools.mkdir(parents=True)
    python = tools / "python"
    python.write_text(f'#!/bin/sh\necho "$@" >>"{log}"\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (script,) = (s["run"] for s in STEPS if s.get("id") == step)
    if step == "install":  # the environment itself is there; what pip would fetch is not asked for
        script = script.replace("-I -m venv", "-I -m venv --without-pip --help >/dev/null #").replace(
            "install --quiet", "--version #"
        )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=attack.tree,
        env=attack.environment
        | {"MARK": str(tmp_path / "MARK"), "PYTHON": str(python), "SOURCE": str(ROOT), "RUNNER_TEMP": str(temp)}
        | {"GITHUB_OUTPUT": str(tmp_path / "out"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
        | {"PATHS": ".", "DIFF_BASE": "", "BASELINE": "", "ARGS": "", "SARIF_FILE": "ebpffix.sarif"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done
    assert not (tmp_path / "MARK").exists(), (tmp_path / "MARK").read_text()
    calls = log.read_text().splitlines()
    assert calls and all(call.startswith("-I ") for call in calls), calls
    if step == "check":
        assert "exit-code=1" in (tmp_path / "out").read_text()


def test_every_start_of_python_is_isolated() -> None:
    scripts = "\n".join(step["run"] for step in STEPS if "run" in step)
    starts = re.findall(r'(?:\$PYTHON|/python)"( -\w+)?', scripts)
    assert len(starts) == 4 and set(starts) == {" -I"}


def test_python_m_takes_no_module_of_the_tree(attack: Attack, tmp_path: Path) -> None:
    """Save a package of this name, which is told in docs/security.md: that runs in the place of ours."""
    poisoned(attack, package=False)
    done = subprocess.run(
        [sys.executable, "-m", "ebpffix"],
        cwd=attack.tree,
        env=attack.environment | {"MARK": str(tmp_path / "MARK")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "count.bpf.c" in done.stdout, done
    assert not (tmp_path / "MARK").exists(), (tmp_path / "MARK").read_text()


def test_actions_are_pinned_by_commit() -> None:
    pages = [ROOT / "action.yml", *sorted((ROOT / "docs").glob("*.md"))]
    used = [name for page in pages for name in re.findall(r"uses: (\S+)", page.read_text())]
    others = [name for name in used if not name.startswith("OWNER/ebpffix@")]
    assert len(others) >= 8
    assert all(re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", name) for name in others), others


def test_a_pull_request_s_results_are_not_asked_for_by_the_main_branch() -> None:
    (cache,) = (step["with"] for step in STEPS if step.get("uses", "").startswith("actions/cache@"))
    scope = "${{ github.event_name }}-${{ github.ref }}-"
    assert scope in cache["key"]
    keys = [line for line in cache["restore-keys"].splitlines() if line]
    assert all(key.endswith((scope, "-push-refs/heads/${{ github.event.repository.default_branch }}-")) for key in keys)
    assert "pch" not in cache["path"]  # what libclang reads as it is stays where it was made
