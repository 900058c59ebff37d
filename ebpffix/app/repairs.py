"""`--repair`: what is printed or written in each mode, and the exit code.

0: nothing is refused, or all of it was repaired and written. 1: something is refused. 2: an error.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Literal

from ebpffix.app.modes import Output, shown
from ebpffix.app.said import Said
from ebpffix.repair.registry import Known
from ebpffix.report import repairs as report
from ebpffix.report.places import display
from ebpffix.report.text import name
from ebpffix.rewriting.patch import unified
from ebpffix.run import proposals
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
) -> Said:
    """Repair all programs of a discovery."""
    repairs = repair_all(discovery, settings, verifier, strategies, unsafe=settings.unsafe)
    unwritten = _write(repairs) if mode == "apply" and not output.stdin else {}
    out = b""
    if output.format == "json":
        out = report.as_json(repairs)
    elif mode == "diff":
        out = shown(b"".join(_diff(repairs)), output)
    elif mode == "apply" and output.stdin:
        out = shown(b"".join(data for _, data in sorted(repairs.changed.items())), output)
    else:
        lines = (line for one in repairs.repairs for line in report.lines(one))
        out = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
    if output.format == "json" and output.file:
        replace_content(output.file, out)
        out = b""
    err = [*unwritten.values(), *(f"ebpffix: {problem}" for problem in repairs.problems)]
    if output.format == "text":
        err.append(report.summary(repairs))
    return Said(_code(repairs, mode, unwritten.keys()), out, tuple(err))


def propose(
    log: BinaryIO, discovery: Discovery, settings: Settings, strategies: Sequence[Known], output: Output
) -> Said:
    """What would cure the refusals of a log, as one diff with a word on each in front; nothing of it is proven."""
    parts: list[bytes] = []
    found = list(proposals.propose(log, discovery, settings, strategies))
    for one in found:
        parts += (f"# {line}\n".encode("utf-8", "surrogateescape") for line in report.proposed(one))
        parts += [unified(display(path), one.before[path], data) for path, data in sorted(one.after.items())]
    err = () if found else ("No refused load in this log.",)
    return Said(int(bool(found)), shown(b"".join(parts), output), err)


def _diff(repairs: Repairs) -> list[bytes]:
    parts = []
    for one in repairs.repairs:
        taken = {p: d for p, d in one.changed.items() if repairs.changed.get(p) == d}
        parts.append(report.headed(one) if one.found and one.found.made else b"")
        parts += [unified(display(p), repairs.before[p], data) for p, data in sorted(taken.items())]
    return parts


def _write(repairs: Repairs) -> dict[Path, str]:
    """Write the files that change; of those that could not be, why."""
    failed = {}
    for path, data in sorted(repairs.changed.items()):
        try:
            replace_content(path, data)
        except OSError as error:
            failed[path] = f"ebpffix: {name(path)}: cannot be written: {error.strerror}; it is as it was"
    return failed


def _code(repairs: Repairs, mode: Mode, unwritten: Collection[Path]) -> int:
    status = {one.status for one in repairs.repairs}
    if unwritten or repairs.problems or repairs.errors or status & {"untried", "uncompilable"}:
        return 2
    if mode == "apply":
        left = [r for r in repairs.repairs if r.found and (not r.found.repaired or not _taken(r.changed, repairs))]
        return int(bool(left))
    return int(bool(status & {"repaired", "partial", "stuck"}))


def _taken(changed: Mapping[Path, bytes], repairs: Repairs) -> bool:
    return all(repairs.changed.get(p) == d for p, d in changed.items())
