"""What provenance says of the arguments of see() in a program given as text."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from support import findings, transforms

from ebpffix.analysis.provenance import Proof, Space, prove
from ebpffix.fix import BCC, LIBBPF, Fix, Safety
from ebpffix.frontend import Unit
from ebpffix.transform import Registered, Transform

HEAD = b"""
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
extern void see(const void *p);
"""


def _short(proof: Proof) -> str:
    """`USER`, `KERNEL?` for what is only likely, with `!` where the verifier trusts it and `~` where BCC tracks it;
    several ways in order."""
    words = {
        way.space.name
        + "!" * way.trusted
        + "~" * way.tracked
        + "?" * (not way.is_certain and way.space is not Space.UNKNOWN)
        for way in proof.ways
    }
    return " ".join(sorted(words))


def _say(unit: Unit) -> Iterator[Fix]:
    """A finding for each argument of see(): the function, and where the argument points."""
    for function in unit.functions:
        for call in function.find("CALL_EXPR"):
            if call.name == "see":
                proof = prove(unit, call.arguments[0])
                said = f"{function.name.removeprefix('____')}: {_short(proof)}"
                yield Fix(call, said, Safety.ADVICE, reason="-", origin=proof.chains)


@functools.cache
def _fixes(dialect: str, text: bytes) -> tuple[Fix, ...]:
    spy = Transform("spy", 0, (LIBBPF, BCC), (rb"\bsee\s*\(",), "says origins")
    transforms()["spy"] = Registered(spy, _say, "")
    try:
        return tuple(findings(text, "spy", dialect=dialect))
    finally:
        del transforms()["spy"]


def said(dialect: str, text: bytes) -> dict[str, list[str]]:
    """By function, what is said of each argument of see()."""
    found: dict[str, list[str]] = {}
    for function, _, words in (fix.message.partition(": ") for fix in _fixes(dialect, text)):
        found.setdefault(function, []).append(words)
    return found
