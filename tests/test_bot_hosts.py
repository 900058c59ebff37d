"""The bot from its command to a host on loopback: what is posted, tried again, refused, and told."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bot.fakes import ME, OTHER, TOKEN, Failure, FakeGitHub, FakeGitLab, served
from bot.reports import HEAD, PATCH, PATH, data, finding, hunk
from click.testing import CliRunner, Result

from ebpffix.bot import http
from ebpffix.bot.cli import main

KEY = f"{1:032x}"
OUTSIDE = finding(2, line=10, hunks=[hunk(10, ["\tx\n"], ["\ty\n"])])


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits, which nobody waits for."""
    waits: list[float] = []
    init = http.Api.__init__
    monkeypatch.setattr(http.Api, "__init__", lambda *a, **k: init(*a, **{**k, "sleep": waits.append}))
    return waits


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch, slept: list[float]) -> Iterator[FakeGitHub]:
    with served(FakeGitHub(HEAD, [(PATH, PATH, PATCH)])) as fake:
        assert isinstance(fake, FakeGitHub)
        for name in ("GITHUB_GRAPHQL_URL", "GITHUB_REPOSITORY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("GITHUB_API_URL", fake.base)
        monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
        yield fake


@pytest.fixture
def gitlab(monkeypatch: pytest.MonkeyPatch, slept: list[float]) -> Iterator[FakeGitLab]:
    with served(FakeGitLab(HEAD, [(PATH, PATH, PATCH)])) as fake:
        assert isinstance(fake, FakeGitLab)
        monkeypatch.setenv("CI_API_V4_URL", fake.base)
        monkeypatch.setenv("GITLAB_TOKEN", TOKEN)
        yield fake


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def run(host: str, *findings: dict[str, Any], args: tuple[str, ...] = (), **other: Any) -> Result:
        report = tmp_path / "report.json"
        report.write_bytes(data(*findings, **other))
        where = {"github": ["--repo", "o/r"], "gitlab": ["--project", "g/p", "--mr", "5"]}[host]
        if host == "github" and "--event" not in args:
            where += ["--pr", "5"]
        result = CliRunner().invoke(main, [host, "--report", str(report), *where, *args])
        assert TOKEN not in result.output and "Traceback" not in result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return run


def event(tmp_path: Path, **content: Any) -> tuple[str, str]:
    file = tmp_path / "event.json"
    file.write_text(json.dumps(content))
    return "--event", str(file)


# GitHub


def test_one_review_with_all_comments(github: FakeGitHub, run: Any) -> None:
    two = finding(3, line=19, hunks=[hunk(19, ["\tint a;\n", "\tmemcpy(a, b, 4);\n"], ["\tx;\n"])])
    assert run("github", finding(), two, OUTSIDE).exit_code == 0
    ((method, path, body),) = github.writes()
    assert (method, path) == ("POST", "/repos/o/r/pulls/5/reviews")
    assert (body["event"], body["commit_id"]) == ("COMMENT", HEAD)
    assert f"{PATH}:10" in body["body"]
    one, other = body["comments"]
    assert (one["path"], one["line"], one["side"], "start_line" in one) == (PATH, 20, "RIGHT", False)
    assert (other["start_line"], other["start_side"], other["line"]) == (19, "RIGHT", 20)


def test_a_second_run_writes_nothing(github: FakeGitHub, run: Any) -> None:
    assert run("github", finding(), OUTSIDE).exit_code == 0
    github.log.clear()
    again = run("github", finding(), OUTSIDE)
    assert again.exit_code == 0 and "2 findings; nothing to send" in again.output
    assert github.writes() == []


def test_its_own_are_found_behind_pages_of_others(github: FakeGitHub, run: Any) -> None:
    body = f"no\n<!-- ebpffix:{KEY} -->"
    place = {"path": PATH, "line": 20, "body": body}
    github.comments = [{"id": n, "user": {"id": OTHER}, **place} for n in range(1_000, 1_150)]
    github.comments[3]["user"] = None  # a deleted account
    assert run("github", finding()).exit_code == 0
    assert run("github").exit_code == 0
    assert len(github.comments) == 150 and "no findings" in github.reviews[-1]["body"]


def test_fixed_ones_go_and_answered_ones_stay(github: FakeGitHub, run: Any) -> None:
    other = finding(3, line=21, hunks=[hunk(21, ["\tint c;\n"], ["\tint d;\n"])])
    run("github", finding(), other)
    answered = github.comments[1]["id"]
    answer = {"id": 1, "user": {"id": OTHER}, "path": PATH, "line": 21, "body": "why?", "in_reply_to_id": answered}
    github.comments.append(answer)
    assert run("github").exit_code == 0
    assert [comment["id"] for comment in github.comments] == [answered, 1]


def test_resolved_threads_stay_resolved(github: FakeGitHub, run: Any) -> None:
    other = finding(3, line=21, hunks=[hunk(21, ["\tint c;\n"], ["\tint d;\n"])])
    run("github", finding(), other)
    resolved = github.comments[1]["id"]
    github.resolved = {resolved}
    github.comments[1]["line"] = None  # outdated
    github.log.clear()
    assert run("github", other).exit_code == 0
    assert [comment["id"] for comment in github.comments] == [resolved]
    assert [method for method, _, _ in github.writes()] == ["PUT", "DELETE"]


def test_a_moved_head_is_told_and_nothing_posted(github: FakeGitHub, run: Any) -> None:
    github.head = "b" * 40
    result = run("github", finding())
    assert result.exit_code == 0 and "nothing was posted" in result.output and "bbbbbbbbbbbb" in result.output
    assert github.writes() == []


def test_a_dry_run_prints_the_requests(github: FakeGitHub, run: Any) -> None:
    result = run("github", finding(), args=("--dry-run",))
    assert github.writes() == []
    assert "1 finding; this is what would be sent" in result.stderr
    assert result.stdout.startswith("POST /repos/o/r/pulls/5/reviews\n{")
    assert json.loads(result.stdout.split("\n", 1)[1])["comments"][0]["line"] == 20


def test_a_refused_comment_is_named_and_the_rest_posted(github: FakeGitHub, run: Any) -> None:
    bad = finding(3, line=22, hunks=[hunk(22, ["}\n"], ["};\n"])])
    github.right_lines = lambda path: [range(18, 22)]  # type: ignore[method-assign]
    result = run("github", finding(), bad)
    assert result.exit_code == 1
    assert f"{PATH}:22: the host refused this comment" in result.output and "part of the diff" in result.output
    assert [comment["line"] for comment in github.comments] == [20]
    (review,) = github.reviews
    assert "refused" in review["body"] and "+};" in review["body"]


@pytest.mark.parametrize("done", [False, True])
def test_a_lost_answer_does_not_double_the_review(github: FakeGitHub, run: Any, slept: list[float], done: bool) -> None:
    github.failures = [Failure("POST", "/reviews$", 502, done=done)]
    assert run("github", finding()).exit_code == 0
    assert len(github.reviews) == len(github.comments) == 1 and slept == [2.0]


def test_reads_are_tried_again(github: FakeGitHub, run: Any, slept: list[float]) -> None:
    github.failures = [Failure("GET", "/files$", 503), Failure("GET", "/files$", 500)]
    assert run("github", finding()).exit_code == 0
    assert slept == [2.0, 4.0] and len(github.reviews) == 1


def test_a_host_that_stays_down_is_one_line(github: FakeGitHub, run: Any, slept: list[float]) -> None:
    github.failures = [Failure("GET", "/pulls/5$", 503) for _ in range(9)]
    result = run("github", finding())
    assert result.exit_code == 2 and "status 503, 5 times" in result.output and result.output.count("\n") == 1


LIMITS = [
    (Failure("POST", "/reviews$", 429, {"Retry-After": "7"}), 7),
    (Failure("POST", "/reviews$", 403, {"Retry-After": "9"}, {"message": "x"}), 9),
    (Failure("POST", "/reviews$", 403, {}, {"message": "You have exceeded a secondary rate limit"}), 60),
    (Failure("GET", "/files$", 403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "0"}, {"message": "x"}), 2),
]


