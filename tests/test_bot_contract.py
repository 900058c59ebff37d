"""Every request to GitHub against GitHub's own description of its API, which prism serves: see tests/bot/run-prism."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from bot.fakes import OTHER, TOKEN, FakeGitHub, served, violations
from bot.reports import HEAD, PATCH, PATH, data, finding, hunk
from click.testing import CliRunner

from ebpffix.bot.cli import main

CONTRACT = os.environ.get("EBPFFIX_PRISM", "")
pytestmark = pytest.mark.skipif(not CONTRACT, reason="no prism; run tests/bot/run-prism")

TWO_LINES = finding(3, line=19, hunks=[hunk(19, ["\tint a;\n", "\tmemcpy(a, b, 4);\n"], ["\tx;\n"])])


def test_the_contract_refuses_what_is_wrong() -> None:
    url = f"{CONTRACT}/repos/o/r/pulls/5/reviews"
    assert violations(url, "POST", {"event": "COMMENT", "body": "x", "comments": []}) == []
    assert violations(url, "POST", {"event": "SHOUT", "body": "x", "comments": []})
    assert violations(url, "POST", {"event": "COMMENT", "body": "x", "comments": [{"body": "x", "line": "3"}]})
    assert violations(f"{CONTRACT}/repos/o/r/pulls/5/files?per_page=x", "GET", None)


def test_all_requests_are_as_described(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GITHUB_GRAPHQL_URL", raising=False)
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    event = tmp_path / "event.json"
    run = {"head_sha": HEAD, "head_branch": "topic", "head_repository": {"owner": {"login": "them"}}}
    event.write_text(json.dumps({"workflow_run": run}))
    with served(FakeGitHub(HEAD, [(PATH, PATH, PATCH)])) as fake:
        assert isinstance(fake, FakeGitHub)
        fake.contract = CONTRACT
        monkeypatch.setenv("GITHUB_API_URL", fake.base)

        def post(*findings: dict[str, object]) -> None:
            report = tmp_path / "report.json"
            report.write_bytes(data(*findings))
            args = ["github", "--report", str(report), "--repo", "o/r", "--event", str(event)]
            result = CliRunner().invoke(main, args)
            assert result.exit_code in (0, 1), result.output

        post(finding(), TWO_LINES)
        post(finding(message="now other words"), finding(4))
        fake.comments.append({"id": 1, "user": {"id": OTHER}, "path": PATH, "line": 20, "body": "by someone else"})
        fake.right_lines = lambda path: [range(18, 22)]  # type: ignore[method-assign]
        post(finding(5, line=22, hunks=[hunk(22, ["}\n"], ["};\n"])]), finding(6))
        post()
        sent = {(method, path.rstrip("0123456789")) for method, path, _ in fake.log}
    assert fake.violations == []
    pull = "/repos/o/r/pulls/"
    assert {("POST", f"{pull}5/reviews"), ("POST", f"{pull}5/comments"), ("PUT", f"{pull}5/reviews/")} <= sent
    assert {("PATCH", f"{pull}comments/"), ("DELETE", f"{pull}comments/"), ("GET", f"{pull}5/files")} <= sent
