"""Reports for the tests of formats: one of every fixture, and one in which every text is hostile."""

from __future__ import annotations

import functools
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from support import cases, ebpffix, git

from ebpffix.fix import Edit, Fix, Safety, Span, apply
from ebpffix.report.model import model
from ebpffix.rewriting.found import Applied, Found
from ebpffix.run.analyse import Status
from ebpffix.run.engine import Report
from ebpffix.run.status import File
from ebpffix.sources.source import Source
from ebpffix.verify.load import ProgramResult
from ebpffix.verify.proof import ProgramProof, Proof
from ebpffix.verify.session import Loads

# What ends a line, an element, an attribute, a fence, a command or a string for somebody.
HOSTILE = (
    "</td></script><script>alert(1)</script><img src=x onerror='alert(2)'>\"&amp;`````%0A##[error]::stop-commands::"
)
NAME = os.fsdecode(b"evil/a b\n::error file=x,line=1::%25,:<b>\"'\xff\xe2\x80\xae.bpf.c")


@functools.cache
def of_fixtures() -> tuple[dict[str, Any], dict[str, bytes]]:
    """The report of a tree with every fixture, and the tree's files by path."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for case in cases():
            for name, data in case.files.items():
                path = tree / case.transform / case.name / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        git("init", "-q", cwd=tree)
        done = ebpffix("--unsafe-fixes", "--output-format", "json", cwd=tree)
        report = json.loads(done.out.encode("latin-1"))
        return report, {file["path"]: (tree / file["path"]).read_bytes() for file in report["files"]}


def hostile_report() -> Report:
    """A report in which names, messages, code and logs are hostile."""
    path, plain = Path.cwd() / NAME, Path.cwd() / "evil" / "latin.bpf.c"
    code = f'\ufeffint a = 1; char *s = "\U0001f41d{HOSTILE}"; int b = 2;\r\nint c;\r\nint é = 3; int d;'.encode()
    latin = 'char *s = "é\u00ad"; int e;\n'.encode("latin-1")
    before = {path: code, plain: latin}

    def found(path: Path, safety: Safety, text: bytes, new: bytes | None, *more: Edit) -> Found:
        start = before[path].index(text)
        span = Span(path, start, start + len(text))
        edits = [] if new is None else [Edit(path, start, span.end, new), *more]
        reason = "" if safety is Safety.SAFE else f"reason {HOSTILE}\r\n\x1b[31m"
        return Found("padded-init", Fix(span, f"message {HOSTILE}\n[x](http://evil)", safety, edits, reason), path)

    safe = found(path, Safety.SAFE, b"int b = 2", HOSTILE.encode(), Edit(path, len(code), len(code), b"\n// end"))
    applied = Applied(safe.transform, safe.fix, safe.program, 1)
    remaining = [
        found(path, Safety.SUGGESTED, b"int c;\r\n", b""),
        found(path, Safety.ADVICE, b"int d", None),
        found(plain, Safety.SUGGESTED, b"int e", b"int f"),
        found(plain, Safety.ADVICE, b"int e", None),
    ]
    log = ProgramProof(f"p{HOSTILE}", "rejected", "accepted", None, 7, f"log {HOSTILE}\0\x1b[0m\n", f"why {HOSTILE}")
    files = [
        File(path, "libbpf", Status.PARTIAL, Source(path, code).encoding, [f"note {HOSTILE}\n", "second"]),
        File(plain, "bcc", Status.FAILED, "latin-1", [f"note {HOSTILE}"]),
    ]
    report = Report(files, before, {}, [applied], remaining, [(remaining[0], f"dropped {HOSTILE}")], [f"no {HOSTILE}"])
    report.proofs[applied.identity] = Proof("fixed", f"6.1{HOSTILE}", f"clang{HOSTILE}", (log,), f"reason {HOSTILE}")
    said = f"0: (95) exit\nR1 {HOSTILE}\x1b[2J\n"
    refused = ProgramResult(f"p{HOSTILE}\n", f"xdp{HOSTILE}", "rejected", 3, said, "", f"6.1{HOSTILE}\n")
    untried = ProgramResult(f"p{HOSTILE}\n", f"xdp{HOSTILE}", "untried", reason=f"why {HOSTILE}\n\x1b[2J")
    report.loads = [Loads(path, (refused, untried)), Loads(plain, error=f"error {HOSTILE}\n\x1b[2J")]
    return report


def hostile() -> tuple[dict[str, Any], dict[str, bytes]]:
    """The same as `model` makes it, and the files by path."""
    report = hostile_report()
    path, plain = report.before
    made = model(report, head_sha="0" * 40)
    return made, {
        finding["path"]: report.before[path if "\n" in finding["path"] else plain] for finding in made["findings"]
    }


def after(finding: dict[str, Any], files: dict[str, bytes]) -> dict[str, bytes]:
    """The files that a finding's own edits change, with these made."""
    changed = {}
    for path in {edit["path"] for edit in finding["edits"]}:
        encoding = "utf-8" if Source(Path(path), files[path]).encoding != "latin-1" else "latin-1"
        edits = [e for e in finding["edits"] if e["path"] == path]
        made = [Edit(Path(path), e["start"], e["end"], e["text"].encode(encoding)) for e in edits]
        changed[path] = apply(files[path], made)
    return changed


def text_of(data: bytes) -> str:
    """A file's text as an editor holds it: without a byte order mark."""
    encoding = Source(Path(), data).encoding
    return data.decode(encoding)
