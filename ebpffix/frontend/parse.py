"""From bytes to a translation unit that has lost nothing: what no header declares is made up from the diagnostics.

Where a name is undeclared libclang drops the whole statement around it, and a pattern in it would be missed in
silence. So the names that the diagnostics complain of are declared in a virtual header, and the file is parsed again.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ebpffix.frontend import clang
from ebpffix.frontend.environment import Setup
from ebpffix.frontend.made_up import (
    NOT_THE_PROJECT,
    OTHER_TAG,
    OWN,
    REDEFINED,
    UNDECLARED,
    Declaration,
    Diagnostic,
    declare,
    withheld_by,
)
from ebpffix.sources.includes import is_vmlinux
from ebpffix.sources.reach import Reach
from ebpffix.sources.reader import read_file
from ebpffix.sources.source import Source

MADE_UP = "/ebpffix-virtual/made-up.h"  # on no disk: libclang gets its text in memory
_ROUNDS = 8
_PATIENCE = 3  # rounds without fewer errors
_MACHINE = (f"-D__{platform.machine()}__", f"-D__{platform.machine()}")

# clang knows these functions and declares them itself: an error, but nothing is lost.
_LIBRARY = "call to undeclared library function"
_OWN_TOO = re.compile(rf".*(?:no member named|redefinition of(?: enumerator)?) '{OWN}(\w+)'")
# Errors of one expression, which stays in the tree as one of unknown type, with all that stands around it.
_LOCAL = re.compile(
    r"no member named '|incomplete definition of type '|arithmetic on a pointer to an incomplete type "
    r"|indirection requires pointer operand|subscripted value is not|invalid operands to binary expression"
    r"|member reference (?:base )?type '|invalid argument type '|too (?:many|few) arguments to function call"
    r"|(?:expression|array type '[^']*') is not assignable"
    r"|(?:assigning to|passing|initializing) '.*' (?:from|to|with) .*incompatible type"
    r"|.* changes address space of pointer"
)
_OTHER_KIND = re.compile(r"redefinition of '(\w+)' as different kind of symbol")
_HIDDEN = re.compile(r"declaration of '((?:struct|union) \w+)' will not be visible outside of this function")
_CONDITION = re.compile(rb"^[ \t]*#[ \t]*(?:if|ifdef|ifndef|elif)\b([^\n]*)", re.MULTILINE)
_NO_ARENA = "-U__BPF_FEATURE_ADDR_SPACE_CAST"
_ARENA = "changes address space of pointer"
_NAME = re.compile(rb"[A-Za-z_]\w*")
_WORD, _WORDS, _QUOTED = re.compile(rb"\w+"), re.compile(r"\w+"), re.compile(r"'[^']*'")
_PLAIN = frozenset("struct union enum void char short int long unsigned signed const volatile _Bool aka".split())


class OutOfReach(Exception):
    """The program read a file that is none of its own; one line."""

    def __init__(self, name: str) -> None:
        super().__init__(f"it includes {name}, which is not the project's; if it may be read, give its folder with -I")


@dataclass(frozen=True)
class Parsed:
    """A translation unit, its errors, the names that were made up to get there (of `guessed` nobody knows what they
    are), and `lost`, the errors that cost more than one expression. `local` are those of one: it is
    unknown, and all around it is in the tree. `looser` counts what a compiler of today refuses and libclang lets pass.
    `renamed` are the things of the program that libclang knows by another name, since the kernel's types have that name
    too: what libclang calls each, and what it is called.
    """

    tu: Any
    errors: tuple[Diagnostic, ...]
    made_up: frozenset[str]
    guessed: frozenset[str]
    lost: tuple[Diagnostic, ...]
    local: tuple[Diagnostic, ...] = ()
    looser: int = 0
    assumed: tuple[str, ...] = ()  # macros that the build must have given
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> tuple[str, ...]:
        """What the file still lacks, one phrase each, without repeats."""
        return tuple(dict.fromkeys(error.message for error in self.lost))


def parse(source: Source, setup: Setup, virtual: Mapping[str, bytes], *, pch: Path | None) -> Parsed:
    """Parse `source`; `virtual` are texts that take the place of files, by name: those of an edited file, or with the
    includes blanked that nothing resolves.

    `pch` is the setup's prefix, precompiled; a stale one costs time only. clang.LoadError where libclang gives nothing,
    OutOfReach where the program reads what it must not.
    """
    parsed = _with_or_without(source, setup, virtual, pch)
    if not (setup.defines and any(_unknown(parsed))):
        return parsed
    texts = _own_texts(source, virtual, parsed.tu, setup.reach).values()
    words = {word for text in texts for line in _CONDITION.findall(text) for word in _WORD.findall(line)}
    asked = {name: macro for macro in setup.defines if (name := macro.partition("=")[0]).encode() in words}
    if not asked:
        return parsed
    given = replace(setup, args=(*setup.args, *(f"-D{macro}" for macro in asked.values())))
    other = _with_or_without(source, given, virtual, pch)
    return replace(other, assumed=(*asked, *other.assumed)) if _unknown(other) < _unknown(parsed) else parsed


def _unknown(parsed: Parsed) -> tuple[int, int]:
    """How much of a program was not understood, the worst first."""
    return len(parsed.missing), len(parsed.guessed) + len(parsed.local)


def _with_or_without(source: Source, setup: Setup, virtual: Mapping[str, bytes], pch: Path | None) -> Parsed:
    try:
        return _parse(source, setup, virtual, pch)
    except clang.LoadError:
        if pch is None:
            raise
        return _parse(source, setup, virtual, None)


def _parse(source: Source, setup: Setup, virtual: Mapping[str, bytes], pch: Path | None) -> Parsed:
    made_up: dict[str, Declaration] = {}
    together: set[str] = set()  # what is not made up again, nor set apart: the name is everywhere
    tags: set[bytes] = set()
    taken: list[str] = []  # macros of the build that were tried
    assumed: list[str] = []
    kernel_types = any(map(is_vmlinux, setup.prefix))
    flags = list(setup.args)
    if pch:
        flags += ["-include-pch", str(pch)]
    else:
        flags += [part for header in setup.prefix for part in ("-include", header)]
    ours = {MADE_UP, str(source.path), *virtual}
    best: tuple[Any, tuple[Diagnostic, ...], dict[str, Declaration]] | None = None
    is_stale = False  # the best one so far was read in another way
    worse = 0
    texts: dict[str, bytes] = {}
    for _ in range(_ROUNDS):
        files = list((_with_own_tags(virtual, texts, tags) if tags else virtual).items())
        extra: list[str] = []
        if made_up:
            files.append((MADE_UP, b"\n".join(one.text for one in made_up.values()) + b"\n"))
            extra = ["-include", MADE_UP]
        tu = clang.parse(str(source.path), flags + extra, files)
        # Before any message is read: what is made up of one is text of the file that it speaks of.
        if name := setup.reach.outside(name for name in clang.files_read(tu) if name not in ours):
            raise OutOfReach(name)
        errors = _errors(tu)
        if best is None or is_stale or _cost(errors) < _cost(best[1]):
            best, worse, is_stale = (tu, errors, dict(made_up)), 0, False
        else:
            worse += 1
        if _MACHINE[0] not in flags and any(error.directive for error in errors):
            # Headers that give up on a machine that they do not know mean the one that runs the program.
            flags += _MACHINE
            continue
        if _NO_ARENA not in flags and any(_ARENA in error.message for error in errors):
            # With pointers of another address space only a compiler that casts them itself takes the program: many
            # headers ask for it, and have a way without; those that have none are read best with it.
            flags.append(_NO_ARENA)
            continue
        if wrong := {m[1] for e in errors if (m := _OTHER_KIND.match(e.message)) and m[1] in made_up} - together:
            # What stood where a type may stand was no type.
            together |= wrong
            made_up = {name: one for name, one in made_up.items() if name not in wrong}
            is_stale = True
            continue
        both = {match[1] for error in errors if (match := _OWN_TOO.match(error.message))}
        if both - together:
            together |= both
            made_up = {name: one for name, one in made_up.items() if name not in together}
            is_stale = True
            continue
        texts = texts or _own_texts(source, virtual, tu, setup.reach) if errors else texts
        new_tags = _own_tags(errors, texts) - tags
        new = declare(source, errors, new_tags, texts, made_up, together, kernel_types=kernel_types)
        if errors:
            new |= {name: one for name, one in _hidden(tu).items() if name not in made_up}
        if withheld := next((m for m in withheld_by(new, texts) if m not in taken), None):
            # A header of the project has the name, under a macro that the build gives: with it, if that is no worse.
            taken.append(withheld)
            before, flags = flags, [*flags, f"-D{withheld}"]
            again = _errors(clang.parse(str(source.path), flags + extra, files))
            if len(again) <= len(errors) and _names(again) < _names(errors):
                is_stale = True
                assumed.append(withheld)
            else:
                flags = before
            continue
        # What is declared may show more at first: the statements around it are read for the first time.
        if not (new or new_tags) or worse > _PATIENCE:
            break
        made_up |= new
        tags |= new_tags
    assert best is not None
    tu, errors, declared = best
    own = {OWN + name: name for name, one in declared.items() if OWN.encode() in one.text}
    errors = tuple(error for error in errors if not _harmless(error, together, setup.reach))
    shown = _shown(errors, virtual, tu, setup.reach)
    lost = tuple(e for e in shown if not _LOCAL.match(e.message) and not e.message.startswith(_LIBRARY))
    return Parsed(
        tu,
        errors,
        frozenset(declared),
        frozenset(name for name, one in declared.items() if one.guessed),
        lost,
        tuple(error for error in shown if _LOCAL.match(error.message)),
        _looser(tu),
        tuple(assumed),
        own | {_apart(tag).decode(): tag.decode() for tag in tags},
    )


def _cost(errors: Sequence[Diagnostic]) -> tuple[int, int]:
    """How bad errors are: what is lost counts before what is only unknown, of which there is more to see once a
    statement is read."""
    return sum(not _LOCAL.match(error.message) for error in errors), len(errors)


def _names(errors: Sequence[Diagnostic]) -> Set[str]:
    """What the errors say is not declared."""
    return {match[1] for error in errors if (match := UNDECLARED.search(error.message))}


def _hidden(tu: Any) -> dict[str, Declaration]:
    """The structs that a function's parameters name first, which makes them another's in each such function."""
    found = (_HIDDEN.match(diagnostic.spelling) for diagnostic in tu.diagnostics if diagnostic.severity == 2)
    return {match[1] + ";": Declaration(b"%s;" % match[1].encode()) for match in found if match}


def _own_texts(source: Source, virtual: Mapping[str, bytes], tu: Any, reach: Reach) -> dict[str, bytes]:
    """The texts of the project's files that were read, by name."""
    texts = {str(source.path): source.data, **virtual}
    for name in clang.files_read(tu):
        if name not in texts and reach.owns(name):
            with contextlib.suppress(OSError):
                texts[name] = read_file(name)
    return texts


