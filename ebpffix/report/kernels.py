"""Each program of a run in each kernel, as plain data, and as lines for people: where which kernel refuses which."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ebpffix.report import rejection
from ebpffix.report.places import display
from ebpffix.report.text import name
from ebpffix.run.engine import Report
from ebpffix.shown import visible
from ebpffix.sources.source import Source
from ebpffix.verify.load import ProgramResult, kernel_release
from ebpffix.verify.logs import Rejection, locate, read
from ebpffix.verify.objects import programs
from ebpffix.verify.session import Loads


def any_refused(report: Report) -> bool:
    """Whether a compiler or a kernel refuses a program."""
    return any(loads.error or any(r.verdict == "rejected" for r in loads.results) for loads in report.loads)


def rows(report: Report) -> list[dict[str, Any]]:
    """One for each program: `verdicts` in the order of the kernels, the oldest first, and `refused`, what the first
    of them says that refuses it. A file that does not compile has one row, in which the compiler refuses."""
    return [_row(report, loads, results) for loads, results in _programs(report)] + [
        {"path": display(loads.path), "program": "", "section": "", "verdicts": [], "refused": _said(loads.error)}
        for loads in report.loads
        if loads.error
    ]


def _row(report: Report, loads: Loads, results: Sequence[ProgramResult]) -> dict[str, Any]:
    return {
        "path": display(loads.path),
        "program": results[0].name,
        "section": results[0].section,
        "verdicts": [
            {"kernel": _kernel(r), "verdict": r.verdict, "insns": r.insns, "reason": r.reason} for r in results
        ],
        "refused": _refused(report, loads, results),
    }


def _refused(report: Report, loads: Loads, results: Sequence[ProgramResult]) -> dict[str, Any] | None:
    first = next((result for result in results if result.verdict == "rejected"), None)
    if first is None:
        return None
    found = _rejection(first, loads, report)
    places = locate(found, _sources(report)) if found else []
    told = _said(found.message if found else first.reason, _kernel(first))
    if found:
        told |= {"class": found.class_, "explanation": found.explanation}
    return told | ({"path": display(Path(places[0].file)), "line": places[0].line} if places else {})


def _said(message: str, kernel: str = "") -> dict[str, Any]:
    return {"kernel": kernel, "path": "", "line": 0, "message": message, "class": "", "explanation": ""}


def lines(report: Report) -> Iterator[str]:
    """A table, then each program's first refusal in words."""
    yield from (f"does not compile: {visible(loads.error)}" for loads in report.loads if loads.error)
    found = list(_programs(report))
    if not found:
        return
    kernels = list(dict.fromkeys(_kernel(r) for _, results in found for r in results))
    table = [["programs as they are, by kernel", *map(visible, kernels)]]
    for loads, results in found:
        verdicts = {_kernel(r): r.verdict for r in results}
        title = f"{name(loads.path)}: {visible(results[0].name)}"
        table.append([title, *(verdicts.get(kernel, "") for kernel in kernels)])
    widths = [max(len(row[n]) for row in table) for n in range(len(table[0]))]
    for row in table:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    for loads, results in found:
        yield from _words(report, loads, results)


def _words(report: Report, loads: Loads, results: Sequence[ProgramResult]) -> Iterator[str]:
    told = False
    for result in results:
        place = f"{name(loads.path)}: {visible(result.name)}"
        if result.verdict == "untried":
            yield f"{place}: cannot be tried in Linux {visible(_kernel(result))}: {visible(result.reason)}"
        elif result.verdict == "rejected" and not told:
            told = True
            found = _rejection(result, loads, report)
            yield f"Linux {visible(_kernel(result))} refuses:"
            yield from (
                map(visible, rejection.lines(found, _sources(report)))
                if found
                else [f"{place}: {visible(result.reason)}"]
            )


def _rejection(result: ProgramResult, loads: Loads, report: Report) -> Rejection | None:
    """What the log says, with the line out of the object where the kernel does not give it."""
    found = next(read(io.BytesIO(result.log.encode())), None)
    if found is None:
        return None
    named = replace(found, program=result.name)
    if not loads.object:
        return named
    own = [(loads.object, [name for name, _ in programs(loads.object)])]
    return rejection.located(named, own, _sources(report))


def _programs(report: Report) -> Iterator[tuple[Loads, list[ProgramResult]]]:
    """The results of each program in all kernels."""
    for loads in report.loads:
        by_name: dict[str, list[ProgramResult]] = {}
        for result in loads.results:
            by_name.setdefault(result.name, []).append(result)
        for results in by_name.values():
            yield loads, results


def _sources(report: Report) -> list[Source]:
    return [Source(path, data) for path, data in report.before.items()]


def _kernel(result: ProgramResult) -> str:
    return result.kernel or kernel_release()