@pytest.mark.parametrize(("failure", "wait"), LIMITS)
def test_a_rate_limit_is_waited_for(
    github: FakeGitHub, run: Any, slept: list[float], failure: Failure, wait: float
) -> None:
    github.failures = [failure]
    assert run("github", finding()).exit_code == 0
    assert slept == [wait] and len(github.reviews) == 1


def test_a_long_rate_limit_is_told(github: FakeGitHub, run: Any, slept: list[float]) -> None:
    reset = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 3_000)}
    github.failures = [Failure("GET", "/pulls/5$", 403, reset)]
    result = run("github", finding())
    assert result.exit_code == 2 and "rate limit" in result.output and slept == []


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (Failure("POST", "/reviews$", 403, {}, {"message": "Resource not accessible"}), "`pull-requests: write`"),
        (Failure("GET", "/pulls/5$", 404, {}, {"message": "Not Found"}), "GITHUB_TOKEN cannot see it (404)"),
        (Failure("GET", "/pulls/5$", 401, {}, {"message": TOKEN}), "GITHUB_TOKEN is not valid (401)"),
        (Failure("GET", "/pulls/5$", 301, {"Location": "/nowhere"}, {}), "check"),
        (Failure("POST", "/reviews$", 409, {}, {"message": f"no {TOKEN}"}), "no ***"),
        (Failure("GET", "/pulls/5$", 200, {}, "x"), "cannot be understood"),
        (Failure("GET", "/pulls/5/files$", 200, {}, {}), "the answer is no list"),
        (Failure("GET", "/files$", 200, {}, [{"filename": "a", "patch": "@@ -1 +1 @@\nx\ny\n"}]), "diff of a cannot"),
        (Failure("POST", "/graphql$", 200, {}, {"data": None}), "whose it is"),
    ],
)
def test_errors_are_one_line(github: FakeGitHub, run: Any, failure: Failure, says: str) -> None:
    github.failures = [failure]
    result = run("github", finding())
    assert result.exit_code == 2 and says in result.output and result.output.count("\n") == 1