_TAG = rb"\b(struct|union|enum)(\s+)"


def _own_tags(errors: Sequence[Diagnostic], texts: Mapping[str, bytes]) -> set[bytes]:
    """The structs, unions and enums of the program's own that the kernel's types have too."""
    found = set()
    for error in errors:
        text = texts.get(error.file, b"")
        match = None
        if REDEFINED.match(error.message) and _TAG_AT_END.search(text, max(0, error.offset - 200), error.offset):
            match = _NAME.match(text, error.offset)
        elif OTHER_TAG.match(error.message):
            match = _TAGGED.match(text, error.offset)
        if match:
            found.add(match[match.lastindex or 0])
    return found


_TAGGED = re.compile(rb"(?:struct|union|enum)\s+(\w+)")
_TAG_AT_END = re.compile(_TAG + rb"\Z")


def _apart(tag: bytes) -> bytes:
    """Another name of the same length for a tag, so that all places stay. A macro would rename members called so as
    well, of the kernel's structs too."""
    return b"$" + tag[1:]


def _with_own_tags(
    virtual: Mapping[str, bytes], texts: Mapping[str, bytes], tags: Collection[bytes]
) -> Mapping[str, bytes]:
    """`virtual` and the project's texts with these tags under names apart."""
    tag = re.compile(_TAG + rb"(%s)\b" % b"|".join(tags))
    return {**virtual, **{name: tag.sub(lambda m: m[1] + m[2] + _apart(m[3]), text) for name, text in texts.items()}}


