"""GitLab's code quality report: a list of issues, shown in the merge request and beside its lines."""

from __future__ import annotations

from typing import Any

from ebpffix.report import plain
from ebpffix.shown import visible

_SEVERITIES = {"safe": "major", "suggested": "minor", "advice": "info"}


def render(report: dict[str, Any]) -> bytes:
    """All findings; a file that could not be analysed is an issue too, else it would look clean."""
    failed = [file for file in report["files"] if file["status"] == "failed"]
    return plain.render([_issue(finding) for finding in report["findings"]] + [_failure(file) for file in failed])


def _issue(finding: dict[str, Any]) -> dict[str, Any]:
    reason = f" ({finding['reason']})" if finding["reason"] else ""
    return {
        "description": visible(f"{finding['message']} [{finding['safety']}]{reason}"),
        "check_name": finding["transform"],
        "fingerprint": finding["fingerprint"],
        "severity": _SEVERITIES[finding["safety"]],
        "location": {"path": finding["path"], "lines": {"begin": finding["line"], "end": finding["end_line"]}},
    }


def _failure(file: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": visible(f"not analysed: {'; '.join(file['notes'])}"),
        "check_name": "ebpffix",
        "fingerprint": f"not-analysed:{file['path']}",
        "severity": "critical",
        "location": {"path": file["path"], "lines": {"begin": 1, "end": 1}},
    }
