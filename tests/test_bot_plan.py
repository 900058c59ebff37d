"""What the bot would post: suggestions that replace what they stand at, and what a second run makes of the first."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bot.reports import HEAD, PATCH, PATH, data, finding, hunk
from click.testing import CliRunner

from ebpffix.app.cli import command as ebpffix
from ebpffix.bot.changes import changed_file
from ebpffix.bot.plan import (
    MAX_BODY,
    MAX_COMMENTS,
    SUMMARY,
    SUPERSEDED,
    Delete,
    Existing,
    Flavour,
    Note,
    Post,
    State,
    Update,
    UpdateSummary,
    plan,
)
from ebpffix.bot.plan import Summary as Told
from ebpffix.bot.validate import read

SAMPLES = sorted((Path(__file__).parent.parent / "docs" / "sample").glob("*.c"))

GITHUB = Flavour(lambda _lines: "suggestion", reviews=True)
GITLAB = Flavour(lambda lines: f"suggestion:-{lines - 1}+0", reviews=False)
EMPTY = State(HEAD, {PATH: changed_file(PATH, PATH, PATCH)}, (), (), "https://github.com/o/r/blob/" + HEAD)


def posted(*findings: dict[str, Any], state: State = EMPTY, flavour: Flavour = GITHUB) -> Post:
    (action,) = plan(read(data(*findings)), state, flavour)
    assert isinstance(action, Post)
    return action


def note(*findings: dict[str, Any], state: State = EMPTY, flavour: Flavour = GITHUB) -> Note:
    (one,) = posted(*findings, state=state, flavour=flavour).notes
    return one


def block(body: str) -> str:
    """The suggestion's lines."""
    fence = body.split("suggestion")[0].rsplit("\n", 1)[1]
    return body.split("suggestion\n")[1].split(f"{fence}\n")[0]


def after(first: Post, **place: Any) -> State:
    """The host once `first` was posted."""
    comments = tuple(
        Existing(str(n), note.place.path, note.place.start_line, note.place.line, note.body, False)
        for n, note in enumerate(first.notes)
    )
    told = (Told("90", first.body),) if first.body else ()
    return replace(EMPTY, comments=tuple(replace(c, **place) for c in comments), summaries=told)


def test_nothing_found_says_nothing() -> None:
    assert plan(read(data()), EMPTY, GITHUB) == []


@pytest.mark.parametrize("flavour", [GITHUB, GITLAB])
def test_second_run_does_nothing(flavour: Flavour) -> None:
    report = data(finding(1), finding(2, line=500, path="other.c", hunks=[]))
    (first,) = plan(read(report), EMPTY, flavour)
    assert isinstance(first, Post) and len(first.notes) == 1
    assert plan(read(report), after(first), flavour) == []


def test_a_suggestion_stands_at_what_it_replaces() -> None:
    one = note(finding())
    assert (one.place.start_line, one.place.line, one.place.old_line) == (20, 20, None)
    assert block(one.body) == "\t__builtin_memcpy(a, b, 4);\n"
    assert one.body.endswith(f"<!-- ebpffix:{1:032x} -->")


def test_an_insertion_takes_the_line_below_or_above_along() -> None:
    below = note(finding(hunks=[hunk(21, [], ["\tnew();\n"])]))
    assert (below.place.line, block(below.body), below.place.old_line) == (21, "\tnew();\n\tint c;\n", 19)
    above = note(finding(hunks=[hunk(23, [], ["\tnew();\n"])]))
    assert (above.place.line, block(above.body)) == (22, "}\n\tnew();\n")


def test_a_deletion_is_an_empty_suggestion() -> None:
    assert block(note(finding(hunks=[hunk(20, ["\tmemcpy(a, b, 4);\n"], [])])).body) == ""


def test_hunks_become_one_suggestion_with_the_lines_between() -> None:
    hunks = [hunk(21, ["\tint c;\n"], ["\tint d;\n"]), hunk(19, ["\tint a;\n"], [])]
    one = note(finding(hunks=hunks), flavour=GITLAB)
    assert (one.place.start_line, one.place.line) == (19, 21)
    assert "```suggestion:-2+0\n\tmemcpy(a, b, 4);\n\tint d;\n```" in one.body


