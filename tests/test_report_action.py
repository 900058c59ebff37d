"""action.yml and the hooks: what a pull request chooses is never read as script, and the script does what it says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import CACHE, FIXED, PROGRAM, git

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
SCRIPTS = [step["run"] for step in STEPS if "run" in step]


def test_no_expression_in_a_script() -> None:
    """An expression is put into the script as text before a shell reads it: a branch name could be a command."""
    assert len(SCRIPTS) == 3
    assert not [script for script in SCRIPTS if "${{" in script]


def test_every_input_is_used_and_known() -> None:
    text = (ROOT / "action.yml").read_text()
    assert set(re.findall(r"inputs\.([\w-]+)", text)) == ACTION["inputs"].keys()
    assert all("default" in given for given in ACTION["inputs"].values())


def test_scripts_are_bash() -> None:
    for step in STEPS:
        if "run" in step:
            assert step["shell"] == "bash"
            assert step["run"].startswith("set -euo pipefail\n")
            subprocess.run(["bash", "-n"], input=step["run"].encode(), check=True)


class Runner:
    """The action's check step, as a runner starts it."""

    def __init__(self, folder: Path, temp: Path) -> None:
        self.folder, self.temp = folder, temp
        tools = temp / "ebpffix" / "bin"
        tools.mkdir(parents=True)
        (tools / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (tools / "python").chmod(0o755)

    def check(self, **env: str) -> tuple[str, dict[str, str], str]:
        """What it prints, its outputs, and the job's summary."""
        (script,) = (step["run"] for step in STEPS if step.get("id") == "check")
        out, summary = self.temp / "output", self.temp / "summary"
        out.write_text("")
        summary.write_text("")
        inputs = {"PATHS": ".", "DIFF_BASE": "", "BASELINE": "", "ARGS": "", "SARIF_FILE": "ebpffix.sarif"} | env
        runner = {"RUNNER_TEMP": self.temp, "GITHUB_OUTPUT": out, "GITHUB_STEP_SUMMARY": summary}
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=os.environ | {k: str(v) for k, v in runner.items()} | inputs | {"EBPFFIX_CACHE_DIR": str(CACHE)},
            capture_output=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == b""
        outputs = dict(line.split("=", 1) for line in out.read_text().splitlines())
        return done.stdout.decode("utf-8", "replace"), outputs, summary.read_text(errors="replace")


@pytest.fixture
def runner(tree: Path, tmp_path: Path) -> Runner:
    return Runner(tree, tmp_path / "runner temp")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """This project as it is now, to install out of it: that needs a package index, as its users do."""
    folder = tmp_path / "project"
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).split("\0")
    for name in filter(None, listed):
        if not name.startswith("tests/") and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def test_it_installs_itself(project: Path, tmp_path: Path) -> None:
    (script,) = (step["run"] for step in STEPS if step.get("id") == "install")
    env = os.environ | {"PYTHON": sys.executable, "SOURCE": str(project), "RUNNER_TEMP": str(tmp_path / "a b")}
    subprocess.run(["bash", "-c", script], env=env, check=True)
    command = [tmp_path / "a b" / "ebpffix" / "bin" / "ebpffix", "--transforms"]
    assert b"split-byteorder" in subprocess.run([*map(str, command)], check=True, capture_output=True).stdout


@pytest.mark.parametrize(
    ("code", "fail", "expected"), [("0", "true", 0), ("1", "true", 1), ("1", "false", 0), ("2", "false", 1)]
)
def test_when_the_job_fails(code: str, fail: str, expected: int) -> None:
    (script,) = (step["run"] for step in STEPS if "FAIL" in step.get("env", {}))
    done = subprocess.run(["bash", "-c", script], env=os.environ | {"CODE": code, "FAIL": fail})
    assert done.returncode == expected


def test_annotations_sarif_and_summary(runner: Runner) -> None:
    said, outputs, summary = runner.check()
    assert outputs == {"exit-code": "1", "has-sarif": "true"}
    (command,) = re.findall("^::warning .*", said, re.MULTILINE)
    assert command.startswith("::warning file=src/count.bpf.c,line=20,")
    sarif = json.loads((runner.folder / "ebpffix.sarif").read_bytes())
    assert len(sarif["runs"][0]["results"]) == 1
    assert "    src/count.bpf.c:20:2: redundant-map-update" in summary


def test_inputs(runner: Runner) -> None:
    (runner.folder / "src" / "new one.bpf.c").write_bytes(PROGRAM)
    assert "count.bpf.c" not in runner.check(DIFF_BASE="HEAD")[0]
    assert "new one.bpf.c" in runner.check(DIFF_BASE="HEAD")[0]
    assert "count.bpf.c" not in runner.check(PATHS="src/new one.bpf.c\n")[0]
    assert runner.check(ARGS="--ignore\nredundant-map-update\n")[1]["exit-code"] == "0"
    subprocess.run(
        [sys.executable, "-m", "ebpffix", "--write-baseline", "b.json"],
        cwd=runner.folder,
        check=True,
        env=os.environ | {"EBPFFIX_CACHE_DIR": str(CACHE)},
    )
    assert runner.check(BASELINE="b.json")[1]["exit-code"] == "0"


