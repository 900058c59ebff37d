"""What is declared for the names that no header has, by what libclang's errors say of them.

A name that everybody means the same by gets its meaning (`known`), one that the program has beside the kernel's types
is set apart. Of the others only the place tells what they may be: these are guesses.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ebpffix.frontend import known
from ebpffix.frontend.environment import BUNDLED
from ebpffix.sources.source import Source

OWN = "ebpffix_own_"  # before a name that both the program and the kernel's types define


@dataclass(frozen=True)
class Diagnostic:
    """What libclang says: `offset` is a byte of `file`, where a person wrote it, and `line` its line (1-based);
    `directive`: an #error says it."""

    message: str
    file: str
    offset: int
    line: int
    directive: bool = False


@dataclass(frozen=True)
class Declaration:
    """`text` declares a name. `guessed`: nobody knows whether it is the right kind of thing."""

    text: bytes
    guessed: bool = False


REDEFINED = re.compile(
    r"(?:redefinition of|conflicting types for|(?:non-)?static declaration of) (?:enumerator )?'(\w+)'"
)
OTHER_TAG = re.compile(r"use of '\w+' with tag type that does not match previous declaration")
TYPEDEF_REDEFINED = re.compile(r"typedef redefinition")
NOT_THE_PROJECT = ("/usr/", str(BUNDLED))
_UNKNOWN_TYPE = re.compile(r"unknown type name '(\w+)'")
_TAG_MISSING = re.compile(r"must use '(struct|union|enum)' tag to refer to type '(\w+)'")
UNDECLARED = re.compile(r"(?:use of|call to) undeclared (?:identifier|function) '([\w$]+)'")
_NO_MEMBER = re.compile(r"no member named '(\w+)'")
_NO_MACRO = re.compile(r"function-like macro '(\w+)' is not defined")
# An object of a struct that is nowhere. Behind a pointer it may stay so: its members' names are enough.
_NO_STRUCT = re.compile(
    r"(?:variable|field|array) has incomplete (?:element )?type '(?:const )?((?:struct|union|enum) \w+)"
    r"|tentative definition has type '((?:struct|union|enum) \w+)|argument type '(enum \w+)' is incomplete"
)
_MEMBER = re.compile(
    r"(?:no member named|field designator) '(\w+)' (?:in|does not refer to any field in type)"
    r" '((?:(?:struct|union) )?\w+)'"
)
_NO_SIZE = re.compile(r"(?:invalid application of 'sizeof' to an|offsetof of) incomplete type '((?:struct|union) \w+)'")
# What a word says that stands where none is known: the error is about what comes behind it.
_SYNTAX = re.compile(r"expected (?!\d)|type specifier|a parameter list without types")
_DECLARES = re.compile(rb"[ \t]*(?:(?:const|static|volatile)\s+)*([A-Za-z_]\w*)(?:\s+|\s*\*+\s*)[A-Za-z_]\w*\s*[;=,\[]")
_AT_FILE_SCOPE = re.compile(rb"([A-Za-z_]\w*)[ \t]*\(")
_TAKES_TYPE = re.compile(
    rb"\s*\((?:[^()]*,)?\s*(?:struct\s+\w+|(?:un)?signed\b[\w ]*|char|short|int|long|void"
    rb"|(?:__)?[us](?:8|16|32|64)|u?int\d+_t)[\s*]*[,)]"
)
_NAME = re.compile(rb"[A-Za-z_]\w*")
_MEMBERS_END = b" }"
# A macro that is a string, by those around it: `SEC("kprobe/" CALL(open))`.
_BESIDE_STRING = re.compile(rb""""[^"\n]*"\s*([A-Z_]\w+)[ \t]*(\()?|\b([A-Z_]\w+)[ \t]*(?=")""")