@pytest.mark.parametrize("token", ["", "two words", "t\u00f6ken", "a\nb"])
def test_no_token_is_one_line(github: FakeGitHub, run: Any, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", token)
    result = run("github", finding())
    assert result.exit_code == 2 and "GITHUB_TOKEN" in result.output and "two words" not in result.output


@pytest.mark.parametrize("repo", ["o", "o/r/x", "../x", "o/..", "o/r?x=1"])
def test_a_name_that_is_none_asks_for_nothing(github: FakeGitHub, run: Any, repo: str) -> None:
    result = run("github", finding(), args=("--repo", repo))
    assert result.exit_code == 2 and github.log == []


def test_a_hostile_report_asks_for_nothing(github: FakeGitHub, run: Any) -> None:
    result = run("github", finding(path="../../x"))
    assert result.exit_code == 2 and "nothing was posted" in result.output and github.log == []


def workflow_run(sha: str = HEAD, owner: str = "them") -> dict[str, Any]:
    return {"head_sha": sha, "head_branch": "topic", "head_repository": {"owner": {"login": owner}}}


def test_the_event_of_a_fork_finds_its_pull_request(github: FakeGitHub, run: Any, tmp_path: Path) -> None:
    result = run("github", finding(), args=event(tmp_path, workflow_run=workflow_run()))
    assert result.exit_code == 0 and len(github.reviews) == 1


def test_an_event_whose_commit_is_no_head_posts_nothing(github: FakeGitHub, run: Any, tmp_path: Path) -> None:
    for run_ in (workflow_run(sha="c" * 40), workflow_run(owner="else")):
        result = run("github", finding(), args=event(tmp_path, workflow_run=run_))
        assert result.exit_code == 0 and "nothing was posted" in result.output
    assert github.writes() == []


def test_a_report_of_another_commit_than_the_events_is_refused(github: FakeGitHub, run: Any, tmp_path: Path) -> None:
    named = event(tmp_path, pull_request={"number": 5, "head": {"sha": "c" * 40}})
    result = run("github", finding(), args=named)
    assert result.exit_code == 2 and "merge commit" in result.output and github.writes() == []
    result = run("github", finding(), args=(*event(tmp_path, workflow_run=workflow_run()), "--pr", "6"))
    assert result.exit_code == 2 and "--pr 6" in result.output and github.writes() == []
    assert run("github", finding(), args=event(tmp_path, push={})).exit_code == 2


# GitLab


def test_discussions_with_positions_and_one_note(gitlab: FakeGitLab, run: Any) -> None:
    two = finding(3, line=19, hunks=[hunk(18, ["{\n", "\tint a;\n"], ["{ int a;\n"])])
    assert run("gitlab", finding(), two, OUTSIDE).exit_code == 0
    one, other, note = (body for _, _, body in gitlab.writes())
    refs = {"base_sha": "b", "start_sha": "s", "head_sha": HEAD, "position_type": "text"}
    assert one["position"] == {**refs, "new_path": PATH, "old_path": PATH, "new_line": 20}
    assert "```suggestion:-0+0\n" in one["body"]
    assert other["position"] == {**refs, "new_path": PATH, "old_path": PATH, "new_line": 19, "old_line": 18}
    assert "```suggestion:-1+0\n" in other["body"]
    assert "position" not in note and f"{PATH}:10" in note["body"]


def test_later_runs_in_gitlab(gitlab: FakeGitLab, run: Any) -> None:
    run("gitlab", finding(), OUTSIDE)
    gitlab.log.clear()
    assert run("gitlab", finding(), OUTSIDE).exit_code == 0 and gitlab.writes() == []
    other = finding(3, line=21, hunks=[hunk(21, ["\tint c;\n"], ["\tint d;\n"])])
    assert run("gitlab", finding(message="other words"), other, OUTSIDE).exit_code == 0
    methods = [(method, path.rsplit("/", 2)[1]) for method, path, _ in gitlab.writes()]
    assert methods == [("POST", "5"), ("PUT", "notes"), ("PUT", "notes")]
    assert run("gitlab").exit_code == 0
    (summary,) = gitlab.notes()
    assert "no findings" in summary["body"]


def test_answered_and_foreign_ones_stay_in_gitlab(gitlab: FakeGitLab, run: Any) -> None:
    run("gitlab", finding())
    gitlab.discussions[0]["notes"].append({"id": 1, "author": {"id": OTHER}, "body": "why?"})
    foreign = {**gitlab.discussions[0]["notes"][0], "id": 2, "author": {"id": OTHER}}
    gitlab.discussions.append({"id": "d2", "notes": [foreign]})
    assert run("gitlab").exit_code == 0
    assert [note["id"] for note in gitlab.notes()][1:] == [1, gitlab.discussions[1]["notes"][0]["id"], 2]


def test_resolved_ones_in_gitlab_stay_resolved(gitlab: FakeGitLab, run: Any) -> None:
    run("gitlab", finding())
    gitlab.discussions[0]["notes"][0] |= {"resolved": True, "resolvable": True}
    gitlab.discussions[0]["notes"][0]["position"]["head_sha"] = "e" * 40
    gitlab.log.clear()
    assert run("gitlab", finding()).exit_code == 0
    assert [path for _, path, _ in gitlab.writes() if path.endswith("discussions")] == []


def test_an_outdated_one_in_gitlab_is_posted_anew(gitlab: FakeGitLab, run: Any) -> None:
    run("gitlab", finding())
    gitlab.discussions[0]["notes"][0]["position"]["head_sha"] = "e" * 40
    assert run("gitlab", finding()).exit_code == 0
    assert [bool(note["position"]) for note in gitlab.notes()] == [False, True]


def test_a_refused_position_in_gitlab(gitlab: FakeGitLab, run: Any) -> None:
    gitlab.right_lines = lambda path: [range(18, 20)]  # type: ignore[method-assign]
    result = run("gitlab", finding())
    assert result.exit_code == 1 and f"{PATH}:20" in result.output
    (summary,) = gitlab.notes()
    assert "refused" in summary["body"] and summary["author"]["id"] == ME


@pytest.mark.parametrize("done", [False, True])
def test_a_lost_answer_in_gitlab(gitlab: FakeGitLab, run: Any, done: bool) -> None:
    gitlab.failures = [Failure("POST", "/discussions$", 500, done=done), Failure("POST", "/notes$", 502, done=done)]
    assert run("gitlab", finding()).exit_code == 0
    assert len(gitlab.discussions) == 2


def test_gitlab_errors_are_one_line(gitlab: FakeGitLab, run: Any) -> None:
    gitlab.failures = [Failure("POST", "/discussions$", 403, {}, {"message": "403 Forbidden"})]
    result = run("gitlab", finding())
    assert result.exit_code == 2 and "scope `api`" in result.output and result.output.count("\n") == 1
    assert run("gitlab", finding(), args=("--project", "../x")).exit_code == 2
