"""What a fix loses where the program around it was not understood: a safe one is suggested, or it is only told.

A fix needs nothing new: it calls nothing that no header of the program declares. And what a made-up name does with its
arguments nobody knows, so nothing in them is rewritten.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from ebpffix.fix import BCC, Edit, Fix, Safety
from ebpffix.frontend import Unit
from ebpffix.frontend.unit import macro_span

_PARTLY = "a part of the program could not be understood"
_CALL = re.compile(rb"(?<![\w.>\"])([A-Za-z_]\w*)\s*\(")
_NO_CALLS = frozenset(b"if for while switch return sizeof typeof __typeof__ defined __attribute__ asm".split())


class Doubts:
    """The doubts about the fixes in one program."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def weighed(self, fix: Fix, *, from_errors: bool) -> Fix:
        """The fix with its doubts. `from_errors`: it is found by the errors that are the doubt of others."""
        if not fix.edits:
            return fix
        if name := self._argument_of(fix):
            return _told(fix, f"`{name}` is in no header that was found, and may need its argument as it is")
        if name := self._undeclared(fix):
            return _told(fix, f"no header of the program declares `{name}`")
        if fix.safety is not Safety.SAFE or from_errors:
            return fix
        if self._unit.missing:
            return replace(fix, safety=Safety.SUGGESTED, reason=_PARTLY)
        reason = self._beside(fix)
        return replace(fix, safety=Safety.SUGGESTED, reason=reason) if reason else fix

    # -- names that were made up

    @cached_property
    def _arguments(self) -> dict[Path, list[tuple[int, int, str]]]:
        """The arguments of guessed names, as (start, end, name) by file."""
        found: dict[Path, list[tuple[int, int, str]]] = {}
        for path, source in self._unit.sources.items():
            for name in self._unit.guessed:
                for match in re.finditer(rb"\b%s(?=\s*\()" % name.encode(), source.code):
                    _, end, args = macro_span(source, match.start(), match.end(), len(source.data))
                    if args:
                        found.setdefault(path, []).append((args[0][0], end - 1, name))
        return found

    def _argument_of(self, fix: Fix) -> str | None:
        """The guessed name in whose arguments the fix changes something."""
        for edit in fix.edits:
            for start, end, name in self._arguments.get(edit.path, ()):
                if start <= edit.start and edit.end <= end:
                    return name
        return None

    # -- names that the fix needs

    def _undeclared(self, fix: Fix) -> str | None:
        """What the fix calls, and no header of the program has."""
        unit = self._unit
        if unit.dialect == BCC:  # whose rewriter brings all that there is
            return None
        # What ends one edit and begins the next is no call.
        text = b"\n;".join(edit.text + b"(" * self._is_called(edit) for edit in fix.edits)
        for match in _CALL.finditer(text):
            name = match[1]
            if name in _NO_CALLS or name.startswith(b"__builtin_") or _defines(text, name):
                continue
            if not unit.declared.has(name.decode(), with_text=text):
                return name.decode()
        return None

    def _is_called(self, edit: Edit) -> bool:
        """Whether what stands behind an edit are a call's arguments."""
        source = self._unit.sources.get(edit.path)
        return source is not None and source.code[edit.end : edit.end + 80].lstrip()[:1] == b"("

    # -- errors around it

    @cached_property
    def _shaken(self) -> list[tuple[Path, int, int, str]]:
        """The functions with an expression that is unknown, as (file, start, end, why)."""
        unit, found = self._unit, []
        for error in unit.parsed.local:
            path = unit.file(error.file)
            for function in unit.functions:
                if function.path == path and function.start <= error.offset < function.end:
                    line = unit.sources[path].line(error.offset)
                    found.append((path, function.start, function.end, f"line {line}: {error.message}"))
        return found

    def _beside(self, fix: Fix) -> str:
        """Why the function that the fix is in is not understood as a whole."""
        for path, start, end, why in self._shaken:
            if any(edit.path == path and start <= edit.start < end for edit in fix.edits):
                return why
        return ""


def _defines(text: bytes, name: bytes) -> bool:
    return re.search(rb"\b%s\s*\([^;{}]*\)\s*\{|#[ \t]*define[ \t]+%s\b" % (name, name), text) is not None


def _told(fix: Fix, reason: str) -> Fix:
    return replace(fix, safety=Safety.ADVICE, reason=reason, edits=[])
