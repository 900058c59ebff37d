"""A JSON report, version 1, from someone who may not be trusted, as data that the rest of the bot can rely on.

A report comes out of a job that ran a stranger's code, so nothing in it is believed: sizes, types, ranges and paths
are checked here, and one thing wrong refuses the whole. What a text *says* cannot be checked; `markdown` makes it
inert. Only what the bot uses is read: a privileged job needs no more, and a later report may hold more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

MAX_BYTES = 20_000_000
MAX_FINDINGS = 5_000
MAX_FILES = 100_000
MAX_HUNKS = 200  # of one finding
MAX_PROGRAMS = 500  # of one proof
MAX_TEXT = 5_000  # characters of a message, a reason or a name
MAX_PATH = 1_000
MAX_LINE = 10_000_000  # the highest line number

SAFETY = ("safe", "suggested", "advice")
VERDICTS = ("fixed", "same-object", "still-accepted", "still-rejected", "worse", "untried")
STATUS = ("analysed", "partial", "skipped", "failed")
LOADS = ("accepted", "rejected", "untried")

# Transforms that a report may name, besides those of other packages that the caller names.
TRANSFORMS = frozenset(
    """
    split-byteorder redundant-map-update padded-init builtin-memcpy libc-string kretprobe-args unsafe-deref
    probe-read-result probe-read-space missing-kernel-struct stash-leak stash-key goroutine-key map-size
    legacy-map map-types section-names bpf-printk unrolled-loop
    current-task-btf core-read bpf-for fentry perf-to-ringbuf
    """.split()
)
# The files that ebpffix edits: C and what it includes, and host programs with C in their strings.
SUFFIXES = (".c", ".h", ".inc", ".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx", ".py", ".go", ".lua")

_SHA = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_TRANSFORM = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+){0,7}")
_FINGERPRINT = re.compile(r"[0-9a-f]{32}(-[0-9]{1,6})?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

T = TypeVar("T")


class BadReport(ValueError):
    """Not a report to post; one line that says where and why."""


@dataclass(frozen=True)
class Hunk:
    """Whole lines `start_line` to `end_line` (1-based, both included) are `old` and become `new`; lines keep their
    ends. Where `old` is empty, `new` goes before `start_line`, and `end_line` is one less."""

    path: str
    start_line: int
    end_line: int
    old: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True)
class Program:
    name: str
    before: str
    after: str
    insns_before: int | None
    insns_after: int | None
    kernel: str = ""


@dataclass(frozen=True)
class Proof:
    verdict: str
    kernel: str
    programs: tuple[Program, ...]


@dataclass(frozen=True)
class Finding:
    """Lines are 1-based and both included; hunks are sorted by path and line and do not overlap."""

    transform: str
    path: str
    line: int
    end_line: int
    message: str
    safety: str
    reason: str
    fingerprint: str
    hunks: tuple[Hunk, ...]
    proof: Proof | None


@dataclass(frozen=True)
class Report:
    """`unread` counts the files that were analysed in part or not at all."""

    head_sha: str
    findings: tuple[Finding, ...]
    unread: int


def read(data: bytes, transforms: Iterable[str] = ()) -> Report:
    """The report in `data`; BadReport if it is not one, or not one that can be posted. `transforms` are those that it
    may name besides the built-in ones."""
    if len(data) > MAX_BYTES:
        raise BadReport(f"larger than {MAX_BYTES} bytes")
    try:
        report = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadReport("no JSON") from error
    if not isinstance(report, dict):
        raise BadReport("no JSON object")
    version = report.get("version")
    if isinstance(version, bool) or version != 1:
        raise BadReport("not a report of version 1")
    head_sha = _text(report, "head_sha", "report")
    if not head_sha:
        raise BadReport("no head_sha: make the report in a git checkout")
    _matching(_SHA, head_sha, "report.head_sha")
    findings = _each(report, "findings", "report", MAX_FINDINGS, _finding)
    known = TRANSFORMS.union(transforms)
    for number, finding in enumerate(findings):
        if finding.transform not in known:
            raise BadReport(f"findings[{number}].transform: no transform {finding.transform}; --transform allows it")
    if len({finding.fingerprint for finding in findings}) < len(findings):
        raise BadReport("two findings have the same fingerprint")
    statuses = _each(report, "files", "report", MAX_FILES, _status)
    return Report(head_sha, findings, sum(status in ("partial", "failed") for status in statuses))


def _status(entry: Any, where: str) -> str:
    _object(entry, where)
    return _one_of(STATUS, entry, "status", where)


def _finding(entry: Any, where: str) -> Finding:
    _object(entry, where)
    line = _number(entry, "line", where, 1)
    end_line = _number(entry, "end_line", where, line)
    hunks = _each(entry, "hunks", where, MAX_HUNKS, _hunk)
    hunks = tuple(sorted(hunks, key=lambda hunk: (hunk.path, hunk.start_line, hunk.end_line)))
    for above, below in pairwise(hunks):
        if above.path == below.path and below.start_line <= above.end_line:
            raise BadReport(f"{where}.hunks: two overlap")
    proof = entry.get("proof")
    return Finding(
        _matching(_TRANSFORM, _text(entry, "transform", where), f"{where}.transform"),
        _path(entry, where),
        line,
        end_line,
        _text(entry, "message", where),
        _one_of(SAFETY, entry, "safety", where),
        _text(entry, "reason", where),
        _matching(_FINGERPRINT, _text(entry, "fingerprint", where), f"{where}.fingerprint"),
        hunks,
        None if proof is None else _proof(proof, f"{where}.proof"),
    )


def _hunk(entry: Any, where: str) -> Hunk:
    _object(entry, where)
    start_line = _number(entry, "start_line", where, 1)
    end_line = _number(entry, "end_line", where, start_line - 1)
    old, new = _lines(entry, "old", where), _lines(entry, "new", where)
    if len(old) != end_line - start_line + 1:
        raise BadReport(f"{where}.old: not as many lines as the range has")
    return Hunk(_path(entry, where), start_line, end_line, old, new)


def _lines(entry: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    lines = entry.get(key)
    if not isinstance(lines, list) or not all(isinstance(line, str) and line for line in lines):
        raise BadReport(f"{where}.{key}: no list of lines")
    if any("\n" in line[:-1] for line in lines) or any(not line.endswith("\n") for line in lines[:-1]):
        raise BadReport(f"{where}.{key}: a line that is not one line")
    return tuple(lines)


def _proof(entry: Any, where: str) -> Proof:
    _object(entry, where)
    return Proof(
        _one_of(VERDICTS, entry, "verdict", where),
        _text(entry, "kernel", where),
        _each(entry, "programs", where, MAX_PROGRAMS, _program),
    )


def _program(entry: Any, where: str) -> Program:
    _object(entry, where)
    return Program(
        _text(entry, "name", where),
        _one_of(LOADS, entry, "before", where),
        _one_of(LOADS, entry, "after", where),
        _count(entry, "insns_before", where),
        _count(entry, "insns_after", where),
        _text(entry, "kernel", where) if "kernel" in entry else "",
    )


def _count(entry: dict[str, Any], key: str, where: str) -> int | None:
    return None if entry.get(key) is None else _number(entry, key, where, 0)


def _path(entry: dict[str, Any], where: str) -> str:
    """A path inside the repository: relative, with slashes, nothing in it that leads elsewhere or is hidden (a host's
    workflows are), and of a file that ebpffix edits."""
    path = _text(entry, "path", where)
    inside = not any(not part or part.startswith(".") for part in path.split("/"))
    if not inside or len(path) > MAX_PATH or "\\" in path or _CONTROL.search(path):
        raise BadReport(f"{where}.path: not a path inside the repository")
    if not path.lower().endswith(SUFFIXES):
        raise BadReport(f"{where}.path: not a file that ebpffix edits")
    return path


def _each(entry: dict[str, Any], key: str, where: str, most: int, read_one: Callable[[Any, str], T]) -> tuple[T, ...]:
    entries = entry.get(key)
    if not isinstance(entries, list):
        raise BadReport(f"{where}.{key}: no list")
    if len(entries) > most:
        raise BadReport(f"{where}.{key}: more than {most}")
    return tuple(read_one(one, f"{where}.{key}[{n}]") for n, one in enumerate(entries))


def _object(entry: Any, where: str) -> None:
    if not isinstance(entry, dict):
        raise BadReport(f"{where}: no object")


def _text(entry: dict[str, Any], key: str, where: str) -> str:
    text = entry.get(key)
    if not isinstance(text, str):
        raise BadReport(f"{where}.{key}: no text")
    if len(text) > MAX_TEXT:
        raise BadReport(f"{where}.{key}: longer than {MAX_TEXT} characters")
    return text


def _number(entry: dict[str, Any], key: str, where: str, least: int) -> int:
    number = entry.get(key)
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= MAX_LINE:
        raise BadReport(f"{where}.{key}: no number from {least} to {MAX_LINE}")
    return number


def _one_of(names: tuple[str, ...], entry: dict[str, Any], key: str, where: str) -> str:
    name = entry.get(key)
    if name not in names:
        raise BadReport(f"{where}.{key}: none of {', '.join(names)}")
    return str(name)


def _matching(pattern: re.Pattern[str], text: str, where: str) -> str:
    if not pattern.fullmatch(text):
        raise BadReport(f"{where}: not of the right form")
    return text
