"""From bytes to a translation unit that has lost nothing: what no header declares is made up from the diagnostics.

Where a name is undeclared libclang drops the whole statement around it, and a pattern in it would be missed in
silence. So the names that the diagnostics complain of are declared in a virtual header, and the file is parsed again.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ebpffix.frontend import clang
from ebpffix.frontend.environment import BUNDLED, Setup
from ebpffix.sources.reach import Reach
from ebpffix.sources.reader import read_file
from ebpffix.sources.source import Source

OWN = "ebpffix_own_"  # before a name that both the program and the kernel's types define
MADE_UP = "/ebpffix-virtual/made-up.h"  # on no disk: libclang gets its text in memory
_ROUNDS = 6
_MACHINE = (f"-D__{platform.machine()}__", f"-D__{platform.machine()}")

_UNKNOWN_TYPE = re.compile(r"unknown type name '(\w+)'")
_TAG_MISSING = re.compile(r"must use '(struct|union|enum)' tag to refer to type '(\w+)'")
_REDEFINED = re.compile(
    r"(?:redefinition of|conflicting types for|(?:non-)?static declaration of) (?:enumerator )?'(\w+)'"
)
_TYPEDEF_REDEFINED = re.compile(r"typedef redefinition")
_UNDECLARED = re.compile(r"(?:use of|call to) undeclared (?:identifier|function) '(\w+)'")
# clang knows these functions and declares them itself: an error, but nothing is lost.
_LIBRARY = "call to undeclared library function"
# Types that everybody means the same by, whoever forgot to declare them.
_BASIC = {
    "size_t": b"unsigned long",
    **{
        f"{p}{sign}{bits}": f"{words} {size}".encode()
        for p in ("", "__")
        for sign, words in (("u", "unsigned"), ("s", "signed"))
        for bits, size in ((8, "char"), (16, "short"), (32, "int"), (64, "long long"))
    },
    **{
        f"__{order}{bits}": size.encode()
        for order in ("be", "le")
        for bits, size in ((16, "unsigned short"), (32, "unsigned int"), (64, "unsigned long long"))
    },
    "__sum16": b"unsigned short",
    "__wsum": b"unsigned int",
}


# Keywords of C23, in which some projects are written.
_BOOL = {"bool": b"typedef _Bool bool;", "true": b"enum { true = 1 };", "false": b"enum { false = 0 };"}
_DECLARES = re.compile(rb"[ \t]*(?:(?:const|static|volatile)\s+)*([A-Za-z_]\w*)(?:\s+|\s*\*+\s*)[A-Za-z_]\w*\s*[;=,\[]")
_NAME = re.compile(rb"[A-Za-z_]\w*")
_WORD, _WORDS, _QUOTED = re.compile(rb"\w+"), re.compile(r"\w+"), re.compile(r"'[^']*'")
_PLAIN = frozenset("struct union enum void char short int long unsigned signed const volatile _Bool aka".split())
_NOT_THE_PROJECT = ("/usr/", str(BUNDLED))


@dataclass(frozen=True)
class Diagnostic:
    """An error of libclang: `offset` is a byte of `file`, where a person wrote it; `directive`: an #error says it."""

    message: str
    file: str
    offset: int
    directive: bool = False


class OutOfReach(Exception):
    """The program read a file that is none of its own; one line."""

    def __init__(self, name: str) -> None:
        super().__init__(f"it includes {name}, which is not the project's; if it may be read, give its folder with -I")


@dataclass(frozen=True)
class Parsed:
    """A translation unit, its errors, the names that were made up to get there, and what the file still lacks, one
    phrase each, without repeats. `renamed` are the things of the program that libclang knows by another name, since
    the kernel's types have that name too: what libclang calls each, and what it is called."""

    tu: Any
    errors: tuple[Diagnostic, ...]
    made_up: frozenset[str]
    missing: tuple[str, ...]
    renamed: Mapping[str, str] = field(default_factory=dict)


def parse(source: Source, setup: Setup, virtual: Mapping[str, bytes], *, pch: Path | None) -> Parsed:
    """Parse `source`; `virtual` are texts that take the place of files, by name: those of an edited file, or with the
    includes blanked that nothing resolves.

    `pch` is the setup's prefix, precompiled; a stale one costs time only. clang.LoadError where libclang gives nothing,
    OutOfReach where the program reads what it must not.
    """
    try:
        return _parse(source, setup, virtual, pch)
    except clang.LoadError:
        if pch is None:
            raise
        return _parse(source, setup, virtual, None)


def _parse(source: Source, setup: Setup, virtual: Mapping[str, bytes], pch: Path | None) -> Parsed:
    made_up: dict[str, bytes] = {}
    tags: set[bytes] = set()
    flags = list(setup.args)
    if pch:
        flags += ["-include-pch", str(pch)]
    else:
        flags += [part for header in setup.prefix for part in ("-include", header)]
    known = {MADE_UP, str(source.path), *virtual}
    best: tuple[Any, tuple[Diagnostic, ...], frozenset[str]] | None = None
    texts: dict[str, bytes] = {}
    for _ in range(_ROUNDS):
        files = list((_with_own_tags(virtual, texts, tags) if tags else virtual).items())
        extra: list[str] = []
        if made_up:
            files.append((MADE_UP, b"\n".join(made_up.values()) + b"\n"))
            extra = ["-include", MADE_UP]
        tu = clang.parse(str(source.path), flags + extra, files)
        # Before any message is read: what is made up of one is text of the file that it speaks of.
        if name := setup.reach.outside(name for name in clang.files_read(tu) if name not in known):
            raise OutOfReach(name)
        errors = _errors(tu)
        if best is None or len(errors) < len(best[1]):
            best = tu, errors, frozenset(made_up)
        if _MACHINE[0] not in flags and any(error.directive for error in errors):
            # Headers that give up on a machine that they do not know mean the one that runs the program.
            flags += _MACHINE
            continue
        texts = texts or _own_texts(source, virtual, tu, setup.reach) if errors else texts
        new_tags = _own_tags(errors, texts) - tags
        new = {n: d for n, d in _declare(source, errors, new_tags).items() if n not in made_up}
        if not (new or new_tags) or best[0] is not tu:
            break
        made_up.update(new)
        tags |= new_tags
    assert best is not None
    own = {OWN + name: name for name, text in made_up.items() if OWN.encode() in text}
    renamed = own | {_apart(tag).decode(): tag.decode() for tag in tags}
    return Parsed(*best, _missing(best[1], virtual, clang.files_read(best[0]), setup.reach), renamed)


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
        text = texts.get(error.file)
        match = _TAG_AT_END.search(text, max(0, error.offset - 200), error.offset) if text is not None else None
        if match and (name := _NAME.match(text or b"", error.offset)) and _REDEFINED.match(error.message):
            found.add(name[0])
    return found


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


