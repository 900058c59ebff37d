"""What to post: from a report, a pull request's diff and what the bot has there already, to a list of actions.

Pure, so that a second run can be tried without a host. A finding has one comment, found again by the fingerprint in a
hidden last line. Where its fix lies in one hunk of the diff, the comment has a suggestion that replaces exactly the
lines it is anchored at; a fix of several hunks becomes one suggestion with the lines between, which the diff shows,
since nobody can say that a half of a fix stands alone. Where that cannot be, it has the patch to read. What no comment
can hold is in the summary.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from ebpffix.bot.changes import ChangedFile, Shown
from ebpffix.bot.validate import Finding, Hunk, Program, Proof, Report
from ebpffix.shown import code, faithful, fenced, inline, shown_lines

MAX_COMMENTS = 30
MAX_SUGGESTED = 60  # lines that one suggestion replaces
MAX_PATCH = 120  # lines of a patch that is shown to be read
MAX_BODY = 60_000  # bytes; GitHub refuses more than 65,536 characters

SUMMARY = "<!-- ebpffix:summary -->"
SUPERSEDED = f"Superseded by a newer review of ebpffix below.\n\n{SUMMARY}"
_KEY = re.compile(r"\n<!-- ebpffix:([0-9a-f]{32}(?:-[0-9]{1,6})?) -->\s*\Z")


@dataclass(frozen=True)
class Flavour:
    """Where hosts differ: the info string of a suggestion for so many lines; whether comments come in reviews, which
    each have a summary of their own."""

    suggestion: Callable[[int], str]
    reviews: bool


@dataclass(frozen=True)
class Place:
    """Lines `start_line` to `line` (1-based, both included) of the new side, in one hunk; `old_line` is `line`'s number
    on the old side, if it was there."""

    path: str
    old_path: str
    start_line: int
    line: int
    old_line: int | None


@dataclass(frozen=True)
class Note:
    """A comment to post."""

    key: str
    place: Place
    body: str


@dataclass(frozen=True)
class Existing:
    """A comment that the bot posted. `line` is where it stands now, None once it is outdated; `start_line` is None on
    a host that keeps only the last line. People have `replied` to it, or `resolved` its thread."""

    id: str
    path: str
    start_line: int | None
    line: int | None
    body: str
    replied: bool
    resolved: bool = False

    @property
    def key(self) -> str:
        """The fingerprint in its last line; empty if there is none."""
        match = _KEY.search(self.body.replace("\r", ""))
        return match[1] if match else ""


@dataclass(frozen=True)
class Summary:
    """A summary that the bot posted: a review or a note."""

    id: str
    body: str


@dataclass(frozen=True)
class State:
    """What a host has now. `comments` and `summaries`, oldest first, are the bot's own, and only those with its marks;
    `blob` is the address of the head's files, without a slash at its end."""

    head_sha: str
    files: Mapping[str, ChangedFile]
    comments: tuple[Existing, ...]
    summaries: tuple[Summary, ...]
    blob: str


@dataclass(frozen=True)
class Post:
    """New comments with the summary, or without one where an older summary is kept up to date."""

    body: str | None
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class Update:
    id: str
    body: str


@dataclass(frozen=True)
class UpdateSummary:
    id: str
    body: str


@dataclass(frozen=True)
class Delete:
    id: str


Action = Post | Update | UpdateSummary | Delete


def plan(report: Report, state: State, flavour: Flavour, refused: Mapping[str, str] | None = None) -> list[Action]:
    """The actions that bring the host from `state` to what `report` says; none if it is there already.

    `refused` are fingerprints whose comments the host would not take, with its reasons: they go into the summary.
    """
    refused = refused or {}
    ours = [comment for comment in state.comments if comment.key]  # without the mark it is not for the bot to touch
    theirs = {comment.key for comment in ours}
    possible = [note for f in report.findings if f.fingerprint not in refused and (note := _note(f, state, flavour))]
    possible.sort(key=lambda note: note.key not in theirs)  # what is there already stays
    wanted = {note.key: note for note in possible[:MAX_COMMENTS]}
    changes, settled = _reconciled(wanted, ours)
    new = tuple(note for key, note in wanted.items() if key not in settled)
    told = {f.fingerprint for f in report.findings if f.fingerprint in wanted or f.fingerprint in settled}
    body = _summary(report, state, told, {note.key for note in possible}, refused)
    return [*_posted(report, state, flavour, body, new), *changes]


def _posted(report: Report, state: State, flavour: Flavour, body: str, new: tuple[Note, ...]) -> list[Action]:
    """The new comments, and what becomes of the summaries."""
    if not state.summaries or (new and flavour.reviews):
        if not (report.findings or state.summaries or new):
            return []
        older = [UpdateSummary(s.id, SUPERSEDED) for s in state.summaries if not _same(s.body, SUPERSEDED)]
        return [Post(body, new), *older]
    actions: list[Action] = [Post(None, new)] if new else []
    last = state.summaries[-1]
    return actions if _same(last.body, body) else [*actions, UpdateSummary(last.id, body)]


