"""BCC's map macros that state no size."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.fix import Edit, Fix, Safety
from ebpffix.frontend import Unit
from ebpffix.frontend.unit import Macro
from ebpffix.sources.source import Source

from .full import can_fill

# What the macros of BCC fill in, by position behind the name.
DEFAULTS = {
    **dict.fromkeys(("BPF_HASH", "BPF_PERCPU_HASH", "BPF_LRU_HASH", "BPF_LPM_TRIE"), (b"u64", b"u64", b"10240")),
    **dict.fromkeys(("BPF_ARRAY", "BPF_PERCPU_ARRAY"), (b"u64", b"10240")),
}
_FILLING = ("BPF_HASH", "BPF_PERCPU_HASH", "BPF_LPM_TRIE")  # an LRU hash evicts, an array has all its entries


def defaults(unit: Unit, source: Source, macros: list[Macro]) -> Iterator[Fix]:
    """One finding for the maps of a file that have the default size and can fill, and one for the others."""
    sized: list[tuple[Macro, Edit]] = []
    for macro in macros:
        missing = DEFAULTS[macro.name][len(macro.args) - 1 :]
        if not missing or not source.data[slice(*macro.args[0])] or _redefined(unit, macro.name):
            continue
        start, end = macro.args[-1]
        end = start + len(source.code[start:end].rstrip())  # a comment behind the last argument stays there
        if unit.editable(macro.path, macro.start, macro.end):
            sized.append((macro, Edit(macro.path, end, end, b"".join(b", " + word for word in missing))))
    names = {macro: source.data[slice(*macro.args[0])].decode("utf-8", "replace") for macro, _ in sized}
    growing = [(macro, edit) for macro, edit in sized if macro.name in _FILLING and can_fill(unit, names[macro])]
    others = [macro for macro, edit in sized if (macro, edit) not in growing]
    if growing:
        macros = [macro for macro, _ in growing]
        yield Fix(
            at=macros[0],
            message=_message(macros, names) + "; the fix states the size",
            safety=Safety.SUGGESTED,
            edits=[edit for _, edit in growing],
            reason="whether 10240 is enough is not known here; for a cache take BPF_LRU_HASH, but never for what a "
            "return probe must find",
        )
    if others:
        reason = "nothing here shows that it can fill: stating the size changes nothing, but a reader can doubt it"
        yield Fix(others[0], _message(others, names), Safety.ADVICE, reason=reason)


def _message(macros: list[Macro], names: dict[Macro, str]) -> str:
    shown = [f"`{names[macro]}`" for macro in macros]
    listed = ", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")
    subject = f"{listed} has" if len(shown) == 1 else f"{len(shown)} maps ({listed}) have"
    kinds = {macro.name for macro in macros}
    full = []
    if kinds & set(_FILLING):
        full.append("a full hash drops new keys with -E2BIG")
    if "BPF_LRU_HASH" in kinds:
        full.append("a full LRU hash evicts old keys")
    if kinds & {"BPF_ARRAY", "BPF_PERCPU_ARRAY"}:
        full.append("an array has that memory from the start")
    return f"{subject} BCC's default size of 10240 entries; {', '.join(full)}"


def _redefined(unit: Unit, name: str) -> bool:
    """Whether the program has a macro of its own by a name of BCC's."""
    own = re.compile(rb"^[ \t]*#[ \t]*define[ \t]+%s\b" % name.encode(), re.MULTILINE)
    return any(own.search(source.uncommented) for source in unit.sources.values())
