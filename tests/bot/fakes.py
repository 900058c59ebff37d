"""GitHub and GitLab on loopback, as far as the bot sees them: what a mock made from a description cannot hold.

They keep comments between requests, refuse lines outside the diff, page, and fail when told to.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

ME, OTHER = 7, 8
TOKEN = "token-that-nobody-may-see"


@dataclass
class Failure:
    """The next request that matches gets this answer instead; with `done`, after it was carried out all the same."""

    method: str
    path: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    done: bool = False


class Refusal(Exception):
    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status)
        self.answer = status, body


@dataclass
class Fake:
    """`files` are (new path, old path, hunks)."""

    head: str
    files: list[tuple[str, str, str]]
    failures: list[Failure] = field(default_factory=list)
    log: list[tuple[str, str, Any]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    base: str = ""
    contract: str = ""  # a server that refuses what the host's own description does not allow
    ids: Iterator[int] = field(default_factory=lambda: iter(range(100, 10_000)))

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        raise NotImplementedError

    def writes(self) -> list[tuple[str, str, Any]]:
        return [entry for entry in self.log if entry[0] != "GET" and entry[1] != "/graphql"]

    def right_lines(self, path: str) -> list[range]:
        """The new side's lines of each hunk."""
        patch = "".join(patch for new, _, patch in self.files if new == path)
        heads = re.findall(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@", patch, re.MULTILINE)
        return [range(int(start), int(start) + int(count or 1)) for start, count in heads]


class FakeGitHub(Fake):
    def __init__(self, head: str, files: list[tuple[str, str, str]]) -> None:
        super().__init__(head, files)
        self.comments: list[dict[str, Any]] = []
        self.reviews: list[dict[str, Any]] = []
        self.resolved: set[int] = set()

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        pull = "/repos/o/r/pulls/5"
        if path == "/graphql":
            return 200, {"data": {"viewer": {"databaseId": ME}, **self.threads(body["variables"])}}
        match method, path:
            case "GET", "/repos/o/r/pulls":
                return 200, [{"number": 5, "head": {"sha": self.head}}] if query.get("head") == "them:topic" else []
            case "GET", p if p == pull:
                return 200, {"head": {"sha": self.head}, "base": {"repo": {"html_url": "https://github.com/o/r"}}}
            case "GET", p if p == f"{pull}/files":
                named = [{"filename": new, "previous_filename": old, "patch": patch} for new, old, patch in self.files]
                return 200, page(named, query)
            case "GET", p if p == f"{pull}/comments":
                return 200, page(self.comments, query)
            case "GET", p if p == f"{pull}/reviews":
                return 200, page(self.reviews, query)
            case "POST", p if p == f"{pull}/reviews":
                comments = [self.comment(entry) for entry in body["comments"]]
                self.comments += comments
                self.reviews.append({"id": next(self.ids), "user": {"id": ME}, "body": body["body"]})
                return 200, self.reviews[-1]
            case "POST", p if p == f"{pull}/comments":
                self.comments.append(self.comment(body))
                return 201, self.comments[-1]
        entries = self.reviews if path.startswith(f"{pull}/reviews/") else self.comments
        entry = next((e for e in entries if str(e["id"]) == path.rsplit("/", 1)[1]), None)
        if entry is None:
            return 404, {"message": "Not Found"}
        if method == "DELETE":
            entries.remove(entry)
            return 204, None
        entry["body"] = body["body"]
        return 200, entry

    def threads(self, variables: dict[str, Any]) -> dict[str, Any]:
        """The threads of review comments, one for each page, as GraphQL has them."""
        assert (variables["owner"], variables["name"], variables["number"]) == ("o", "r", 5)
        roots = [comment["id"] for comment in self.comments if not comment.get("in_reply_to_id")]
        at = int(variables["after"] or 0)
        nodes = [
            {"isResolved": number in self.resolved, "comments": {"nodes": [{"databaseId": number}]}}
            for number in roots[at : at + 1]
        ]
        info = {"hasNextPage": at + 1 < len(roots), "endCursor": str(at + 1)}
        return {"repository": {"pullRequest": {"reviewThreads": {"nodes": nodes, "pageInfo": info}}}}

    def comment(self, entry: dict[str, Any]) -> dict[str, Any]:
        start, line = entry.get("start_line", entry["line"]), entry["line"]
        if not any(start in lines and line in lines for lines in self.right_lines(entry["path"])):
            raise Refusal(422, {"message": "Unprocessable Entity", "errors": ["line must be part of the diff"]})
        assert start <= line and ("start_line" not in entry or start < line)
        kept = {"path": entry["path"], "line": line, "start_line": entry.get("start_line"), "body": entry["body"]}
        return {"id": next(self.ids), "user": {"id": ME}, **kept}


class FakeGitLab(Fake):
    def __init__(self, head: str, files: list[tuple[str, str, str]]) -> None:
        super().__init__(head, files)
        self.discussions: list[dict[str, Any]] = []

    def notes(self) -> list[dict[str, Any]]:
        return [note for discussion in self.discussions for note in discussion["notes"]]

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        merge = "/projects/g%2Fp/merge_requests/5"
        match method, path:
            case "GET", "/user":
                return 200, {"id": ME}
            case "GET", p if p == merge:
                refs = {"base_sha": "b", "start_sha": "s", "head_sha": self.head}
                return 200, {
                    "sha": self.head,
                    "diff_refs": refs,
                    "web_url": "https://gitlab.com/g/p/-/merge_requests/5",
                }
            case "GET", p if p == f"{merge}/diffs":
                return 200, page([{"new_path": n, "old_path": o, "diff": d} for n, o, d in self.files], query)
            case "GET", p if p == f"{merge}/discussions":
                return 200, page(self.discussions, query)
            case "POST", p if p in (f"{merge}/discussions", f"{merge}/notes"):
                position = body.get("position")
                shown = self.right_lines(position["new_path"]) if position else []
                if position and not any(position["new_line"] in lines for lines in shown):
                    raise Refusal(400, {"message": '400 Bad request - Note {:line_code=>["can\'t be blank"]}'})
                note = {"id": next(self.ids), "author": {"id": ME}, "body": body["body"], "position": position}
                self.discussions.append({"id": f"d{note['id']}", "notes": [note]})
                return 201, self.discussions[-1]
        number = path.rsplit("/", 1)[1]
        discussion = next((d for d in self.discussions if str(d["notes"][0]["id"]) == number), None)
        if discussion is None:
            return 404, {"message": "404 Not found"}
        if "/discussions/" in path:
            assert path.split("/discussions/")[1].split("/")[0] == discussion["id"]
        if method == "DELETE":
            self.discussions.remove(discussion)
            return 204, None
        discussion["notes"][0]["body"] = body["body"]
        return 200, discussion["notes"][0]


def violations(url: str, method: str, body: Any) -> list[str]:
    """What the contract's server has against a request.

    Some examples in GitHub's description do not conform to it: then it says so of its own answer, with 500.
    """
    content = None if body is None else json.dumps(body).encode()
    request = Request(url, content, {"Content-Type": "application/json"} if content else {}, method=method)
    try:
        with urlopen(request, timeout=60):
            return []
    except HTTPError as error:
        with error:
            said = error.read()
        if error.code == 500 and b'"location":["request"' not in said and b'"location":["response"' in said:
            return []
        return [f"{method} {url}: {error.code} {said[:500]!r}"]


def page(entries: list[Any], query: dict[str, str]) -> list[Any]:
    size, number = int(query.get("per_page", "30")), int(query.get("page", "1"))
    return entries[size * (number - 1) : size * number]


@contextmanager
def served(fake: Fake) -> Iterator[Fake]:
    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            address = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            fake.log.append((self.command, address.path, body))
            if fake.contract and address.path != "/graphql":
                fake.violations += violations(fake.contract + self.path, self.command, body)
            failure = next(
                (f for f in fake.failures if f.method == self.command and re.search(f.path, address.path)), None
            )
            headers: dict[str, str] = {}
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                status, answer = 401, {"message": "Bad credentials"}
            elif failure and not failure.done:
                status, answer, headers = failure.status, failure.body, failure.headers
            else:
                query = {name: values[0] for name, values in parse_qs(address.query).items()}
                try:
                    status, answer = fake.answer(self.command, address.path, query, body)
                except Refusal as refusal:
                    status, answer = refusal.answer
                if failure:
                    status, answer = failure.status, failure.body
            if failure:
                fake.failures.remove(failure)
            content = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
