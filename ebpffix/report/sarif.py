"""SARIF 2.1.0: what code scanning, editors and archives of findings read. Every fix is against the file as it was."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ebpffix.report import plain
from ebpffix.report.places import encodings, unit_column, units, uri, without_mark
from ebpffix.shown import visible

if TYPE_CHECKING:
    from ebpffix.transform import Registered

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "%SRCROOT%"
_LEVELS = {"safe": "warning", "suggested": "warning", "advice": "note"}
_STATUS_LEVELS = {"failed": "error", "partial": "warning"}


def render(report: dict[str, Any]) -> bytes:
    """One run. Rules are the transforms with a finding; their help is the page that `--explain` prints, where the
    transform is installed."""
    names = sorted({finding["transform"] for finding in report["findings"]})
    encoding = encodings(report)
    run = {
        "tool": {"driver": _driver(report["tool"], names)},
        "columnKind": "utf16CodeUnits",
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The root of the git tree that was read."}}},
        "invocations": [_invocation(report)],
        "artifacts": [
            {"location": _location(file["path"]), "sourceLanguage": "c", "encoding": _encoding(file["encoding"])}
            for file in report["files"]
        ],
        "results": [_result(f, names.index(f["transform"]), encoding.get(f["path"], "")) for f in report["findings"]],
    }
    return plain.render({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _driver(tool: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    from ebpffix.transform import load_transforms

    known = load_transforms()
    rules = [_rule(name, known.get(name)) for name in names]
    return {"name": tool["name"], "version": tool["version"], "semanticVersion": tool["version"], "rules": rules}


def _rule(name: str, known: Registered | None) -> dict[str, Any]:
    pascal = "".join(part.capitalize() for part in re.split(r"\W+", name))
    rule: dict[str, Any] = {"id": name, "name": pascal}
    if known:
        from ebpffix.report.explain import markdown, page, url

        rule |= {
            "shortDescription": {"text": _sentence(known.page.split("\n\n")[0] or known.facts.summary)},
            "fullDescription": {"text": _sentence(known.facts.summary)},
            "help": {"text": page(known), "markdown": markdown(known)},
            "defaultConfiguration": {"level": "warning"},
        }
        rule |= {"helpUri": url(known)} if url(known) else {}
    return rule


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith(".") else f"{text}."


def _invocation(report: dict[str, Any]) -> dict[str, Any]:
    """What could not be read or understood, and the fixes that were left out: else such a file would look clean."""
    summary = report["summary"]
    notes = [_notification("error", error) for error in summary["errors"]]
    for file in report["files"]:
        if level := _STATUS_LEVELS.get(file["status"]):
            notes.append(_notification(level, f"{file['status']}: {'; '.join(file['notes'])}", file["path"]))
    for dropped in summary["dropped"]:
        said = f"{dropped['transform']}: a fix was left out: {dropped['reason']}"
        notes.append(_notification("note", said, dropped["path"]))
    failed = any(note["level"] == "error" for note in notes)
    return {"executionSuccessful": not failed, "toolExecutionNotifications": notes}


def _notification(level: str, text: str, path: str = "") -> dict[str, Any]:
    places = [{"physicalLocation": {"artifactLocation": _location(path)}}] if path else []
    return {"level": level, "message": _message(text), "locations": places}


def _result(finding: dict[str, Any], rule: int, encoding: str) -> dict[str, Any]:
    reason = f" ({finding['reason']})" if finding["reason"] else ""
    proof = finding["proof"]
    result: dict[str, Any] = {
        "ruleId": finding["transform"],
        "ruleIndex": rule,
        "level": _LEVELS[finding["safety"]],
        "message": _message(f"{finding['message']} [{finding['safety']}]{reason}"),
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": _location(finding["path"]),
                    "region": _region(finding, encoding),
                }
            }
        ],
        "partialFingerprints": {"ebpffix/v1": finding["fingerprint"]},
        "properties": {"safety": finding["safety"]} | ({"verdict": proof["verdict"]} if proof else {}),
    }
    if finding["hunks"]:
        result["fixes"] = [{"description": _message(finding["message"]), "artifactChanges": list(_changes(finding))}]
    return result


def _region(finding: dict[str, Any], encoding: str) -> dict[str, Any]:
    lines = finding["source"]
    start, end = finding["line"], finding["end_line"]
    last = lines[end - start] if end - start < len(lines) else ""
    return {
        "startLine": start,
        "startColumn": unit_column(lines[0] if lines else "", finding["column"], encoding),
        "endLine": end,
        "endColumn": unit_column(last, finding["end_column"], encoding),
        "snippet": {"text": "".join(lines)},
    }


def _changes(finding: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The changes file by file; those of one file together, in order."""
    for path in dict.fromkeys(hunk["path"] for hunk in finding["hunks"]):
        hunks = [hunk for hunk in finding["hunks"] if hunk["path"] == path]
        yield {"artifactLocation": _location(path), "replacements": [_replacement(hunk) for hunk in hunks]}


def _replacement(hunk: dict[str, Any]) -> dict[str, Any]:
    """Whole lines: from the first column of the first to that of the line after the last, or where the last line has
    no end, to behind its last character."""
    old, new = without_mark(hunk)
    start, end, column = hunk["start_line"], hunk["end_line"] + 1, 1
    if old and not old[-1].endswith("\n"):
        end, column = hunk["end_line"], units(old[-1]) + 1
    region = {"startLine": start, "startColumn": 1, "endLine": end, "endColumn": column}
    return {"deletedRegion": region, "insertedContent": {"text": "".join(new)}}


def _location(path: str) -> dict[str, str]:
    return {"uri": uri(path), "uriBaseId": _ROOT}


def _message(text: str) -> dict[str, str]:
    """A message whose text comes from a program: no `[…](…)` in it may become a link."""
    text = visible(text)
    return {"text": re.sub(r"[\[\]\\]", r"\\\g<0>", text) if re.search(r"\]\s*\(", text) else text}


def _encoding(name: str) -> str:
    return {"latin-1": "ISO-8859-1"}.get(name, "UTF-8")