def test_hunks_far_from_each_other_are_a_patch_to_read() -> None:
    hunks = [hunk(3, ["int three;\n"], []), hunk(20, ["\tmemcpy(a, b, 4);\n"], ["\tx;\n"])]
    one = note(finding(hunks=hunks))
    assert "suggestion" not in one.body and one.place.line == 20
    assert "```diff\n" in one.body and "\n-int three;\n" in one.body and "\n+\tx;\n" in one.body


def test_a_file_that_reads_otherwise_gets_no_suggestion() -> None:
    assert "suggestion" not in note(finding(hunks=[hunk(20, ["\tother();\n"], ["\tx;\n"])])).body


def test_line_ends_and_indentation_stay() -> None:
    patch = "@@ -1,2 +1,2 @@\n \tint a;\r\n-x\n+\t  memcpy(a);\r"
    state = replace(EMPTY, files={PATH: changed_file(PATH, PATH, patch)})
    one = note(finding(line=2, hunks=[hunk(2, ["\t  memcpy(a);\r\n"], ["\t  copy(a);\r\n"])]), state=state)
    assert block(one.body) == "\t  copy(a);\r\n"


def test_a_missing_last_newline_stays_missing_or_is_no_suggestion() -> None:
    patch = "@@ -1 +1,2 @@\n int a;\n+memcpy(a);\n\\ No newline at end of file"
    state = replace(EMPTY, files={PATH: changed_file(PATH, PATH, patch)})
    same = finding(line=2, hunks=[hunk(2, ["memcpy(a);"], ["copy(a);"])])
    assert block(note(same, state=state).body) == "copy(a);\n"
    added = finding(line=2, hunks=[hunk(2, ["memcpy(a);"], ["copy(a);\n"])])
    assert "suggestion" not in note(added, state=state).body


def test_outside_the_diff_it_is_in_the_summary_with_its_patch() -> None:
    far = finding(line=10, hunks=[hunk(10, ["\tx\n"], ["\ty\n"])])
    post = posted(far)
    assert post.notes == () and post.body and f"{PATH}:10" in post.body and "+\ty\n" in post.body
    assert post.body.endswith(SUMMARY)


def test_advice_is_a_comment_without_a_block() -> None:
    one = note(finding(line=3, safety="advice", reason="no fix is known", hunks=[]))
    assert "```" not in one.body and "no fix is known" in one.body and one.place.line == 3


def test_a_proof_is_told() -> None:
    program = {"name": "prog", "before": "rejected", "after": "accepted", "insns_before": None, "insns_after": 9}
    proof = {"verdict": "fixed", "kernel": "6.1", "compiler": "clang 19", "programs": [program]}
    post = posted(finding(proof=proof))
    assert "Proof on kernel `6.1`: fixed: `prog` rejected \u2192 accepted." in post.notes[0].body
    assert post.body and "| fixed |" in post.body


def test_at_most_thirty_comments_and_those_that_are_there_stay() -> None:
    findings = [finding(n) for n in range(1, MAX_COMMENTS + 6)]
    first = posted(*findings)
    assert len(first.notes) == MAX_COMMENTS and first.body and "more than 30 comments" in first.body
    assert plan(read(data(*reversed(findings))), after(first), GITHUB)[1:] == []


def test_one_that_moved_is_posted_anew_and_the_old_one_goes() -> None:
    old = after(posted(finding()), line=None)
    actions = plan(read(data(finding())), old, GITHUB)
    assert isinstance(actions[0], Post) and len(actions[0].notes) == 1
    assert Delete("0") in actions and UpdateSummary("90", SUPERSEDED) in actions


def test_a_fixed_one_goes_and_the_summary_says_so() -> None:
    actions = plan(read(data()), after(posted(finding())), GITHUB)
    assert [type(a) for a in actions] == [UpdateSummary, Delete]
    assert isinstance(actions[0], UpdateSummary) and "no findings" in actions[0].body


@pytest.mark.parametrize("findings", [[], [finding()]])
def test_a_conversation_is_left_alone(findings: list[dict[str, Any]]) -> None:
    old = after(posted(finding()), line=None, replied=True)
    assert not [a for a in plan(read(data(*findings)), old, GITHUB) if not isinstance(a, UpdateSummary)]


