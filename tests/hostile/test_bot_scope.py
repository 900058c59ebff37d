"""What a report may make the bot do: comment on files that ebpffix edits, at the one host, with the one token."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from bot.reports import data, finding, hunk

from ebpffix.bot.http import Api, Problem
from ebpffix.bot.validate import SUFFIXES, TRANSFORMS, BadReport, read
from ebpffix.sources.files import HOSTS
from ebpffix.transform import load_transforms

OTHER_FILES = [
    ".github/workflows/ci.yml", ".github/workflows/ci.py", "src/.hidden/x.c", ".pre-commit-config.yaml", ".x.c",
    "Makefile", "action.yml", "setup.cfg", "build.rs", "x.bpf.c.sh", "Dockerfile", "package.json", "x.C/y", "x.txt",
    "/etc/x.c", "../x.c", "src/../../x.c", "src//x.c", "./x.c", "src\\x.c", "x\n.c",
]  # fmt: skip


@pytest.mark.parametrize("path", OTHER_FILES)
def test_no_hunk_and_no_comment_for_other_files(path: str) -> None:
    safe = hunk(1, ["a\n"], ["b\n"], path=path)
    for bad in (finding(path=path), finding(hunks=[safe]), finding(path=path, hunks=[safe], safety="safe")):
        with pytest.raises(BadReport, match="path: not a "):
            read(data(bad))


@pytest.mark.parametrize("path", ["x.c", "a/b c.h", "tools/x.py", "x.go", "x.lua", "x.CC", "a.b/x.hpp"])
def test_files_that_it_edits(path: str) -> None:
    assert read(data(finding(path=path, hunks=[hunk(1, ["a\n"], ["b\n"], path=path)])))


def test_no_transform_that_nobody_knows() -> None:
    with pytest.raises(BadReport, match="no transform my-own"):
        read(data(finding(transform="my-own")))
    assert read(data(finding(transform="my-own")), ["my-own"])


def test_what_the_bot_knows_by_itself_is_so() -> None:
    """It imports nothing of the analysis, so it has its own lists."""
    ours = {name for name, known in load_transforms().items() if known.distribution == "ebpffix"}
    assert ours == TRANSFORMS
    assert set(SUFFIXES) == {".c", ".h", ".inc", *HOSTS}


class Server:
    """A host on loopback that answers one redirect, and notes what it is asked."""

    def __init__(self) -> None:
        self.location = ""
        self.asked: list[tuple[str, str | None]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append((self.path, self.headers.get("Authorization")))
                self.send_response(302 if self.path.startswith("/from") else 200)
                if self.path.startswith("/from"):
                    self.send_header("Location", server.location)
                body = b'{"answer": 1}'
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server]]:
    both = Server(), Server()
    yield both
    for one in both:
        one.http.shutdown()
        one.http.server_close()


def api(server: Server) -> Api:
    return Api(server.url, "the-token", lambda status, method: f"denied {status}", sleep=lambda seconds: None)


def test_no_redirect_to_another_host(servers: tuple[Server, Server]) -> None:
    host, evil = servers
    host.location = f"{evil.url}/taken"
    with pytest.raises(Problem, match="status 302"):
        api(host).get("/from")
    assert evil.asked == []


def test_a_redirect_on_the_host_itself_is_followed(servers: tuple[Server, Server]) -> None:
    host, _ = servers
    host.location = "/to"
    assert api(host).get("/from") == {"answer": 1}
    assert host.asked == [("/from", "Bearer the-token"), ("/to", "Bearer the-token")]


def test_redirects_come_to_an_end(servers: tuple[Server, Server]) -> None:
    host, _ = servers
    host.location = "/from/again"
    with pytest.raises(Problem, match="status 302"):
        api(host).get("/from")
    assert len(host.asked) == 4


def test_a_netrc_is_not_used(servers: tuple[Server, Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host, _ = servers
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    reached = api(host)
    reached._session.auth = None  # what it would send, were there no token of its own
    reached.get("/plain")
    assert host.asked == [("/plain", None)]


def test_the_proxy_of_the_environment_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert Api("https://api.example", "t", lambda s, m: "")._session.proxies["https"] == "http://proxy.example:3128"
    assert not Api("https://inside.example", "t", lambda s, m: "")._session.proxies.get("https")
