"""A transform's page: its docstring, its facts, and what it does to a program, as real diffs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources

from ebpffix import site
from ebpffix.repair import strategies
from ebpffix.repair.registry import Known
from ebpffix.rewriting.patch import unified
from ebpffix.transform import BUILT_IN, Registered

_FIXTURES = "ebpffix_fixtures"
_SHOWN = re.compile(rb"\A(?://|/\*) fixture: dialect=(\S+) expect=(\S+) [^\r\n]*\bexplain=yes")
_EXPECTED = re.compile(rb" // expect: [^\r\n]*")  # for the fixture's test
_LESSONS = "docs/lessons.md"
_BEGINS = re.compile(r"^(What it does:|Why:|Safe|Suggested|Advice|Left alone|Limits:|Kernels:)(?![\w-])", re.MULTILINE)


def page(known: Registered) -> str:
    """The page as text, for a terminal."""
    facts = known.facts
    lesson = f"lesson {facts.pattern}; " if facts.pattern else ""
    head = f"{facts.name} ({lesson}{', '.join(facts.dialects)})"
    parts = [head, "=" * len(head), "", known.page]
    if facts.kernel:
        parts += ["", f"Kernels: {facts.kernel}"]
    for title, diff in examples(facts.name):
        parts += ["", f"Example: {title}", "", diff.rstrip("\n")]
    if facts.pattern:
        parts += ["", f"Where it comes from, and what each kernel says: lesson {facts.pattern} in {_LESSONS}"]
    if url(known):
        parts += ["", f"In the web: {url(known)}"]
    return "\n".join(parts)


def url(known: Registered) -> str:
    """Where the page is in the web; "" for a transform of somebody else, whose page is not ours."""
    return site.transform(known.facts.name) if known.distribution == BUILT_IN else ""


def markdown(known: Registered) -> str:
    """The page as Markdown, without a title."""
    parts = [_paragraphs(known.page)]
    if known.facts.kernel:
        parts.append(f"**Kernels:** {known.facts.kernel}")
    parts += [f"**Example:** {title}\n\n```diff\n{diff}```" for title, diff in examples(known.facts.name)]
    return "\n\n".join(parts)


def _paragraphs(page: str) -> str:
    """A docstring as Markdown: what begins with one of its usual words is a paragraph of its own."""
    return _BEGINS.sub(r"\n**\1**", page)


def strategy_page(known: Known) -> str:
    """The page of a strategy of `--repair`, as text for a terminal."""
    head = f"{known.facts.name} (a strategy of --repair)"
    parts = [head, "=" * len(head), "", known.page, "", f"Where the verifier says: {known.facts.when}"]
    if known.propose.__module__.startswith(f"{strategies.__name__}."):
        parts += ["", f"In the web: {site.strategy(known.facts.name)}"]
    return "\n".join(parts)


def examples(transform: str) -> Iterator[tuple[str, str]]:
    """(title, diff) of the fixtures that are meant to be shown, the lesson's own first; none for someone else's."""
    folder = resources.files(_FIXTURES).joinpath(transform)
    if not folder.is_dir():
        return
    for before in sorted(folder.iterdir(), key=lambda entry: ("lesson" not in entry.name, entry.name)):
        if before.name.endswith(".c") and not before.name.endswith(".fixed.c"):
            old = before.read_bytes()
            after = folder.joinpath(before.name[:-2] + ".fixed.c")
            shown = _SHOWN.match(old)
            if shown and after.is_file():
                dialect, safeties = shown[1].decode(), shown[2].decode().split(",")
                diff = unified(before.name, _EXPECTED.sub(b"", old), _EXPECTED.sub(b"", after.read_bytes()))
                hunks = b"".join(diff.splitlines(keepends=True)[3:]).decode("utf-8", "replace")
                yield f"{before.name[:-2]} ({', '.join([dialect, *dict.fromkeys(safeties)])})", hunks
