"""Workflow commands of GitHub Actions: printed by a job, they become annotations on the lines of the pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_LEVELS = {"safe": "warning", "suggested": "warning", "advice": "notice"}
_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_DATA, ":": "%3A", ",": "%2C"}


def render(report: dict[str, Any]) -> bytes:
    """One command a line; nothing if there is nothing to say."""
    return "".join(f"{command}\n" for command in _commands(report)).encode("utf-8", "replace")


def _commands(report: dict[str, Any]) -> Iterator[str]:
    for error in report["summary"]["errors"]:
        yield _command("error", {"title": "ebpffix"}, error)
    for file in report["files"]:
        if file["status"] in ("failed", "partial"):
            level = "error" if file["status"] == "failed" else "notice"
            title = "not analysed" if file["status"] == "failed" else "partly analysed"
            yield _command(level, {"file": file["path"], "title": f"ebpffix: {title}"}, "\n".join(file["notes"]))
    for dropped in report["summary"]["dropped"]:
        message = f"{dropped['transform']}: a fix was left out: {dropped['reason']}"
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
    lines = [finding["message"]]
    if finding["reason"]:
        lines.append(f"({finding['reason']})")
    if finding["proof"]:
        lines.append(f"--verify: {finding['proof']['verdict']}")
    for hunk in finding["hunks"]:
        lines += ["", *(f"-{line.rstrip()}" for line in hunk["old"]), *(f"+{line.rstrip()}" for line in hunk["new"])]
    return "\n".join(lines)


def _command(level: str, properties: dict[str, object], message: str) -> str:
    given = ",".join(f"{name}={_escaped(str(value), _PROPERTY)}" for name, value in properties.items())
    return f"::{level} {given}::{_escaped(message, _DATA)}"


def _escaped(text: str, escapes: dict[str, str]) -> str:
    # Other characters that end a line for somebody, and control characters, must not reach a log either.
    plain = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029]", "\ufffd", text)
    return "".join(escapes.get(character, character) for character in plain)
