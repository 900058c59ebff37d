"""A transform's page: its docstring, its facts, and what it does to a program, as real diffs."""

from __future__ import annotations

from ebpffix.transform import Registered


def page(known: Registered) -> str:
    """The page as text, for a terminal."""
    facts = known.facts
    head = f"{facts.name} (lesson {facts.pattern}; {', '.join(facts.dialects)})"
    kernel = f"\nKernels: {facts.kernel}\n" if facts.kernel else ""
    return f"{head}\n{'=' * len(head)}\n\n{known.page}\n{kernel}"
