"""action.yml and the hooks: what a pull request chooses is never read as script, and the script does what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import CACHE
from test_cli import FIXED, PROGRAM, git, tree

__all__ = ["tree"]

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
        for name, args in (("python", ""), ("ebpffix", "-m ebpffix ")):
            (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {args}"$@"\n')
            (tools / name).chmod(0o755)

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
        assert hook["types"] == ["c"]
        assert re.search(hook["files"], "src/a.bpf.c") and re.search(hook["files"], "a.h")
        assert not re.search(hook["files"], "a.cc")


def test_a_hook_run_over_files_that_are_no_ebpf(tree: Path) -> None:
    """As pre-commit starts it: files by name, C of every kind among them."""
    (tree / "main.c").write_text("int main(void) { return 0; }\n")
    git("add", ".", cwd=tree)
    command = [sys.executable, "-m", "ebpffix"]
    env = os.environ | {"EBPFFIX_CACHE_DIR": str(CACHE)}
    assert subprocess.run([*command, "main.c"], cwd=tree, env=env, capture_output=True).returncode == 0
    done = subprocess.run([*command, "--apply", "main.c", "src/count.bpf.c"], cwd=tree, env=env, capture_output=True)
    assert done.returncode == 0
    assert (tree / "src" / "count.bpf.c").read_bytes() == FIXED


# -- what the documentation tells people to copy


def test_snippets_are_yaml_with_inputs_that_exist() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "review.md").read_text(), re.DOTALL)
    assert len(blocks) == 4
    for block in map(yaml.safe_load, blocks):
        steps = [step for job in block.get("jobs", {}).values() for step in job["steps"]]
        for step in steps:
            if "/ebpffix@" in step["uses"]:
                assert step["with"].keys() <= ACTION["inputs"].keys()
