"""Workflow commands of GitHub Actions: printed by a job, they become annotations on the lines of the pull request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ebpffix.shown import visible, visible_code

_LEVELS = {"safe": "warning", "suggested": "warning", "advice": "notice"}
_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_DATA, ":": "%3A", ",": "%2C"}


def render(report: dict[str, Any]) -> bytes:
    """One command a line; nothing if there is nothing to say."""
    return "".join(f"{command}\n" for command in _commands(report)).encode("utf-8", "replace")


def _commands(report: dict[str, Any]) -> Iterator[str]:
    for error in report["summary"]["errors"]:
        yield _command("error", {"title": "ebpffix"}, visible(error))
    for file in report["files"]:
        if file["status"] in ("failed", "partial"):
            level = "error" if file["status"] == "failed" else "notice"
            title = "not analysed" if file["status"] == "failed" else "partly analysed"
            yield _command(
                level, {"file": file["path"], "title": f"ebpffix: {title}"}, "\n".join(map(visible, file["notes"]))
            )
    for dropped in report["summary"]["dropped"]:
        message = f"{dropped['transform']}: a fix was left out: {visible(dropped['reason'])}"
        yield _command("notice", {"file": dropped["path"], "title": "ebpffix"}, message)
    for finding in report["findings"]:
        yield _command(_LEVELS[finding["safety"]], _place(finding), _message(finding))


def _place(finding: dict[str, Any]) -> dict[str, object]:
    place = {"file": finding["path"], "line": finding["line"], "endLine": finding["end_line"]}
    if finding["line"] == finding["end_line"]:  # columns of several lines are refused
        place |= {"col": finding["column"], "endColumn": finding["end_column"]}
    return place | {"title": f"{finding['transform']} [{finding['safety']}]"}


def _message(finding: dict[str, Any]) -> str:
    """The message, why the fix is doubtful, what was proven, and the new lines: an annotation has no better place."""
    lines = [visible(finding["message"])]
    if finding["reason"]:
        lines.append(f"({visible(finding['reason'])})")
    if finding["proof"]:
        lines.append(f"--verify: {finding['proof']['verdict']}")
    for hunk in finding["hunks"]:
        lines.append("")
        for mark, side in (("-", hunk["old"]), ("+", hunk["new"])):
            lines += (f"{mark}{visible_code(line.rstrip())}" for line in side)
    return "\n".join(lines)


def _command(level: str, properties: dict[str, object], message: str) -> str:
    given = ",".join(f"{name}={_escaped(str(value), _PROPERTY)}" for name, value in properties.items())
    return f"::{level} {given}::{_escaped(message, _DATA)}"


def _escaped(text: str, escapes: dict[str, str]) -> str:
    # What a file's name may have, and neither a log nor a terminal should get.
    plain = "".join(c if c.isprintable() or c in "\r\n\t" else "\ufffd" for c in text)
    return "".join(escapes.get(character, character) for character in plain)
