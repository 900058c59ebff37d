"""A helper is only for programs under a licence compatible with the GPL, and the program declares none.

Which licence is true only its author knows: where there is none, "GPL" is added as a suggestion; one that is there is
never changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.fix import Edit, Span
from ebpffix.repair.model import Candidate, Effect, Refusal, Strategy

STRATEGY = Strategy("licence", r"GPL", "Declares a licence where there is none", 10)
_LICENCE = re.compile(rb'SEC\s*\(\s*"license"\s*\)')


def propose(refusal: Refusal) -> Iterator[Candidate]:
    """The declaration at the end of the program's file."""
    unit = refusal.unit
    if any(_LICENCE.search(s.uncommented) for s in unit.sources.values()):
        return
    source = unit.source
    newline, end = source.newline, len(source.data)
    gap = b"" if source.data.endswith(b"\n") else newline
    text = gap + newline + b'char LICENSE[] SEC("license") = "GPL";' + newline
    says = "the program says that it is under the GPL: choose the licence that is true"
    yield Candidate((Edit(unit.path, end, end, text),), Effect.EXACT, says, Span(unit.path, end, end))
