"""GitHub: one review with all comments, through the REST API. Who we are, and which threads are resolved, is told by
GraphQL alone."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from ebpffix.bot.changes import changed_file
from ebpffix.bot.http import Api, Problem, Refused
from ebpffix.bot.plan import (
    SUMMARY,
    Action,
    Delete,
    Existing,
    Flavour,
    Note,
    Post,
    State,
    Summary,
    Update,
    UpdateSummary,
)

API = "https://api.github.com"
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+")
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}


_THREADS = """query($owner: String!, $name: String!, $number: Int!, $after: String) {
  viewer { databaseId }
  repository(owner: $owner, name: $name) { pullRequest(number: $number) { reviewThreads(first: 100, after: $after) {
    nodes { isResolved comments(first: 1) { nodes { databaseId } } }
    pageInfo { hasNextPage endCursor }
  } } }
}"""
_PAGES = 100


class GitHub:
    """A pull request. `repo` is OWNER/NAME."""

    flavour = Flavour(suggestion=lambda _lines: "suggestion", reviews=True)

    def __init__(self, repo: str, token: str, show: Callable[[str], None] | None = None) -> None:
        if not _REPOSITORY.fullmatch(repo) or repo.endswith(("/.", "/..")):
            raise Problem(f"--repo {repo}: not OWNER/NAME")
        self.repo = repo
        self.pr = 0
        base = os.environ.get("GITHUB_API_URL") or API
        self._graphql = os.environ.get("GITHUB_GRAPHQL_URL") or re.sub(r"(/v3)?/*$", "", base) + "/graphql"
        self.api = Api(base, token, self._denied, show=show, headers=_HEADERS)

    @property
    def _pull(self) -> str:
        return f"/repos/{self.repo}/pulls/{self.pr}"

    def _denied(self, status: int, method: str) -> str:
        what = f"pull request {self.pr} of {self.repo}" if self.pr else f"the pull requests of {self.repo}"
        if status == 401:
            return "GITHUB_TOKEN is not valid (401); give the job a token that is"
        right = "pull-requests: read" if method == "GET" else "pull-requests: write"
        if status == 403:
            return f"GITHUB_TOKEN may not {method} {what} (403); it needs the permission `{right}`"
        return f"{what} is not there, or GITHUB_TOKEN cannot see it (404); check the names and the permission `{right}`"

    def find(self, event: Mapping[str, Any]) -> str:
        """Take the pull request from the event that started the workflow; the commit that its report must be of.

        A `workflow_run` event of a fork names no pull request, so the one whose head it ran on is looked up; it is not
        taken from anything that the run made. Empty if no open pull request is at that commit any more.
        """
        pull = event.get("pull_request")
        if isinstance(pull, Mapping):
            self.pr = int(pull["number"])
            return str(pull["head"]["sha"])
        run = event["workflow_run"]
        sha, owner, branch = run["head_sha"], run["head_repository"]["owner"]["login"], run["head_branch"]
        found = self.api.get(f"/repos/{self.repo}/pulls", state="open", head=f"{owner}:{branch}", per_page=100)
        self.pr = next((int(pull["number"]) for pull in found if pull["head"]["sha"] == sha), 0)
        return str(sha) if self.pr else ""

    def read(self) -> State:
        pull = self.api.get(self._pull)
        me, resolved = self._threads()
        head = pull["head"]["sha"]
        comments = list(self.api.pages(f"{self._pull}/comments"))
        answered = {comment.get("in_reply_to_id") for comment in comments}
        ours = [
            Existing(
                str(c["id"]),
                c["path"],
                c.get("start_line") or c.get("line") or 0,
                c.get("line"),
                c["body"],
                c["id"] in answered,
                c["id"] in resolved,
            )
            for c in comments
            if _author(c) == me and not c.get("in_reply_to_id")
        ]
        reviews = self.api.pages(f"{self._pull}/reviews")
        return State(
            head,
            {path: changed_file(path, *rest) for path, *rest in map(_change, self.api.pages(f"{self._pull}/files"))},
            tuple(comment for comment in ours if comment.key),
            tuple(
                Summary(str(r["id"]), r["body"])
                for r in reviews
                if _author(r) == me and (r.get("body") or "").rstrip().endswith(SUMMARY)
            ),
            f"{pull['base']['repo']['html_url']}/blob/{head}",
        )

    def _threads(self) -> tuple[int, set[int]]:
        """Our user's number, and the comments whose threads are resolved. REST's /user refuses the tokens of Actions
        and of apps, and REST knows no threads."""
        owner, name = self.repo.split("/")
        resolved: set[int] = set()
        after: str | None = None
        for _ in range(_PAGES):
            answer = self.api.query(self._graphql, _THREADS, owner=owner, name=name, number=self.pr, after=after)
            try:
                me = int(answer["data"]["viewer"]["databaseId"])
                threads = answer["data"]["repository"]["pullRequest"]["reviewThreads"]
                done = [thread for thread in threads["nodes"] if thread["isResolved"]]
                resolved |= {comment["databaseId"] for thread in done for comment in thread["comments"]["nodes"]}
                more, after = threads["pageInfo"]["hasNextPage"], threads["pageInfo"]["endCursor"]
            except (KeyError, TypeError, ValueError) as error:
                raise Problem(
                    "GITHUB_TOKEN: GitHub does not say whose it is, or hides the threads; give the job another one"
                ) from error
            if not more:
                break
        return me, resolved

    def act(self, action: Action, commit: str) -> Mapping[str, str] | None:
        match action:
            case Post(body, notes):
                return self._post(body or SUMMARY, notes, commit)
            case Update(id, body):
                self.api.write("PATCH", f"/repos/{self.repo}/pulls/comments/{id}", {"body": body})
            case UpdateSummary(id, body):
                self.api.write("PUT", f"{self._pull}/reviews/{id}", {"body": body})
            case Delete(id):
                self.api.write("DELETE", f"/repos/{self.repo}/pulls/comments/{id}")
        return None

    def _post(self, body: str, notes: tuple[Note, ...], commit: str) -> Mapping[str, str] | None:
        """One review. GitHub refuses it whole for one comment and does not say which: then one by one, which tells."""
        comments = [_comment(note) for note in notes]
        try:
            self.api.write(
                "POST",
                f"{self._pull}/reviews",
                {"commit_id": commit, "event": "COMMENT", "body": body, "comments": comments},
            )
            return None
        except Refused as error:
            if not notes:
                raise Problem(f"GitHub refuses the review: {error}; report this as a bug of ebpffix-bot") from error
        refused: dict[str, str] = {}
        for note, comment in zip(notes, comments, strict=True):
            try:
                self.api.write("POST", f"{self._pull}/comments", {"commit_id": commit, **comment})
            except Refused as error:
                refused[note.key] = str(error)
        return refused


def _author(entry: Mapping[str, Any]) -> int | None:
    user = entry.get("user")
    return user["id"] if user else None


def _change(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    """A file of the pull request: path, old path, patch. Large and binary files have no patch."""
    path = entry["filename"]
    return path, entry.get("previous_filename") or path, entry.get("patch") or ""


def _comment(note: Note) -> dict[str, Any]:
    place = note.place
    comment: dict[str, Any] = {"path": place.path, "body": note.body, "line": place.line, "side": "RIGHT"}
    if place.start_line < place.line:
        comment |= {"start_line": place.start_line, "start_side": "RIGHT"}
    return comment
