"""GitLab: a discussion for each finding and one note with the summary, through the REST API."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

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

API = "https://gitlab.com/api/v4"
_PROJECT = re.compile(r"[0-9]+|[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+")


class GitLab:
    """A merge request. `project` is its number or its path with groups."""

    # The comment stands at the last line, and the suggestion reaches so many lines up from there.
    flavour = Flavour(suggestion=lambda lines: f"suggestion:-{lines - 1}+0", reviews=False)

    def __init__(self, project: str, mr: int, token: str, show: Callable[[str], None] | None = None) -> None:
        if not _PROJECT.fullmatch(project):
            raise Problem(f"--project {project}: neither a number nor GROUP/NAME")
        self.what = f"merge request {mr} of {project}"
        self._merge = f"/projects/{quote(project, safe='')}/merge_requests/{mr}"
        self._refs: Mapping[str, str] = {}
        self._discussions: dict[str, str] = {}  # of our notes, by their ids
        self.api = Api(os.environ.get("CI_API_V4_URL") or API, token, self._denied, show=show)

    def _denied(self, status: int, method: str) -> str:
        if status == 401:
            return "GITLAB_TOKEN is not valid (401); give the job a token that is"
        need = "it needs the scope `api` and the role Reporter or higher"
        if status == 403:
            return f"GITLAB_TOKEN may not {method} {self.what} (403); {need}"
        return f"{self.what} is not there, or GITLAB_TOKEN cannot see it (404); check the names, and {need}"

    def read(self) -> State:
        me = self.api.get("/user")["id"]
        merge = self.api.get(self._merge)
        self._refs = merge["diff_refs"] or {}
        head = merge["sha"]
        comments: list[Existing] = []
        summaries: list[Summary] = []
        for discussion in self.api.pages(f"{self._merge}/discussions"):
            first, *answers = discussion["notes"]
            if first["author"]["id"] != me or first.get("system"):
                continue
            replied = any(not answer.get("system") for answer in answers)
            if first.get("position"):
                self._discussions[str(first["id"])] = discussion["id"]
                comments.append(_existing(first, head, replied))
            elif first["body"].rstrip().endswith(SUMMARY):
                summaries.append(Summary(str(first["id"]), first["body"]))
        return State(
            head,
            {path: changed_file(path, *rest) for path, *rest in map(_change, self.api.pages(f"{self._merge}/diffs"))},
            tuple(comment for comment in comments if comment.key),
            tuple(summaries),
            f"{merge['web_url'].split('/-/')[0]}/-/blob/{head}",
        )

    def act(self, action: Action, commit: str) -> Mapping[str, str] | None:
        match action:
            case Post(body, notes):
                return self._post(body, notes)
            case Update(id, body):
                self.api.write("PUT", self._note(id), {"body": body})
            case UpdateSummary(id, body):
                self.api.write("PUT", f"{self._merge}/notes/{id}", {"body": body})
            case Delete(id):
                self.api.write("DELETE", self._note(id))
        return None

    def _note(self, id: str) -> str:
        return f"{self._merge}/discussions/{self._discussions[id]}/notes/{id}"

    def _post(self, body: str | None, notes: tuple[Note, ...]) -> Mapping[str, str] | None:
        """The comments one by one, then the summary, if none was refused: else it has more to say, and waits."""
        refused: dict[str, str] = {}
        for note in notes:
            try:
                self.api.write("POST", f"{self._merge}/discussions", {"body": note.body, "position": self._at(note)})
            except Refused as error:
                refused[note.key] = str(error)
        if refused:
            return refused
        if body is not None:
            try:
                self.api.write("POST", f"{self._merge}/notes", {"body": body})
            except Refused as error:
                raise Problem(f"GitLab refuses the note: {error}; report this as a bug of ebpffix-bot") from error
        return None

    def _at(self, note: Note) -> dict[str, Any]:
        """A position. A line that was there before needs its old number too."""
        place = note.place
        refs = {name: self._refs.get(name) for name in ("base_sha", "start_sha", "head_sha")}
        position = {"position_type": "text", **refs, "new_path": place.path, "old_path": place.old_path}
        old = {} if place.old_line is None else {"old_line": place.old_line}
        return {**position, "new_line": place.line, **old}


def _existing(note: Mapping[str, Any], head: str, replied: bool) -> Existing:
    """GitLab moves a position along with its line as far as it can; one that it left behind is outdated."""
    position = note["position"]
    line = position.get("new_line") if position.get("head_sha") == head else None
    path, resolved = position.get("new_path") or "", bool(note.get("resolved"))
    return Existing(str(note["id"]), path, None, line, note["body"], replied, resolved)


def _change(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    """A file of the merge request: path, old path, hunks. Large and collapsed files have none."""
    return entry["new_path"], entry["old_path"], entry.get("diff") or ""