def _reconciled(wanted: Mapping[str, Note], comments: Iterable[Existing]) -> tuple[list[Action], set[str]]:
    """What becomes of the bot's comments, and the fingerprints that need no new one.

    One where it is wanted is kept, with its text brought up to date; any other goes, unless someone answered it or
    resolved its thread: a conversation is left alone, and the finding is not told a second time.
    """
    actions: list[Action] = []
    settled: set[str] = set()
    in_place = sorted(comments, key=lambda comment: not _in_place(comment, wanted))
    for comment in in_place:
        note = wanted.get(comment.key)
        if note and comment.key not in settled and _in_place(comment, wanted):
            settled.add(comment.key)
            if not (comment.resolved or _same(comment.body, note.body)):
                actions.append(Update(comment.id, note.body))
        elif comment.replied or comment.resolved:
            settled.add(comment.key)
        else:
            actions.append(Delete(comment.id))
    return actions, settled


def _in_place(comment: Existing, wanted: Mapping[str, Note]) -> bool:
    note = wanted.get(comment.key)
    return (
        note is not None
        and (comment.path, comment.line) == (note.place.path, note.place.line)
        and comment.start_line in (None, note.place.start_line)
    )


def _same(one: str, other: str) -> bool:
    """Whether two texts are the same to a host, which may change line ends and blanks at the end."""
    return one.replace("\r", "").strip() == other.replace("\r", "").strip()


# A comment


def _note(finding: Finding, state: State, flavour: Flavour) -> Note | None:
    """The finding's comment; None if none of its lines is in the diff."""
    suggested = _suggestion(finding, state)
    if suggested:
        place, lines = suggested
        block = fenced(flavour.suggestion(place.line - place.start_line + 1), lines)
    else:
        anchor = _anchor(finding, state)
        if anchor is None:
            return None
        place, block = anchor, _patch(finding)
    parts = [
        _headline(finding),
        block,
        _proven(finding.proof),
        _silence(finding),
        f"<!-- ebpffix:{finding.fingerprint} -->",
    ]
    body = "\n\n".join(part for part in parts if part)
    return Note(finding.fingerprint, place, body) if len(body.encode()) <= MAX_BODY else None


def _suggestion(finding: Finding, state: State) -> tuple[Place, list[str]] | None:
    """Lines of the diff, and what they become, if the whole fix can be one suggestion."""
    file = state.files.get(finding.hunks[0].path) if finding.hunks else None
    if file is None or any(hunk.path != file.path for hunk in finding.hunks):
        return None
    start, end = finding.hunks[0].start_line, finding.hunks[-1].end_line
    if end < start:  # nothing is replaced: a line beside it is, by itself and what is new
        start = end = start if file.holding(start, start) else end
    shown = file.holding(start, end)
    if shown is None or end - start >= MAX_SUGGESTED:
        return None
    new = _replaced(finding.hunks, shown, start, end)
    if new is None or len(new) > MAX_SUGGESTED or not faithful(new):
        return None
    return _place(file, shown, start, end), new


def _replaced(hunks: Iterable[Hunk], shown: Shown, start: int, end: int) -> list[str] | None:
    """Lines `start` to `end` after the fix; None if the file does not read as the report says, or if the fix changes
    whether its last line has an end, which no suggestion can say."""
    lines: list[str] = []
    at = start
    for hunk in hunks:
        lines += (shown[n].text for n in range(at, hunk.start_line))
        if hunk.old != tuple(shown[n].text for n in range(hunk.start_line, hunk.end_line + 1)):
            return None
        lines += hunk.new
        at = hunk.end_line + 1
    lines += (shown[n].text for n in range(at, end + 1))
    if any(not line.endswith("\n") for line in lines[:-1]):
        return None
    if lines and lines[-1].endswith("\n") != shown[end].text.endswith("\n"):
        return None
    return lines


def _anchor(finding: Finding, state: State) -> Place | None:
    """Where a comment without a suggestion stands: on the finding's lines, or on its first one."""
    file = state.files.get(finding.path)
    for end in (min(finding.end_line, finding.line + MAX_SUGGESTED - 1), finding.line):
        shown = file.holding(finding.line, end) if file else None
        if file and shown:
            return _place(file, shown, finding.line, end)
    return None


def _place(file: ChangedFile, shown: Shown, start: int, end: int) -> Place:
    return Place(file.path, file.old_path, start, end, shown[end].old)


def _headline(finding: Finding) -> str:
    reason = f" Mind: {inline(finding.reason)}" if finding.reason else ""
    return f"**{finding.transform}** ({finding.safety}): {inline(finding.message)}{reason}"


