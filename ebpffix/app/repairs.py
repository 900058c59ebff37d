"""`--repair`: what is printed or written in each mode, and the exit code.

0: nothing is refused, or all of it was repaired and written. 1: something is refused. 2: an error.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from ebpffix.app.modes import Output
from ebpffix.repair.registry import Known
from ebpffix.report import repairs as report
from ebpffix.report.model import display
from ebpffix.report.text import name
from ebpffix.rewriting.patch import unified
from ebpffix.run.repairs import Repairs, repair_all
from ebpffix.run.settings import Settings
from ebpffix.sources.discover import Discovery
from ebpffix.verify.session import Verifier
from ebpffix.write import replace_content

Mode = Literal["list", "diff", "apply"]


def run(
    discovery: Discovery,
    settings: Settings,
    verifier: Verifier,
    strategies: Sequence[Known],
    mode: Mode,
    output: Output,
) -> int:
    """Repair all programs of a discovery."""
    repairs = repair_all(discovery, settings, verifier, strategies, unsafe=settings.unsafe)
    unwritten = _write(repairs, output) if mode == "apply" else set[Path]()
    if output.format == "json":
        result = report.as_json(repairs)
        if output.file:
            replace_content(output.file, result)
        else:
            sys.stdout.buffer.write(result)
    elif mode == "diff":
        sys.stdout.buffer.write(b"".join(_diff(repairs)))
    elif not (mode == "apply" and output.stdin):
        for one in repairs.repairs:
            for line in report.lines(one):
                print(line)
    sys.stdout.flush()
    for problem in repairs.problems:
        print(f"ebpffix: {problem}", file=sys.stderr)
    if output.format == "text":
        print(report.summary(repairs), file=sys.stderr)
    return _code(repairs, mode, unwritten)


def _diff(repairs: Repairs) -> list[bytes]:
    parts = []
    for one in repairs.repairs:
        shown = {p: d for p, d in one.changed.items() if repairs.changed.get(p) == d}
        parts.append(report.headed(one) if one.found and one.found.made else b"")
        parts += [unified(display(p), repairs.before[p], data) for p, data in sorted(shown.items())]
    return parts


def _write(repairs: Repairs, output: Output) -> set[Path]:
    """Write the files that change; those that could not be."""
    failed = set()
    for path, data in sorted(repairs.changed.items()):
        if output.stdin:
            sys.stdout.buffer.write(data)
            continue
        try:
            replace_content(path, data)
        except OSError as error:
            failed.add(path)
            print(f"ebpffix: {name(path)}: cannot be written: {error.strerror}; it is as it was", file=sys.stderr)
    return failed


def _code(repairs: Repairs, mode: Mode, unwritten: set[Path]) -> int:
    status = {one.status for one in repairs.repairs}
    if unwritten or repairs.problems or repairs.errors or status & {"untried", "uncompilable"}:
        return 2
    if mode == "apply":
        left = [r for r in repairs.repairs if r.found and (not r.found.repaired or not _taken(r.changed, repairs))]
        return int(bool(left))
    return int(bool(status & {"repaired", "partial", "stuck"}))


def _taken(changed: Mapping[Path, bytes], repairs: Repairs) -> bool:
    return all(repairs.changed.get(p) == d for p, d in changed.items())