def _harmless(error: Diagnostic, together: Set[str], reach: Reach) -> bool:
    """Whether an error costs the program nothing: it has the type already, or the text that is lost is not the
    project's. What a system's header would have declared is missed where the program uses it, if it does."""
    twice = REDEFINED.match(error.message)
    if twice is not None and twice[1] in together:
        return True
    return error.file.startswith(NOT_THE_PROJECT) and not reach.owns(error.file)


def _shown(errors: Sequence[Diagnostic], virtual: Mapping[str, bytes], tu: Any, reach: Reach) -> tuple[Diagnostic, ...]:
    """The errors as they may be told: of the names in them, only those that the program's own files have."""
    if not errors:
        return ()
    words = set(_WORD.findall(b"".join(virtual.values())))
    for name in set(clang.files_read(tu)) - virtual.keys():
        if reach.owns(name):
            with contextlib.suppress(OSError):
                words.update(_WORD.findall(read_file(name)))

    def shown(word: re.Match[str]) -> str:
        return word[0] if word[0] in _PLAIN or os.fsencode(word[0]) in words else "…"

    return tuple(
        replace(error, message=_QUOTED.sub(lambda quoted: _WORDS.sub(shown, quoted[0]), error.message))
        for error in errors
    )


def _errors(tu: Any) -> tuple[Diagnostic, ...]:
    found = []
    for diagnostic in tu.diagnostics:
        if diagnostic.severity >= 3:
            place = diagnostic.location
            name = place.file.name if place.file else ""
            directive = diagnostic.category_name == "User-Defined Issue"
            found.append(Diagnostic(diagnostic.spelling, name, place.offset, place.line, directive))
    return tuple(found)


def _looser(tu: Any) -> int:
    """How many warnings there are, which are errors to a compiler of today; not of what was set apart, which has a type
    of its own for us alone."""
    apart = ("will not be visible outside", OWN, "'struct $", "'union $", "'enum $")
    return sum(one.severity == 2 and not any(name in one.spelling for name in apart) for one in tu.diagnostics)
