"""A transform's page: its docstring, its facts, and what it does to a program, as real diffs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources

from ebpffix.patch import unified
from ebpffix.transform import Registered

_FIXTURES = "ebpffix_fixtures"
_SHOWN = re.compile(rb"\A(?://|/\*) fixture: [^\r\n]*\bexplain=yes")


def page(known: Registered) -> str:
    """The page as text, for a terminal."""
    facts = known.facts
    head = f"{facts.name} (lesson {facts.pattern}; {', '.join(facts.dialects)})"
    parts = [head, "=" * len(head), "", known.page]
    if facts.kernel:
        parts += ["", f"Kernels: {facts.kernel}"]
    for name, diff in examples(facts.name):
        parts += ["", f"Example: {name}", "", diff.rstrip("\n")]
    return "\n".join(parts)


def examples(transform: str) -> Iterator[tuple[str, str]]:
    """(name, diff) of the fixtures that are meant to be shown; none for a transform of someone else's."""
    folder = resources.files(_FIXTURES).joinpath(transform)
    if not folder.is_dir():
        return
    for before in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if before.name.endswith(".c") and not before.name.endswith(".fixed.c"):
            old = before.read_bytes()
            after = folder.joinpath(before.name[:-2] + ".fixed.c")
            if _SHOWN.match(old) and after.is_file():
                diff = unified(before.name, old, after.read_bytes())
                yield before.name[:-2], b"".join(diff.splitlines(keepends=True)[3:]).decode("utf-8", "replace")