@pytest.mark.parametrize("findings", [[], [finding()], [finding(message="now other words")]])
@pytest.mark.parametrize("line", [None, 20])
def test_what_people_resolved_stays_resolved(findings: list[dict[str, Any]], line: int | None) -> None:
    old = after(posted(finding()), line=line, resolved=True)
    assert not [a for a in plan(read(data(*findings)), old, GITHUB) if not isinstance(a, UpdateSummary)]


def test_a_comment_says_how_to_silence_it() -> None:
    (note,) = posted(finding()).notes
    name = finding()["transform"]
    assert f"`// ebpffix: ignore[{name}]`" in note.body and f"`ebpffix --explain {name}`" in note.body


def test_a_changed_one_is_updated() -> None:
    (update,) = (
        a
        for a in plan(read(data(finding(message="now other words"))), after(posted(finding())), GITHUB)
        if not isinstance(a, UpdateSummary)
    )
    assert isinstance(update, Update) and update.id == "0" and "now other words" in update.body


def test_doubles_go() -> None:
    state = after(posted(finding()))
    state = replace(state, comments=(replace(state.comments[0], id="old", line=None), *state.comments))
    assert plan(read(data(finding())), state, GITHUB) == [Delete("old")]


def test_without_the_mark_nothing_is_touched() -> None:
    body = f"see <!-- ebpffix:{1:032x} --> above"
    state = replace(EMPTY, comments=(Existing("1", PATH, 20, 20, body, False),))
    (action,) = plan(read(data(finding())), state, GITHUB)
    assert isinstance(action, Post)


def test_new_comments_in_gitlab_keep_the_one_summary() -> None:
    first = posted(finding(1), flavour=GITLAB)
    post, update = plan(read(data(finding(1), finding(2))), after(first), GITLAB)
    assert isinstance(post, Post) and post.body is None and [n.key for n in post.notes] == [f"{2:032x}"]
    assert isinstance(update, UpdateSummary)


def test_refused_ones_are_told_in_the_summary() -> None:
    (post,) = plan(read(data(finding())), EMPTY, GITHUB, {f"{1:032x}": "line must be part of the diff"})
    assert isinstance(post, Post) and post.notes == ()
    assert post.body and "refused: line must be part of the diff" in post.body


def test_what_was_not_analysed_is_told() -> None:
    files = [{"status": "failed"}, {"status": "partial"}, {"status": "skipped"}]
    (post,) = plan(read(data(finding(), files=files)), EMPTY, GITHUB)
    assert isinstance(post, Post) and post.body and "2 files analysed in part or not at all" in post.body


def test_a_summary_has_an_end() -> None:
    many = [finding(n, line=1000 + n, message="word " * 100) for n in range(1, 3000)]
    body = posted(*many).body
    assert body and len(body.encode()) <= MAX_BODY and "more in the report" in body and body.endswith(SUMMARY)


def test_a_suggestion_makes_of_the_file_what_the_fix_makes_of_it(tmp_path: Path) -> None:
    """With a real report: the whole of the fix, no more, and for every finding of the samples."""
    for path in SAMPLES:
        shutil.copy(path, tmp_path)
    result = CliRunner().invoke(ebpffix, [str(tmp_path), "--output-format", "json", "--no-cache"])
    assert result.exit_code == 1, result.output
    report = read(json.dumps({**json.loads(result.stdout), "head_sha": HEAD}).encode())
    sources = {path: (tmp_path / Path(path).name).read_text() for path in {f.path for f in report.findings}}
    files = {path: changed_file(path, path, patch_that_adds(text)) for path, text in sources.items()}
    (post,) = plan(report, replace(EMPTY, files=files), GITHUB)
    assert isinstance(post, Post) and len(post.notes) == len(report.findings) >= 4
    for found, one in zip(report.findings, post.notes, strict=True):
        lines = sources[found.path].splitlines(keepends=True)
        fixed = list(lines)
        for each in reversed(found.hunks):
            assert tuple(fixed[each.start_line - 1 : each.end_line]) == each.old
            fixed[each.start_line - 1 : each.end_line] = each.new
        lines[one.place.start_line - 1 : one.place.line] = [block(one.body)]
        assert "".join(lines) == "".join(fixed) and one.key == found.fingerprint


def patch_that_adds(text: str) -> str:
    lines = text.splitlines()
    return f"@@ -0,0 +1,{len(lines)} @@\n" + "\n".join(f"+{line}" for line in lines)
