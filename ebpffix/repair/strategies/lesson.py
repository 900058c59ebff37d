"""What the lessons know: the transform that cures a refusal of this class, where it finds something.

An explicit read for a pointer into the kernel (`unsafe-deref`), zeroed padding (`padded-init`), the read helper of the
right space (`probe-read-space`) and so on; `ebpffix --explain TRANSFORM` has the page of each. The finding on the
refused line comes first.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

from ebpffix.fix import Safety, Span
from ebpffix.repair import locate
from ebpffix.repair.model import Candidate, Effect, Refusal, Strategy
from ebpffix.transform import Registered, load_transforms
from ebpffix.verify.explain import explain

STRATEGY = Strategy("lesson", r".", "Makes the fix of the transform that knows this refusal", 12)
_MOST = 6  # findings of one transform that are tried


@functools.cache
def _transforms() -> Mapping[str, Registered]:
    return load_transforms()


def propose(refusal: Refusal) -> Iterator[Candidate]:
    """The fixes of the transforms that cure the message's class, the nearest to the refusal first."""
    explanation = explain(refusal.message)
    if explanation is None:
        return
    cures = (
        (cure.pattern, known) for known in _transforms().values() for cure in known.facts.cures_of(explanation.key)
    )
    # Who is about the whole class first: it is known to be about this refusal too.
    knowing = [one for _, one in sorted(cures, key=lambda cure: bool(cure[0]))]
    place = locate.line_of(refusal.unit, refusal.step.source) if refusal.step else None
    for one in dict.fromkeys(knowing):
        if refusal.unit.dialect not in one.facts.dialects:
            continue
        fixes = [fix for fix in one.find(refusal.unit) if fix.edits]
        if place:
            line = place[1]
            fixes.sort(key=lambda f: abs(refusal.unit.source_of(f.at).line(f.at.start) - line))
        for fix in fixes[:_MOST]:
            effect = Effect.EXACT if fix.safety is Safety.SAFE else Effect.EARLY
            yield Candidate(tuple(fix.edits), effect, fix.message, Span(fix.at.path, fix.at.start, fix.at.end))
