"""Reviewdog's diagnostic format. Suggestions replace whole lines, which is what review comments can hold. Messages
become Markdown there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ebpffix.report import plain
from ebpffix.report.places import without_mark
from ebpffix.shown import faithful, inline

_SEVERITIES = {"safe": "WARNING", "suggested": "WARNING", "advice": "INFO"}


def render(report: dict[str, Any]) -> bytes:
    """One DiagnosticResult; a file that could not be analysed is a diagnostic too, else it would look clean."""
    tool = {"name": report["tool"]["name"]}
    failed = [file for file in report["files"] if file["status"] == "failed"]
    diagnostics = [_diagnostic(finding) for finding in report["findings"]] + [_failure(file) for file in failed]
    return plain.render({"source": tool, "severity": "WARNING", "diagnostics": diagnostics})


def _diagnostic(finding: dict[str, Any]) -> dict[str, Any]:
    message = f"{inline(finding['message'])} [{finding['safety']}]"
    if finding["reason"]:
        message += f" ({inline(finding['reason'])})"
    if len(finding["hunks"]) > 1:
        message += "; the fix changes several places, which `ebpffix --diff` shows"
    return {
        "message": message,
        "location": {
            "path": finding["path"],
            "range": _range((finding["line"], finding["column"]), (finding["end_line"], finding["end_column"])),
        },
        "severity": _SEVERITIES[finding["safety"]],
        "code": {"value": finding["transform"]},
        "suggestions": list(_suggestions(finding)),
    }


def _suggestions(finding: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The fix, if it is one change in the finding's own file: suggestions are taken one by one, and half a fix breaks
    the program; and if all of it can be seen. Lines without columns are replaced whole, and none are left of an empty
    text."""
    if len(finding["hunks"]) != 1 or finding["hunks"][0]["path"] != finding["path"]:
        return
    (hunk,) = finding["hunks"]
    old, new = without_mark(hunk)
    if not faithful(new):
        return
    start, end, text = hunk["start_line"], hunk["end_line"], "".join(new)
    if not old:
        yield {"range": _range((start, 1), (start, 1)), "text": text}
    elif new and not text.removesuffix("\n"):
        yield {"range": _range((start, 1), (end + 1, 1)), "text": text}
    else:
        yield {"range": {"start": {"line": start}, "end": {"line": end}}, "text": text.removesuffix("\n")}


def _range(start: tuple[int, int], end: tuple[int, int]) -> dict[str, Any]:
    """From a line and column to another, the end left out."""
    return {"start": {"line": start[0], "column": start[1]}, "end": {"line": end[0], "column": end[1]}}


def _failure(file: dict[str, Any]) -> dict[str, Any]:
    message = f"not analysed: {inline('; '.join(file['notes']))}"
    return {"message": message, "location": {"path": file["path"]}, "severity": "ERROR", "code": {"value": "ebpffix"}}