def declare(
    source: Source,
    errors: Sequence[Diagnostic],
    tags: Collection[bytes],
    texts: Mapping[str, bytes],
    made_up: Mapping[str, Declaration],
    never: Collection[str],
    *,
    kernel_types: bool,
) -> dict[str, Declaration]:
    """A declaration for each name that the errors say nobody declared, `tags` aside. First the types: without the type
    of a variable clang does not know the variable either. `texts` are the project's files, by name; `made_up` is what
    was declared so far, in vain or not, and `never` what must not be. With all `kernel_types` there a struct that is
    nowhere is the project's: a generated one, say."""
    done = {*made_up, *never}
    types: dict[str, Declaration] = {}
    for error in errors:
        if own := _own_name(source, error):
            if own.encode() in tags:
                continue
            # The program has a thing of its own where the kernel's types have one too: it keeps it, under a name apart.
            types[own] = Declaration(b"#define %s %s%s" % (own.encode(), OWN.encode(), own.encode()))
        elif declared := _declare_struct(error, kernel_types) or _declare_type(source, error):
            types[declared[0]] = declared[1]
    types = {name: one for name, one in types.items() if name not in done}
    if types or tags:
        return types
    values: dict[str, Declaration] = {}
    for error in errors:
        match = UNDECLARED.search(error.message)
        name = match[1] if match else ""
        if name and name not in values:
            values[name] = _known(name) or Declaration(_value(source, error, name.encode()), guessed=True)
        elif not name and (macro := _macro(source, error, texts, done)):
            values.setdefault(*macro)
    new = {name: one for name, one in values.items() if name not in done}
    return new or _with_members(errors, texts, made_up)


def _with_members(
    errors: Sequence[Diagnostic], texts: Mapping[str, bytes], made_up: Mapping[str, Declaration]
) -> dict[str, Declaration]:
    """The structs that were made up, with the members that the program uses: a list of them would be lost otherwise."""
    found: dict[str, Declaration] = {}
    for error in errors:
        match = _MEMBER.match(error.message)
        name = next((n for n in (match[2], f"struct {match[2]}") if n in made_up), "") if match else ""
        one = found.get(name) or made_up.get(name)
        if match and one and one.guessed and _MEMBERS_END in one.text:
            member, text = match[1].encode(), texts.get(error.file, b"")
            many = re.compile(rb"%s\s*\[" % member).match(text, error.offset)
            declared = b" long long %s%s;" % (member, b"[64]" if many else b"")
            if not re.search(rb" %s[;[]" % member, one.text):
                found[name] = Declaration(one.text.replace(_MEMBERS_END, declared + _MEMBERS_END), guessed=True)
    return found


def _known(name: str) -> Declaration | None:
    text = known.declaration(name)
    return Declaration(text) if text else None


def _declare_struct(error: Diagnostic, kernel_types: bool) -> tuple[str, Declaration] | None:
    match = _NO_STRUCT.match(error.message) or (kernel_types and _NO_SIZE.match(error.message))
    if not match or error.file.startswith(NOT_THE_PROJECT):
        return None
    name = str(match[match.lastindex or 0])
    if name.startswith("enum "):
        return name, Declaration(b"%s { %s_made_up };" % (name.encode(), name[5:].encode()), guessed=True)
    made_up = Declaration(b"%s { long long made_up[2];%s;" % (name.encode(), _MEMBERS_END), guessed=True)
    return name, _known(name) or made_up


def _declare_type(source: Source, error: Diagnostic) -> tuple[str, Declaration] | None:
    """(name, declaration) of the type that an error misses, or of a word that clang takes for one."""
    if match := _TAG_MISSING.match(error.message):
        tag, name = match[1].encode(), match[2].encode()
        return match[2], Declaration(b"typedef %s %s %s;" % (tag, name, name))
    unknown = _UNKNOWN_TYPE.match(error.message)
    match = unknown or UNDECLARED.search(error.message)
    name = match[1] if match else ""
    # In a function clang takes the type of `our_t x;` for an expression.
    declares = error.file == str(source.path) and _DECLARES.match(source.code, source.line_start(error.offset))
    is_type = unknown or (declares and declares.start(1) == error.offset)
    if (meaning := _known(name)) and (is_type or not known.is_macro(name)):
        return name, meaning
    if is_type:
        return name, Declaration(
            b"typedef struct { long long made_up[2];%s %s;" % (_MEMBERS_END, name.encode()), guessed=True
        )
    return None


def _own_name(source: Source, error: Diagnostic) -> str | None:
    if error.file.startswith(NOT_THE_PROJECT):
        return None
    if (match := REDEFINED.match(error.message)) and not match[1].startswith(OWN):
        return match[1]
    if error.file == str(source.path) and TYPEDEF_REDEFINED.match(error.message):
        name = _NAME.match(source.data, error.offset)
        return name[0].decode() if name else None
    return None


