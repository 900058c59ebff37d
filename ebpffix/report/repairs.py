"""Repairs for people and as data: what the verifier could not prove, where that was lost, what is different now."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ebpffix import __version__
from ebpffix.repair.locate import name_in_log
from ebpffix.repair.model import Effect
from ebpffix.repair.search import Found, Made
from ebpffix.report.model import VERSION
from ebpffix.report.places import display
from ebpffix.report.text import name
from ebpffix.rewriting.patch import hunks
from ebpffix.run.proposals import Proposal
from ebpffix.run.repairs import Repair, Repairs
from ebpffix.shown import visible
from ebpffix.verify.explain import OTHER, explain
from ebpffix.verify.load import kernel_release


def lines(repair: Repair) -> Iterator[str]:
    """What became of one program file, for a terminal, and as lines that git and patch pass over: what a compiler, the
    verifier or a line table says ends none of them."""
    return map(visible, _lines(repair))


def _lines(repair: Repair) -> Iterator[str]:
    if repair.status in ("uncompilable", "untried"):
        yield f"{name(repair.program)}: cannot be repaired here: {repair.reason}"
    if repair.found is None:
        return
    for made in repair.found.made:
        yield from _made(made)
    for other in repair.found.others:
        yield f"    or, accepted too: {other.says} [{other.strategy}, {other.effect}]"
    if repair.found.disagrees:
        yield f"    the first and another differ: {repair.found.disagrees}"
    for difference in repair.found.differs:
        yield f"    a run that was fine: {difference}"
    if repair.found.unreached:
        yield f"    no path calls {', '.join(repair.found.unreached)} any more"
    yield from _ending(repair)


def _made(made: Made) -> Iterator[str]:
    place = f"{name(made.path)}:{made.line}" if made.line else name(made.path)
    yield f"{place}: {made.program}: refused: {made.message} [{_class(made.message)}]"
    if made.lost_line and (made.lost_path, made.lost_line) != (made.path, made.line):
        yield f"    lost at {name(made.lost_path)}:{made.lost_line}"
    candidate = made.candidate
    yield f"    {candidate.strategy}: {candidate.says} [{candidate.effect}]"


def _ending(repair: Repair) -> Iterator[str]:
    found = repair.found
    assert found is not None
    if repair.status == "repaired":
        insns = {p.name: p.insns for p in found.built.programs if p.insns}
        programs = ", ".join(f"{name} ({count} instructions)" for name, count in insns.items())
        yield f"    {name(repair.program)}: accepted now by kernel {_kernels(found)}: {programs}"
        return
    explanation = explain(found.left) or OTHER
    verb = "what stands in the way now" if repair.status == "partial" else "no repair was found"
    at = found.left_at
    where = f"{at.file}:{at.line}: " if at and at.line else ""
    yield f"{name(repair.program)}: {verb}: {where}{found.left} [{explanation.key}]"
    if at and at.file and at.file not in {name_in_log(path) for path in found.files}:
        yield f"    {at.file} is not among the files of this run, so it is not edited: name it too, or its folder"
    yield f"    {explanation.text}"


def _kernels(found: Found) -> str:
    return ", ".join(dict.fromkeys(p.kernel or kernel_release() for p in found.built.programs))


def _class(message: str) -> str:
    return (explain(message) or OTHER).key


def proposed(proposal: Proposal) -> Iterator[str]:
    """What is proposed for one refusal of a log, and that it is only proposed."""
    return map(visible, _proposed(proposal))


def _proposed(proposal: Proposal) -> Iterator[str]:
    rejection, candidate = proposal.rejection, proposal.candidate
    place = f"{rejection.source.file}:{rejection.source.line}: " if rejection.source and rejection.source.line else ""
    program = f"{rejection.program}: " if rejection.program else ""
    yield f"{place}{program}refused: {rejection.message} [{rejection.class_}]"
    if candidate is None:
        yield "no repair is known for this, or its source is not among the paths"
    else:
        yield f"{candidate.strategy}: {candidate.says} [{candidate.effect}]"
        yield "not proven: it was neither compiled nor loaded here; `ebpffix --repair --diff` without --log does that"


def headed(repair: Repair) -> bytes:
    """The same as lines that git and patch pass over."""
    return "".join(f"# {line.strip()}\n" for line in lines(repair)).encode("utf-8", "surrogateescape")


def summary(repairs: Repairs) -> str:
    """The counts in one line."""
    counts = {s: sum(r.status == s for r in repairs.repairs) for s in ("repaired", "partial", "stuck", "accepted")}
    words = {"repaired": "repaired", "partial": "repaired in part", "stuck": "refused, no repair found"}
    parts = [f"{counts[s]} {word}" for s, word in words.items() if counts[s]]
    parts.append(f"{counts['accepted']} accepted as they are")
    held = [r for r in repairs.repairs if r.found and r.found.repaired and r.found.effect is Effect.CHANGING]
    more = f"; {len(held)} change values (--unsafe-fixes takes them)" if held else ""
    return f"program files: {', '.join(parts)}{more}."


def as_json(repairs: Repairs) -> bytes:
    """The JSON report: version 1 with the key "repairs"."""
    document = {
        "version": VERSION,
        "tool": {"name": "ebpffix", "version": __version__},
        "repairs": [_entry(repair, repairs.before) for repair in repairs.repairs],
        "problems": list(repairs.problems),
    }
    return (json.dumps(document, indent=2) + "\n").encode("utf-8", "surrogateescape")


def _entry(repair: Repair, before: Mapping[Path, bytes]) -> dict[str, Any]:
    found = repair.found
    return {
        "path": display(repair.program),
        "status": repair.status,
        "reason": repair.reason,
        "left": found.left if found else "",
        "tried": found.tried if found else 0,
        "effect": str(found.effect) if found and found.made else None,
        "steps": [_step(made) for made in found.made] if found else [],
        "alternatives": [
            {"strategy": o.strategy, "effect": str(o.effect), "says": o.says} for o in (found.others if found else ())
        ],
        "differs": [str(d) for d in found.differs] if found else [],
        "disagrees": found.disagrees if found else "",
        "programs": [
            {"name": p.name, "section": p.section, "verdict": p.verdict, "insns": p.insns, "kernel": p.kernel}
            for p in (found.built.programs if found else ())
        ],
        "kernel": _kernels(found) if found else kernel_release(),
        "hunks": [
            {"path": display(path), "start_line": h.start_line, "end_line": h.end_line, "old": h.old, "new": h.new}
            for path, data in repair.changed.items()
            for h in hunks(before[path], data)
        ],
    }


def _step(made: Made) -> dict[str, Any]:
    return {
        "program": made.program,
        "obligation": made.message,
        "class": _class(made.message),
        "path": display(made.path),
        "line": made.line,
        "lost": {"path": display(made.lost_path), "line": made.lost_line},
        "strategy": made.candidate.strategy,
        "effect": str(made.candidate.effect),
        "says": made.candidate.says,
    }
