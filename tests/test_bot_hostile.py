"""Reports that someone made to do harm: refused whole, or posted as words that do nothing."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from bot.reports import HEAD, PATCH, PATH, data, finding, hunk, report
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from ebpffix.bot.changes import changed_file
from ebpffix.bot.plan import Flavour, Post, State, plan
from ebpffix.bot.validate import MAX_BYTES, MAX_FINDINGS, MAX_TEXT, BadReport, read
from ebpffix.shown import inline

FLAVOURS = [
    Flavour(lambda _lines: "suggestion", reviews=True),
    Flavour(lambda lines: f"suggestion:-{lines - 1}+0", reviews=False),
]
BLOB = "https://github.com/o/r/blob/" + HEAD
EMPTY = State(HEAD, {PATH: changed_file(PATH, PATH, PATCH)}, (), (), BLOB)

HOSTILE = [
    "@team and @org/team, please merge",
    "see https://evil.example/x and www.evil.example or mail me@evil.example",
    "[click](https://evil.example) ![x](https://evil.example/pixel.png) <https://evil.example>",
    "<script>alert(1)</script><img src=x onerror=alert(1)><!-- --> </details>",
    "fixes #12, GH-12, o/r#12, !12, ~label, %1, &3, ABC-12",
    "```\n@team\n```\n/close\n/approve",
    "\r\n\r\n/merge\r\n# Title\n- list\n\n> quote\n\n| a | b |\n|---|---|\n",
    "`unbalanced @team",
    "a ``double `@team`` b` @team `",
    "**bold** _it_ ~~no~~ \\@team \\`@team` &#64;team &commat;team",
    "\u202ereversed\u202c \u200bzero\u2060 \x1b[31mred\x00 \u2028@team",
    "x | y | [z](//evil.example) `a | b \\| c`",
    f"\n<!-- ebpffix:{9:032x} -->",
    "[ref]: https://evil.example\n[ref]",
    "half a \ud800 character \udc80 @team",
    ":tada: $\\href{https://evil.example}{x}$ $`x`$",
]


def tokens(body: str) -> list[Token]:
    parsed = MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(body)
    return [inner for token in parsed for inner in (token, *(token.children or []))]


def assert_harmless(body: str) -> None:
    """Only code, our own words and marks, and links to the head's own files."""
    for token in tokens(body):
        if token.type in ("html_block", "html_inline"):
            assert re.fullmatch(r"<!-- ebpffix:([0-9a-f-]{32,}|summary) -->\n?", token.content), token.content
        if token.type == "link_open":
            assert str(token.attrs["href"]).startswith(f"{BLOB}/"), token.attrs
        assert token.type not in ("image", "blockquote_open", "bullet_list_open", "ordered_list_open")
        if token.type == "text":
            assert not re.search(r"[^A-Za-z0-9 ,.;:?()'\u2192-]", token.content), token.content
            assert not re.search(r"[A-Za-z]\.[A-Za-z]|\w:\w|[A-Za-z]-\d", token.content), token.content
    for line in body.split("\n"):
        assert not re.match(r"/[a-z]", line), line


def bodies(*findings: dict[str, Any]) -> list[str]:
    result = []
    for flavour in FLAVOURS:
        (post,) = plan(read(data(*findings)), EMPTY, flavour)
        assert isinstance(post, Post) and post.body
        result += [post.body, *(note.body for note in post.notes)]
    return result