def _missing(
    errors: Sequence[Diagnostic], virtual: Mapping[str, bytes], names: Sequence[str], reach: Reach
) -> tuple[str, ...]:
    """The messages of libclang. Of names in them, only those that the program's own files have are shown."""
    messages = dict.fromkeys(e.message for e in errors if not e.message.startswith(_LIBRARY))
    if not messages:
        return ()
    words = set(_WORD.findall(b"".join(virtual.values())))
    for name in set(names) - virtual.keys():
        if reach.owns(name):
            with contextlib.suppress(OSError):
                words.update(_WORD.findall(read_file(name)))

    def shown(word: re.Match[str]) -> str:
        return word[0] if word[0] in _PLAIN or os.fsencode(word[0]) in words else "…"

    return tuple(_QUOTED.sub(lambda quoted: _WORDS.sub(shown, quoted[0]), message) for message in messages)


def _errors(tu: Any) -> tuple[Diagnostic, ...]:
    found = []
    for diagnostic in tu.diagnostics:
        if diagnostic.severity >= 3:
            place = diagnostic.location
            name = place.file.name if place.file else ""
            directive = diagnostic.category_name == "User-Defined Issue"
            found.append(Diagnostic(diagnostic.spelling, name, place.offset, directive))
    return tuple(found)


def _declare(source: Source, errors: Sequence[Diagnostic], tags: Collection[bytes]) -> dict[str, bytes]:
    """A declaration for each name that the errors say nobody declared, `tags` aside. First the types: without the type
    of a variable clang does not know the variable either."""
    types = {}
    for error in errors:
        if own := _own_name(source, error):
            if own.encode() in tags:
                continue
            # The program has a thing of its own where the kernel's types have one too: it keeps it, under a name apart.
            types[own] = b"#define %s %s%s" % (own.encode(), OWN.encode(), own.encode())
        elif declared := _declare_type(source, error):
            types[declared[0]] = declared[1]
    if types or tags:
        return types
    values = {}
    for error in errors:
        if match := _UNDECLARED.search(error.message):
            name = match[1].encode()
            called = error.message.startswith("call to")
            values[match[1]] = b"long long %s();" % name if called else _declare_value(source, error, name)
    return values


def _declare_type(source: Source, error: Diagnostic) -> tuple[str, bytes] | None:
    """(name, declaration) of the type that an error misses."""
    if match := _TAG_MISSING.match(error.message):
        return match[2], b"typedef %s %s %s;" % (match[1].encode(), match[2].encode(), match[2].encode())
    unknown = _UNKNOWN_TYPE.match(error.message)
    match = unknown or _UNDECLARED.search(error.message)
    name = match[1] if match else ""
    if name in _BOOL:
        return name, _BOOL[name]
    if name in _BASIC:
        return name, b"typedef %s %s;" % (_BASIC[name], name.encode())
    # In a function clang takes the type of `our_t x;` for an expression.
    declares = error.file == str(source.path) and _DECLARES.match(source.code, source.line_start(error.offset))
    if unknown or (declares and declares.start(1) == error.offset):
        return name, b"typedef struct { long long made_up[2]; } %s;" % name.encode()
    return None


def _own_name(source: Source, error: Diagnostic) -> str | None:
    if error.file.startswith(_NOT_THE_PROJECT):
        return None
    if (match := _REDEFINED.match(error.message)) and not match[1].startswith(OWN):
        return match[1]
    if error.file == str(source.path) and _TYPEDEF_REDEFINED.match(error.message):
        name = _NAME.match(source.data, error.offset)
        return name[0].decode() if name else None
    return None


def _declare_value(source: Source, error: Diagnostic, name: bytes) -> bytes:
    if error.file != str(source.path):
        return b"enum { %s = 1 };" % name
    code, offset = source.code, error.offset
    if not re.search(rb"\b%s\b" % name, code):  # of a header's macro, which may well take its address
        return b"extern long long %s[1];" % name
    before = code[source.line_start(offset) : offset].strip()
    after = code[offset + len(name) : offset + len(name) + 200].lstrip(b" \t")
    # Alone in a statement: text that a host program puts in before it compiles.
    if not before and after[:1] in (b"\r", b"\n", b";"):
        return b"#define %s" % name
    if after[:1] == b"(":
        return b"long long %s();" % name
    if after[:2] == b"->":
        return b"extern void *%s;" % name
    if after[:1] == b"[" or (before.endswith(b"&") and not before.endswith(b"&&")):
        return b"extern long long %s[1];" % name
    # Constants in case labels must differ from each other.
    return b"enum { %s = %d };" % (name, 0x1000 + sum(name) * 31 + len(name))