def _silence(finding: Finding) -> str:
    """What to do where the finding is none."""
    comment, page = code(f"// ebpffix: ignore[{finding.transform}]"), code(f"ebpffix --explain {finding.transform}")
    return f"Not so here? {comment} at the end of the line silences it; {page} says more."


def _patch(finding: Finding) -> str:
    """The fix as a patch to read; empty if it has none."""
    lines: list[str] = []
    path = ""
    for hunk in finding.hunks:
        if hunk.path != path:
            path = hunk.path
            lines += shown_lines([f"--- {path}\n"])
        # As in every unified diff, a side of no lines is named by the line before it.
        start = hunk.start_line - (not hunk.old)
        lines.append(f"@@ -{start},{len(hunk.old)} @@\n")
        lines += [f"-{line}" for line in shown_lines(hunk.old)] + [f"+{line}" for line in shown_lines(hunk.new)]
    if len(lines) > MAX_PATCH:
        return f"The patch has {len(lines)} lines: see `ebpffix --diff`."
    return fenced("diff", lines) if lines else ""


# Proofs

_VERDICTS = {
    "fixed": "fixed",
    "same-object": "same object code",
    "still-accepted": "still accepted",
    "still-rejected": "still rejected",
    "worse": "worse",
    "untried": "not tried",
}


def _proven(proof: Proof | None) -> str:
    """What compiler and kernel said, one line."""
    if proof is None:
        return ""
    kernel = f" on kernel {code(proof.kernel)}" if proof.kernel else ""
    shown = ", ".join(_program(program) for program in proof.programs[:5])
    more = f" and {len(proof.programs) - 5} more" if len(proof.programs) > 5 else ""
    return f"Proof{kernel}: {_VERDICTS[proof.verdict]}{': ' if shown else ''}{shown}{more}."


def _program(program: Program) -> str:
    counts = (program.insns_before, program.insns_after)
    insns = f" ({counts[0]} \u2192 {counts[1]} instructions)" if None not in counts else ""
    kernel = f" on {code(program.kernel)}" if program.kernel else ""
    return f"{code(program.name)}{kernel} {program.before} \u2192 {program.after}{insns}"


# The summary


def _summary(report: Report, state: State, told: set[str], possible: set[str], refused: Mapping[str, str]) -> str:
    """The table of findings and proofs, and the patches of those that have no comment; as much as there is room for."""
    head = f"**ebpffix**: {_count(len(report.findings), 'finding')} at `{report.head_sha[:12]}`."
    if report.unread:
        head += f" {_count(report.unread, 'file')} analysed in part or not at all: the report says why."
    rest = [f for f in report.findings if f.fingerprint not in told]
    head_row = "| where | transform | safety | finding | proof |\n|---|---|---|---|---|"
    rows = (_row(f, state.blob) for f in report.findings)
    taken = _fitting(rows, MAX_BODY - 2_000)
    parts = [head, "\n".join([head_row, *taken]) if taken else "", _left(report.findings, taken)]
    room = MAX_BODY - 2_000 - sum(len(part.encode()) for part in parts)
    taken = _fitting((_elsewhere(f, possible, refused) for f in rest), room)
    if rest:
        parts += ["### Without a comment of its own", *taken, _left(rest, taken)]
    return "\n\n".join(part for part in [*parts, SUMMARY] if part)


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _row(finding: Finding, blob: str) -> str:
    address = f"{blob}/{quote(finding.path, safe='/', errors='replace')}#L{finding.line}"
    where = f"[{code(f'{finding.path}:{finding.line}')}]({address})"
    proof = _VERDICTS[finding.proof.verdict] if finding.proof else ""
    return f"| {where} | {finding.transform} | {finding.safety} | {inline(finding.message)} | {proof} |"


def _elsewhere(finding: Finding, possible: set[str], refused: Mapping[str, str]) -> str:
    if finding.fingerprint in refused:
        why = f"the comment was refused: {inline(refused[finding.fingerprint])}"
    elif finding.fingerprint in possible:
        why = f"more than {MAX_COMMENTS} comments"
    else:
        why = "not in the lines of the diff"
    parts = [f"{code(f'{finding.path}:{finding.line}')} ({why})", _headline(finding), _patch(finding)]
    return "\n\n".join(part for part in [*parts, _proven(finding.proof)] if part)


def _fitting(parts: Iterable[str], room: int) -> list[str]:
    """As many of the parts, with two more bytes each, as fit into so many bytes."""
    taken: list[str] = []
    for part in parts:
        room -= len(part.encode()) + 2
        if room < 0:
            break
        taken.append(part)
    return taken


def _left(findings: Sequence[Finding], taken: list[str]) -> str:
    left = len(findings) - len(taken)
    return f"{left} more in the report." if left else ""
