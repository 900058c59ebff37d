"""What others publish of their formats, said again as JSON Schema: no more than what ebpffix may write."""

from __future__ import annotations

from typing import Any


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    properties = {**required, **(optional or {})}
    return {"type": "object", "properties": properties, "required": [*required], "additionalProperties": False}


def _list(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of}


def _one_of(*names: str) -> dict[str, Any]:
    return {"enum": list(names)}


_TEXT = {"type": "string"}
_NUMBER = {"type": "integer", "minimum": 1}
_PATH = {"type": "string", "pattern": r"^(?!\.?/)"}  # relative to the repository, without "./"

# GitLab, "Code quality report format": the parts that it reads of Code Climate's issues.
GITLAB = _list(
    _object(
        {
            "description": _TEXT,
            "check_name": _TEXT,
            "fingerprint": {"type": "string", "minLength": 1},
            "severity": _one_of("info", "minor", "major", "critical", "blocker"),
            "location": _object({"path": _PATH, "lines": _object({"begin": _NUMBER}, {"end": _NUMBER})}),
        }
    )
)

# reviewdog, the message DiagnosticResult of its rdf as JSON. A line is always given; a column only with a line.
_SEVERITY = _one_of("UNKNOWN_SEVERITY", "ERROR", "WARNING", "INFO")
_POSITION = _object({"line": _NUMBER}, {"column": _NUMBER})
_RANGE = _object({"start": _POSITION}, {"end": _POSITION})
_SOURCE = _object({"name": _TEXT}, {"url": _TEXT})
RDJSON = _object(
    {
        "diagnostics": _list(
            _object(
                {"message": _TEXT, "location": _object({"path": _PATH}, {"range": _RANGE})},
                {
                    "severity": _SEVERITY,
                    "source": _SOURCE,
                    "code": _object({"value": _TEXT}, {"url": _TEXT}),
                    "suggestions": _list(_object({"range": _RANGE, "text": _TEXT})),
                },
            )
        )
    },
    {"source": _SOURCE, "severity": _SEVERITY},
)

# GitHub's workflow commands: what each may be given. Columns only on one line.
_COUNT = {"type": "string", "pattern": "^[1-9][0-9]*$"}
GITHUB = {
    **_object({"title": _TEXT}, {"file": _TEXT, "line": _COUNT, "endLine": _COUNT, "col": _COUNT, "endColumn": _COUNT}),
    "dependentRequired": {"line": ["file"], "endLine": ["line"], "col": ["line"], "endColumn": ["col"]},
}
