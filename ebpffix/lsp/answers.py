"""What an editor shows of a document: diagnostics, code actions, and the text beside the mouse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import cache
from typing import TYPE_CHECKING

from lsprotocol import types

from ebpffix.fix import Safety
from ebpffix.lsp.documents import Document
from ebpffix.lsp.messages import Finding, Note, Refusal
from ebpffix.shown import inline, visible

if TYPE_CHECKING:
    from ebpffix.transform import Registered

SOURCE = "ebpffix"
FIX_ALL = "source.fixAll.ebpffix"

_SEVERITY = {
    Safety.SAFE: types.DiagnosticSeverity.Warning,
    Safety.SUGGESTED: types.DiagnosticSeverity.Warning,
    Safety.ADVICE: types.DiagnosticSeverity.Information,
}


def diagnostics(document: Document) -> list[types.Diagnostic]:
    """All that is known of a document's text; what the verifier said of the saved one stands where its line is now."""
    seen = document.seen
    found = [of_finding(document, finding) for finding in (seen.findings if seen else ())]
    found += [_of_note(document, note) for note in (seen.notes if seen else ())]
    return [*found, *(diagnostic for diagnostic, _ in refusals(document))]


def of_finding(document: Document, finding: Finding) -> types.Diagnostic:
    reason = f" ({finding.reason})" if finding.reason else ""
    return types.Diagnostic(
        document.text.range(finding.start, finding.end),
        visible(f"{finding.message} [{finding.safety}]{reason}"),
        _SEVERITY[finding.safety],
        code=finding.transform,
        code_description=types.CodeDescription(finding.url) if finding.url else None,
        source=SOURCE,
    )


def _of_note(document: Document, note: Note) -> types.Diagnostic:
    failed = note.kind == "failed"
    return types.Diagnostic(
        document.text.line_range(note.line),
        visible(
            note.text if note.kind == "idle" else f"{'not analysed' if failed else 'analysed in part'}: {note.text}"
        ),
        types.DiagnosticSeverity.Information if failed else types.DiagnosticSeverity.Hint,
        source=SOURCE,
        tags=[types.DiagnosticTag.Unnecessary] if note.kind == "idle" else None,
    )


def refusals(document: Document) -> Iterator[tuple[types.Diagnostic, Refusal]]:
    """What the verifier refused of the text that was saved last, as far as its line is still there."""
    loaded = document.loaded
    if loaded is None:
        return
    here = _lines_now(loaded.data, document.text.data)
    for refusal in loaded.refusals:
        line = refusal.line if refusal.path == document.path else 0
        if line and line not in here:
            continue
        related = None
        if refusal.lost and refusal.lost[0] == document.path and refusal.lost[1] in here:
            _, lost, words = refusal.lost
            place = types.Location(document.uri, document.text.line_range(here[lost]))
            related = [types.DiagnosticRelatedInformation(place, visible(words))]
        yield (
            types.Diagnostic(
                document.text.line_range(here[line] if line else 1),
                visible(refusal.message),
                types.DiagnosticSeverity.Error,
                source=f"{SOURCE} (kernel)",
                related_information=related,
            ),
            refusal,
        )


def _lines_now(before: bytes, now: bytes) -> dict[int, int]:
    """Where the lines (1-based) of a text are in another, those that are there."""
    old, new = before.split(b"\n"), now.split(b"\n")
    if old == new:
        return {line: line for line in range(1, len(old) + 1)}
    same = SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    return {a + n + 1: b + n + 1 for a, b, size in same for n in range(size)}


def at(document: Document, span: types.Range) -> list[Finding]:
    """The findings that a range touches."""
    start, end = document.text.offset(span.start), document.text.offset(span.end)
    found = document.seen.findings if document.seen else ()
    return [one for one in found if one.start <= end and start <= one.end]


def hover(document: Document, position: types.Position, *, markdown: bool) -> types.Hover | None:
    """The findings at a place, each with the page of its transform."""
    found = at(document, types.Range(position, position))
    if not found:
        return None
    shown = list(_pages(found)) if markdown else [of_finding(document, one).message for one in found]
    kind = types.MarkupKind.Markdown if markdown else types.MarkupKind.PlainText
    span = document.text.range(found[0].start, found[0].end)
    return types.Hover(types.MarkupContent(kind, "\n\n---\n\n".join(shown)), span)


@cache
def known() -> dict[str, Registered]:
    """The transforms that are installed."""
    from ebpffix.transform import load_transforms

    return load_transforms()


def _pages(found: Sequence[Finding]) -> Iterator[str]:
    from ebpffix.report.explain import markdown

    for name in dict.fromkeys(one.transform for one in found):
        lines = [f"**{name}**"]
        for one in found:
            if one.transform == name:
                reason = f" ({inline(one.reason)})" if one.reason else ""
                lines.append(f"{inline(one.message)} \\[{one.safety}\\]{reason}")
                lines += [f"- {inline(way)}" for way in one.origin]
        lines += [markdown(known()[name])] if name in known() else []
        more = next((one.url for one in found if one.transform == name and one.url), "")
        yield "\n\n".join([*lines, *([f"[Read it in the web]({more})"] if more else [])])


def wants(only: Sequence[str] | None, kind: str) -> bool:
    """Whether a client that asked for some kinds of actions asked for this one."""
    return only is None or any(kind == one or kind.startswith(f"{one}.") for one in only)