def everywhere(text: str) -> list[dict[str, Any]]:
    """Findings that hold the text wherever a report can hold text."""
    program = {"name": text, "before": "rejected", "after": "accepted", "insns_before": 1, "insns_after": 2}
    proof = {"verdict": "fixed", "kernel": text, "compiler": text, "programs": [program]}
    lines = [line + "\n" for line in text.replace("\r", "\r\n").split("\n")]
    said: dict[str, Any] = {"message": text, "reason": text, "proof": proof}
    return [
        finding(1, hunks=[hunk(20, ["\tmemcpy(a, b, 4);\n"], lines)], **said),
        finding(2, hunks=[hunk(20, lines, lines[:-1])], **said),
        finding(3, line=500, hunks=[hunk(500, lines, lines[:-1])], **said),
        finding(4, path="a b/@team](x)<b>|`.c", hunks=[hunk(9, [], lines, path="a b/@team](x)<b>|`.c")], **said),
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_do_nothing(text: str) -> None:
    for body in bodies(*everywhere(text)):
        assert_harmless(body)


@given(st.text(st.sampled_from("`|\\@#/<>!&[]()*_~.:- \n\r\t\u202ea1") | st.characters(), max_size=60))
@settings(max_examples=150, deadline=None)
@example("`` ` ``")
def test_no_words_do_anything(text: str) -> None:
    for body in bodies(*everywhere(text)):
        assert_harmless(body)


def test_plain_words_stay_readable() -> None:
    text = "BCC does not rewrite `sk->x` inside `ntohs()`, a macro: read the field first, then convert it"
    assert inline(text) == text


def test_a_fence_inside_cannot_close_the_block() -> None:
    lines = ["/* as in\n", "````\n", "@team\n", "~~~\n", "*/\n"]
    contents = [
        token.content
        for body in bodies(finding(hunks=[hunk(20, ["\tmemcpy(a, b, 4);\n"], lines)]))
        for token in tokens(body)
        if token.type == "fence"
    ]
    assert contents == ["".join(lines)] * 2


@pytest.mark.parametrize("line", ["/close\n", "\x1b[2K\n", "a \u202e b\n", "a\rb\n", "x \u2028 y\n", "\u200b\n"])
def test_what_is_hidden_or_an_order_is_no_suggestion(line: str) -> None:
    for body in bodies(finding(hunks=[hunk(20, ["\tmemcpy(a, b, 4);\n"], [line])])):
        assert "suggestion" not in body
        assert_harmless(body)


def test_a_mark_inside_a_text_is_not_the_comments_own() -> None:
    from ebpffix.bot.plan import Existing

    mark = f"<!-- ebpffix:{9:032x} -->"
    (post,) = plan(read(data(finding(hunks=[hunk(20, ["\tmemcpy(a, b, 4);\n"], [mark + "\n"])]))), EMPTY, FLAVOURS[0])
    assert isinstance(post, Post)
    assert Existing("1", PATH, 20, 20, post.notes[0].body, False).key == f"{1:032x}"


PATHS = [
    "../x.c", "/etc/passwd", "a/../b.c", "a//b.c", "./a.c", "", "a/", ".git/hooks/x", ".GIT/x", "a\\..\\b.c", "a\0.c",
    "a\nb.c", "a" * 2000, ".github/workflows/x.c", "src/.hidden/x.c", ".x.c",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_leads_elsewhere_refuses_the_report(path: str) -> None:
    for bad in (finding(path=path), finding(hunks=[hunk(1, [], ["x\n"], path=path)])):
        with pytest.raises(BadReport, match=r"path: not a path inside the repository"):
            read(data(bad))


WRONG = [
    {"line": 0}, {"line": True}, {"line": 10**9}, {"line": "1"}, {"end_line": 1}, {"message": None},
    {"message": "x" * (MAX_TEXT + 1)}, {"safety": "sure"}, {"transform": "<b>"}, {"transform": "a" * 99 + "\n"},
    {"fingerprint": "x --><script>"}, {"fingerprint": ""}, {"hunks": None}, {"hunks": [1]},
    {"hunks": [hunk(1, [], [])] * 300},
    {"hunks": [{**hunk(3, ["a\n"], []), "end_line": 9}]}, {"hunks": [hunk(3, ["a\nb\n"], [])]},
    {"hunks": [hunk(3, ["a", "b\n"], [])]}, {"hunks": [hunk(3, ["a\n"], []), hunk(3, ["a\n"], [])]},
    {"hunks": [hunk(3, [""], [])]}, {"proof": []}, {"proof": {"verdict": "@team", "kernel": "", "programs": []}},
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_finding_refuses_the_report(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadReport):
        read(data(finding(**wrong)))


@pytest.mark.parametrize(
    "bad",
    [
        b"", b"[]", b"nul", b"\xff", b"[" * 100_000, b'{"version": 1}', b"1" * 10_000, b" " * (MAX_BYTES + 1),
        json.dumps(report(version=2)).encode(), json.dumps(report(version=True)).encode(),
        data(head_sha=""), data(head_sha="main"), data(head_sha=HEAD + "\n"), data(findings={}),
        data(files=[{"status": "@team"}]),
        data(finding(), finding()), data(*[finding(n) for n in range(MAX_FINDINGS + 1)]),
    ],
    ids=range(17),
)  # fmt: skip
def test_what_is_no_report_is_refused(bad: bytes) -> None:
    with pytest.raises(BadReport):
        read(bad)


def test_a_real_report_is_read() -> None:
    assert len(read(data(finding(1), finding(2, proof=None))).findings) == 2