def _macro(
    source: Source, error: Diagnostic, texts: Mapping[str, bytes], done: Collection[str]
) -> tuple[str, Declaration] | None:
    """(name, declaration) of a macro that an error is about, though it does not say so."""
    match = _NO_MEMBER.search(error.message) or _NO_MACRO.search(error.message)
    if match:
        meaning = _known(match[1]) if known.is_macro(match[1]) else None
        return (match[1], meaning) if meaning else None
    if not _SYNTAX.search(error.message) or error.file.startswith(NOT_THE_PROJECT):
        return None
    if error.offset > len(texts.get(error.file, b"")):
        return None
    text = source if error.file == str(source.path) else Source(Path(error.file), texts[error.file])
    start, end = text.line_start(error.offset), text.line_end(error.offset)
    for beside in _BESIDE_STRING.finditer(text.uncommented, start, end):
        word = beside[1] or beside[3]
        if word.decode() not in done and not any(_bodies(word, texts)):
            return word.decode(), Declaration(b'#define %s%s ""' % (word, b"(...)" if beside[2] else b""), guessed=True)
    words = _NAME.findall(text.code, start, end)
    for word in (*words, *(inner for name in words for body in _bodies(name, texts) for inner in _NAME.findall(body))):
        name = word.decode()
        is_macro = known.is_macro(name) and name not in done and not any(_bodies(word, texts))
        if is_macro and _is_function(word, text.code[start:end]):  # BCC's prelude has it, and the program another
            return name, Declaration(b"#undef %s" % word)
        if is_macro:
            meaning = _known(name)
            return (name, meaning) if meaning else None
    # A macro that stands alone, outside of any function: what it declares is made up where it is used.
    call = _AT_FILE_SCOPE.match(text.code, start)
    if call and re.fullmatch(rb"\([^{}]*\)[ \t]*;?\s*", text.code[call.end() - 1 : end]):
        return call[1].decode(), Declaration(b"#define %s(...)" % call[1], guessed=True)
    return None


def _is_function(name: bytes, line: bytes) -> bool:
    """Whether a line begins a function of this name: it has a type before it, and types in its brackets."""
    return re.search(rb"\w[\s*]+%s\s*\(\s*(?:const\s+)?\w+[\s*]+\w+\s*[,)]" % name, line) is not None


def _bodies(name: bytes, texts: Mapping[str, bytes]) -> Iterator[bytes]:
    """What the project's macros of a name are made of, the name and parameters among it."""
    for text in texts.values():
        if name in text:
            for match in re.finditer(rb"#[ \t]*define[ \t]+%s\b(?:\\\r?\n|[^\n])*" % name, text):
                yield match[0]


def withheld_by(names: Mapping[str, Declaration], texts: Mapping[str, bytes]) -> Iterator[str]:
    """Macros that nothing defines, and under which a file of the project defines one of these names, which nobody
    knows."""
    for name, one in names.items():
        for text in texts.values() if one.guessed else ():
            for match in re.finditer(rb"^[ \t]*#[ \t]*define[ \t]+%s\b" % name.encode(), text, re.MULTILINE):
                if condition := _condition(text, match.start()):
                    yield condition


_BRANCH = re.compile(rb"^[ \t]*#[ \t]*(if|ifdef|ifndef|elif|else|endif)\b([^\n]*)", re.MULTILINE)
_ASKS = re.compile(rb"[ \t]*(?:defined[ \t]*\(?[ \t]*)?([A-Za-z_]\w*)[ \t]*\)?[ \t]*(?:/[/*].*)?\r?")


def _condition(text: bytes, offset: int) -> str | None:
    """The one macro that the innermost branch around a byte asks for."""
    open_branches: list[bytes | None] = []
    for match in _BRANCH.finditer(text, 0, offset):
        word, rest = match[1], match[2]
        if word == b"endif":
            open_branches = open_branches[:-1]
            continue
        asked = _ASKS.fullmatch(rest) if word in (b"if", b"ifdef", b"elif") else None
        if word in (b"elif", b"else"):
            open_branches = open_branches[:-1]
        open_branches.append(asked[1] if asked else None)
    asked_last = open_branches[-1] if open_branches else None
    return asked_last.decode() if asked_last else None


def _value(source: Source, error: Diagnostic, name: bytes) -> bytes:
    if error.message.startswith("call to"):
        # One that takes a type can only be a macro.
        called = error.file == str(source.path) and _TAKES_TYPE.match(source.code, error.offset + len(name))
        return (b"#define %s(...) (*(long long *)0)" if called else b"long long %s();") % name
    # Constants in case labels must differ from each other.
    constant = b"enum { %s = %d };" % (name, 0x1000 + sum(name) * 31 + len(name))
    if error.file != str(source.path):
        return constant
    code, offset = source.code, error.offset
    if not re.search(
        rb"(?<![\w$])%s\b" % re.escape(name), code
    ):  # of a header's macro, which may well take its address
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
    return constant
