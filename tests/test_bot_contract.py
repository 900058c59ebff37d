"""Every request to GitHub against GitHub's own description of its API, which prism serves: it refuses what does not
conform. What a description cannot say, the stateful fake holds."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import others
import pytest
from bot.fakes import OTHER, TOKEN, FakeGitHub, served, violations
from bot.reports import HEAD, PATCH, PATH, data, finding, hunk
from click.testing import CliRunner

from ebpffix.bot.cli import main

pytestmark = pytest.mark.node
DESCRIPTION = "@octokit/openapi/generated/api.github.com.json"
TWO_LINES = finding(3, line=19, hunks=[hunk(19, ["\tint a;\n", "\tmemcpy(a, b, 4);\n"], ["\tx;\n"])])


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of prism, on loopback."""
    folder = tmp_path_factory.mktemp("prism")
    (folder / "pulls.json").write_text(json.dumps(pulls_only(json.loads(others.npm(DESCRIPTION).read_bytes()))))
    command = [*others.node("@stoplight/prism-cli/dist/index.js"), "mock", "--errors", "-h", "127.0.0.1", "-p", "0"]
    log = folder / "log"
    with log.open("wb") as out, subprocess.Popen([*command, "pulls.json"], cwd=folder, stdout=out, stderr=out) as prism:
        try:
            for _ in range(600):
                if said := re.search(r"listening on (http://127\.0\.0\.1:\d+)", log.read_text()):
                    break
                assert prism.poll() is None, log.read_text()
                time.sleep(0.1)
            else:
                pytest.fail("prism does not start")
            yield said[1]
        finally:
            prism.kill()


def pulls_only(api: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    """What the bot asks for: prism takes half a minute to read the whole description."""
    ours = {path: what for path, what in api["paths"].items() if re.match(r"/repos/{owner}/{repo}/pulls(/|$)", path)}
    return {**{name: part for name, part in api.items() if "webhooks" not in name}, "paths": ours}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "pulls/5/reviews", {"event": "SHOUT", "body": "x", "comments": []}),
        ("POST", "pulls/5/reviews", {"event": "COMMENT", "comments": [{"path": PATH, "line": 1}]}),
        ("POST", "pulls/5/comments", {"commit_id": HEAD, "path": PATH, "line": "1", "body": "x"}),
        ("PATCH", "pulls/comments/1", {}),
        ("PUT", "pulls/5/reviews/1", {"text": "x"}),
        ("GET", "pulls/five/files", None),
    ],
)
def test_the_contract_refuses_what_is_wrong(contract: str, method: str, path: str, body: object) -> None:
    assert violations(f"{contract}/repos/o/r/{path}", method, body)


def test_all_requests_are_as_described(contract: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GITHUB_GRAPHQL_URL", raising=False)
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    event = tmp_path / "event.json"
    run = {"head_sha": HEAD, "head_branch": "topic", "head_repository": {"owner": {"login": "them"}}}
    event.write_text(json.dumps({"workflow_run": run}))
    with served(FakeGitHub(HEAD, [(PATH, PATH, PATCH)])) as fake:
        assert isinstance(fake, FakeGitHub)
        fake.contract = contract
        monkeypatch.setenv("GITHUB_API_URL", fake.base)

        def post(*findings: dict[str, object]) -> None:
            report = tmp_path / "report.json"
            report.write_bytes(data(*findings))
            args = ["github", "--report", str(report), "--repo", "o/r", "--event", str(event)]
            result = CliRunner().invoke(main, args)
            assert result.exit_code in (0, 1), result.output

        post(finding(), TWO_LINES)
        post(finding(message="now other words"), finding(4))
        others = {"user": {"id": OTHER}, "path": PATH, "line": 20, "body": "by someone else"}
        fake.comments += [{"id": n, **others} for n in range(1_000, 1_150)]  # a second page of comments
        fake.right_lines = lambda path: [range(18, 22)]  # type: ignore[method-assign]
        post(finding(5, line=22, hunks=[hunk(22, ["}\n"], ["};\n"])]), finding(6))
        post()
        sent = {(method, re.sub(r"\d+$", "", path)) for method, path, _ in fake.log}
    assert fake.violations == []
    pull = "/repos/o/r/pulls"
    assert sent == {
        ("POST", "/graphql"),  # of which the description says nothing
        ("GET", pull),
        ("GET", f"{pull}/"),
        ("GET", f"{pull}/5/files"),
        ("GET", f"{pull}/5/comments"),
        ("GET", f"{pull}/5/reviews"),
        ("POST", f"{pull}/5/reviews"),
        ("PUT", f"{pull}/5/reviews/"),
        ("POST", f"{pull}/5/comments"),
        ("PATCH", f"{pull}/comments/"),
        ("DELETE", f"{pull}/comments/"),
    }
