"""The workflows in docs/bot.md keep what makes them safe."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")
PAGE = (Path(__file__).parent.parent / "docs" / "bot.md").read_text()
TEXTS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def workflows() -> list[Any]:
    return [yaml.load(text, yaml.BaseLoader) for text in TEXTS]  # "on" stays a word


def test_only_the_second_may_write_and_it_checks_nothing_out() -> None:
    first, second, _gitlab = workflows()
    assert first["on"] == "pull_request" and first["permissions"] == {"contents": "read"}
    assert list(second["on"]) == ["workflow_run"] and second["permissions"] == {}
    assert second["on"]["workflow_run"]["workflows"] == [first["name"]]
    job = second["jobs"]["review"]
    assert job["permissions"] == {"actions": "read", "pull-requests": "write"}
    assert not any("checkout" in step.get("uses", "") for step in job["steps"])
    # The bot is there before anything of the pull request is.
    assert [step.get("uses", "run").split("@")[0] for step in job["steps"]] == [
        "run",
        "actions/download-artifact",
        "run",
    ]


def test_no_text_of_the_event_is_put_into_a_script() -> None:
    for workflow in workflows()[:2]:
        for job in workflow["jobs"].values():
            assert not any("${{" in step.get("run", "") for step in job["steps"])


def test_the_artifacts_name_is_the_same() -> None:
    assert len(re.findall(r"name: ebpffix-report\n", PAGE)) == 2