def test_nothing_found(runner: Runner) -> None:
    (runner.folder / "src" / "count.bpf.c").write_bytes(FIXED)
    said, outputs, _ = runner.check()
    assert outputs["exit-code"] == "0"
    assert "::warning" not in said


@pytest.mark.parametrize("name", ["PATHS", "DIFF_BASE", "BASELINE"])
def test_hostile_inputs(runner: Runner, name: str) -> None:
    value = "$(touch broken) `touch broken`\"; touch broken; ' --apply"
    _, outputs, _ = runner.check(**{name: value})
    assert outputs["exit-code"] == "2"
    assert not (runner.folder / "broken").exists()
    assert (runner.folder / "src" / "count.bpf.c").read_bytes() == PROGRAM


def test_a_path_is_no_flag(runner: Runner) -> None:
    runner.check(PATHS="--apply\nsrc")
    assert (runner.folder / "src" / "count.bpf.c").read_bytes() == PROGRAM


def test_hostile_file_names_are_no_commands(runner: Runner) -> None:
    path = runner.folder / "a b\n::error file=x,line=1::%25,:<b>\"'\u202e.bpf.c"
    path.write_bytes(PROGRAM)
    said, _, summary = runner.check(PATHS=".")
    start = re.search(r"^::stop-commands::(\w{32})$", said, re.MULTILINE)
    assert start
    end = re.search(f"^::{start[1]}::$", said, re.MULTILINE)
    assert end
    outside = said[: start.start()] + said[end.end() :]
    commands = [line for line in outside.splitlines() if line.strip()]
    assert len(commands) == 2
    assert all(command.startswith("::warning file=") for command in commands)
    assert all(line.startswith("    ") for line in summary.splitlines()[2:] if line)


# -- pre-commit


def test_hooks_are_told_which_files() -> None:
    hooks = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
    assert hooks.keys() == {"ebpffix", "ebpffix-apply"}
    for hook in hooks.values():
        assert hook["language"] == "python"
        assert hook["require_serial"]  # one run over all files shares its headers
        assert set(hook["types_or"]) == {"c", "c++", "python", "go", "lua"}


@pytest.fixture
def commit(tree: Path, tmp_path: Path, project: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """commit(hook): tries to commit all of the tree with the hook that docs/review.md tells, by the real pre-commit."""
    git("init", "-q", cwd=project)
    git("add", "-f", ".", cwd=project)
    git("commit", "-qm", "all", cwd=project)
    git("tag", "v0.1.0", cwd=project)
    page = (ROOT / "docs" / "review.md").read_text()
    (snippet,) = [block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "repos:" in block]
    config = snippet.replace("https://github.com/OWNER/ebpffix", project.as_uri())
    env = os.environ | {"PRE_COMMIT_HOME": str(tmp_path / "home"), "EBPFFIX_CACHE_DIR": str(CACHE)}
    env |= {f"GIT_{who}_{what}": "t@t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

    def run(hook: str) -> subprocess.CompletedProcess[str]:
        (tree / ".pre-commit-config.yaml").write_text(re.sub(r"(?m)^( *- id: )ebpffix .*$", rf"\1{hook}", config))
        pre_commit = [sys.executable, "-m", "pre_commit"]
        subprocess.run([*pre_commit, "install"], cwd=tree, env=env, check=True, capture_output=True)
        git("add", "-A", cwd=tree)
        return subprocess.run(["git", "commit", "-m", "x"], cwd=tree, env=env, capture_output=True, text=True)

    return run


def test_the_real_pre_commit(tree: Path, commit: Callable[[str], subprocess.CompletedProcess[str]]) -> None:
    (tree / "src" / "count.bpf.c").write_bytes(PROGRAM + b"/* new */\n")
    (tree / "main.c").write_text("int main(void) { return 0; }\n")
    for name in ("host.py", "main.go", "main.cpp", "host.lua"):
        (tree / name).write_text("")
    listed = commit("ebpffix")
    said = listed.stdout + listed.stderr
    assert listed.returncode == 1 and "src/count.bpf.c:20:2: redundant-map-update" in said, said
    applied = commit("ebpffix-apply")
    said = applied.stdout + applied.stderr
    assert applied.returncode == 1 and "files were modified by this hook" in said, said
    assert (tree / "src" / "count.bpf.c").read_bytes() == FIXED + b"/* new */\n"
    clean = commit("ebpffix")
    said = clean.stdout + clean.stderr
    assert clean.returncode == 0 and "Passed" in said and "eBPF C" not in said, said
    (tree / "host.py").write_text("print()\n")
    others = commit("ebpffix")
    said = others.stdout + others.stderr
    assert others.returncode == 0 and "Passed" in said and "eBPF C" not in said, said
