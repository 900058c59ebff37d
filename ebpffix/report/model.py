"""The findings of a run as plain data: the JSON report, version 1, from which every other format is made.

Paths are relative to the root of the git tree (else to the current folder), with slashes. Offsets are 0-based bytes of
the file before the run; lines and columns are 1-based, columns in bytes; ends are exclusive.
"""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any

from ebpffix import __version__
from ebpffix.fix import Safety, Spanned, apply
from ebpffix.report.places import display
from ebpffix.rewriting.found import Found, edits_by_path
from ebpffix.rewriting.patch import hunks
from ebpffix.run.engine import Report
from ebpffix.sources.source import Source

VERSION = 1  # of the report: schema.json beside this file says what is in it


def model(report: Report, *, head_sha: str = "") -> dict[str, Any]:
    """The whole report. `head_sha` is the commit that the working tree is at, if there is one."""
    seen: Counter[str] = Counter()
    sources = {path: Source(path, data) for path, data in report.before.items()}
    findings = []
    for found in report.findings:
        entry = _finding(found, sources)
        base = entry["fingerprint"]
        seen[base] += 1
        entry["fingerprint"] = base if seen[base] == 1 else f"{base}-{seen[base]}"
        proof = report.proofs.get(found.identity)
        entry["proof"] = asdict(proof) if proof else None
        findings.append(entry)
    document = {
        "version": VERSION,
        "tool": {"name": "ebpffix", "version": __version__},
        "head_sha": head_sha,
        "files": [
            {
                "path": display(file.path),
                "dialect": file.dialect,
                "status": str(file.status),
                "encoding": file.encoding,
                "notes": [*file.notes, *file.ignores],
            }
            for file in report.files
        ],
        "findings": findings,
        "summary": summary(report),
    }
    if report.loads:
        from ebpffix.report import kernels

        document["kernels"] = kernels.rows(report)
    return document


def summary(report: Report) -> dict[str, Any]:
    """Counts: of files by status, of findings by safety, of fixes made and dropped, and the dropped ones' reasons."""
    files = Counter(str(file.status) for file in report.files)
    safety = Counter(str(found.fix.safety) for found in report.findings)
    return {
        "files": {status: files.get(status, 0) for status in ("analysed", "partial", "skipped", "failed")},
        "findings": {str(s): safety.get(str(s), 0) for s in Safety},
        "applied": len(report.applied),
        "changed_files": len(report.changed),
        "dropped": [
            {"transform": found.transform, "path": display(found.fix.at.path), "reason": reason}
            for found, reason in report.dropped
        ],
        "errors": list(report.errors),
        "proofs": dict(Counter(proof.verdict for proof in report.proofs.values())),
    }


def fingerprint(found: Found, source: Source) -> str:
    """What stays the same of a finding while the code around it changes: a hash over its transform, its file, its text
    and the lines that hold it, blanks aside, and the count of equal ones above. `source` is the file before the run.

    Two findings have the same one only if one transform says two things of one place.
    """
    at = found.fix.at
    start, end = source.line_start(at.start), source.line_end(max(at.start, at.end - 1))
    text = source.data[at.start : at.end]
    parts = (
        found.transform.encode(),
        os.fsencode(display(at.path)),
        _squeezed(source.data[start:end]),
        b"%d" % _lines_before(source, start),
        _squeezed(text),
        b"%d" % (source.data.count(text, start, at.start) if text else 0),
    )
    return blake2b(b"\0".join(parts), digest_size=16).hexdigest()


def _lines_before(source: Source, start: int) -> int:
    """How many lines above the one that starts there read the same."""
    line = _squeezed(source.data[start : source.line_end(start)])
    return sum(_squeezed(above) == line for above in source.data[:start].split(b"\n"))


def _squeezed(code: bytes) -> bytes:
    return b" ".join(code.split())


def _source_lines(at: Spanned, source: Source) -> list[str]:
    """The whole lines that hold a span, with their ends, decoded as `hunks` does."""
    data = source.data[source.line_start(at.start) : source.line_end(max(at.start, at.end - 1))]
    encoding = "latin-1" if source.encoding == "latin-1" else "utf-8"
    return [line.decode(encoding) for line in io.BytesIO(data)]


def _finding(found: Found, sources: Mapping[Path, Source]) -> dict[str, Any]:
    fix = found.fix
    source = sources[fix.at.path]
    return {
        "transform": found.transform,
        "path": display(fix.at.path),
        "line": source.line(fix.at.start),
        "column": source.column(fix.at.start),
        "end_line": source.line(fix.at.end),
        "end_column": source.column(fix.at.end),
        "message": fix.message,
        "safety": str(fix.safety),
        "reason": fix.reason,
        "origin": list(fix.origin),
        "fingerprint": fingerprint(found, source),
        "source": _source_lines(fix.at, source),
        "edits": [{"path": display(e.path), "start": e.start, "end": e.end, "text": _text(e.text)} for e in fix.edits],
        "hunks": [
            {"path": display(path), "start_line": h.start_line, "end_line": h.end_line, "old": h.old, "new": h.new}
            for path, edits in edits_by_path([found]).items()
            for h in hunks(sources[path].data, apply(sources[path].data, edits))
        ],
    }


def _text(data: bytes) -> str:
    """Text for JSON: UTF-8 where it is, else Latin-1 (the file's `encoding` says which)."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
