"""libclang, loaded so that walking is cheap: 1 ms per 1000 cursors this way, 7 ms through the stock wrappers."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from functools import cache
from typing import Any

import clang
from clang import cindex

# CXTranslationUnit_Flags
DETAILED_RECORD = 0x01
INCOMPLETE = 0x02
FOR_SERIALIZATION = 0x10
KEEP_GOING = 0x200

LoadError = cindex.TranslationUnitLoadError  # libclang gave no translation unit; a stale precompiled header, mostly

_CONTINUE, _RECURSE = 1, 2  # CXChildVisitResult: on to the next sibling, or to the children first

# CXBinaryOperatorKind and CXUnaryOperatorKind, in the order of clang-c/Index.h; 0 is "none".
_BINARY = " .* ->* * / % + - << >> <=> < > <= >= == != & ^ | && || = *= /= %= += -= <<= >>= &= ^= |= ,".split(" ")
_UNARY = " ++post --post ++ -- & * + - ~ ! real imag extension co_await".split(" ")


class _RangeList(ctypes.Structure):
    _fields_ = (("count", ctypes.c_uint), ("ranges", ctypes.POINTER(cindex.SourceRange)))


def _library_file() -> str:
    folder = cindex.Config.library_path or os.path.join(os.path.dirname(clang.__file__), "native")
    return cindex.Config.library_file or os.path.join(folder, "libclang.so")


def _decoded(text: Any, *_: object) -> Any:
    return None if text is None else os.fsdecode(text)


@cache
def library() -> Any:
    """libclang with the functions of cindex. PyDLL keeps Python's lock: the thousands of small calls of a walk would
    spend more time on handing it over than on their work, and nobody else waits for it."""
    fast = ctypes.PyDLL(_library_file())
    cindex.register_functions(fast, True)
    for name, result, arguments in (
        ("clang_getCursorBinaryOperatorKind", ctypes.c_int, [cindex.Cursor]),
        ("clang_getCursorUnaryOperatorKind", ctypes.c_int, [cindex.Cursor]),
        ("clang_Cursor_getVarDeclInitializer", cindex.Cursor, [cindex.Cursor]),
        ("clang_getSkippedRanges", ctypes.POINTER(_RangeList), [cindex.TranslationUnit, ctypes.c_void_p]),
        ("clang_Cursor_Evaluate", ctypes.c_void_p, [cindex.Cursor]),
        ("clang_EvalResult_getKind", ctypes.c_int, [ctypes.c_void_p]),
        ("clang_EvalResult_getAsLongLong", ctypes.c_longlong, [ctypes.c_void_p]),
        ("clang_EvalResult_dispose", None, [ctypes.c_void_p]),
        ("clang_disposeSourceRangeList", None, [ctypes.POINTER(_RangeList)]),
        ("clang_getCursorPrintingPolicy", ctypes.c_void_p, [cindex.Cursor]),
        ("clang_PrintingPolicy_setProperty", None, [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint]),
        ("clang_PrintingPolicy_dispose", None, [ctypes.c_void_p]),
        ("clang_getCursorPrettyPrinted", cindex._CXString, [cindex.Cursor, ctypes.c_void_p]),
    ):
        function = getattr(fast, name)
        function.restype, function.argtypes = result, arguments
    fast.clang_getCursorPrettyPrinted.errcheck = cindex._CXString.from_result
    # Handles of files as numbers, for which cindex would make an object each time.
    for name in ("clang_getFileLocation", "clang_getInstantiationLocation"):
        getattr(fast, name).argtypes = [cindex.SourceLocation, *[ctypes.c_void_p] * 4]
    # cindex takes all text for UTF-8, and a file's name or a program's words need not be.
    fast.clang_getCString.restype = ctypes.c_char_p
    fast.clang_getCString.errcheck = _decoded
    # cindex reads this attribute instead of loading a library of its own.
    type(cindex.conf).lib = fast
    return fast


def identity() -> str:
    """What tells this libclang from another, without loading it: the library's path, size and time."""
    seen = os.stat(_library_file())
    return f"{_library_file()}:{seen.st_size}:{seen.st_mtime_ns}"


_VISITOR = cindex.callbacks["cursor_visit"]


def children(cursor: Any) -> list[Any]:
    """The direct children of a cursor, in source order."""
    found: list[Any] = []
    keep = found.append

    def visit(child: Any, _parent: Any, _data: Any) -> int:
        keep(child)
        return _CONTINUE

    library().clang_visitChildren(cursor, _VISITOR(visit), None)
    return found


def below(cursor: Any) -> list[tuple[Any, Any]]:
    """All cursors below one, in source order, each with the cursor right above it: one visit costs a fraction of
    asking each for its children."""
    found: list[tuple[Any, Any]] = []
    keep = found.append

    def visit(child: Any, parent: Any, _data: Any) -> int:
        keep((child, parent))
        return _RECURSE

    library().clang_visitChildren(cursor, _VISITOR(visit), None)
    return found


_KINDS: dict[int, str] = {}


def kind_name(cursor: Any) -> str:
    """libclang's name for the cursor's kind, such as "CALL_EXPR"; "UNKNOWN" for kinds newer than the bindings."""
    number = cursor._kind_id
    name = _KINDS.get(number)
    if name is None:
        try:
            name = cindex.CursorKind.from_id(number).name
        except ValueError:
            name = "UNKNOWN"
        _KINDS[number] = name
    return name


_TYPE_KINDS: dict[int, str] = {}


def type_kind(type_: Any) -> str:
    """libclang's name for the type's kind, such as "POINTER"; "UNKNOWN" for kinds newer than the bindings."""
    number = type_._kind_id
    name = _TYPE_KINDS.get(number)
    if name is None:
        try:
            name = cindex.TypeKind.from_id(number).name
        except ValueError:
            name = "UNKNOWN"
        _TYPE_KINDS[number] = name
    return name


def binary_operator(cursor: Any) -> str:
    number = library().clang_getCursorBinaryOperatorKind(cursor)
    return _BINARY[number] if number < len(_BINARY) else ""


def unary_operator(cursor: Any) -> str:
    number = library().clang_getCursorUnaryOperatorKind(cursor)
    return _UNARY[number] if number < len(_UNARY) else ""


def initialiser(cursor: Any) -> Any | None:
    """What a variable's declaration sets it to, None where it has no value."""
    found = library().clang_Cursor_getVarDeclInitializer(cursor)
    return None if found.kind.is_invalid() else found


def integer(cursor: Any) -> int | None:
    """The value of an integer expression that is a constant (sizeof, enumerators and macros among it), else None."""
    lib = library()
    result = lib.clang_Cursor_Evaluate(cursor)
    if not result:
        return None
    try:
        # CXEval_Int
        return int(lib.clang_EvalResult_getAsLongLong(result)) if lib.clang_EvalResult_getKind(result) == 1 else None
    finally:
        lib.clang_EvalResult_dispose(result)


def macro_word(expansion: Any) -> str:
    """The identifier that is all of the body of the macro that is expanded; "" for any other body."""
    definition = expansion.referenced
    words = [token.spelling for token in definition.get_tokens()][1:3] if definition is not None else []
    return words[0] if len(words) == 1 and words[0].isidentifier() else ""


_TERSE = 17  # CXPrintingPolicy_TerseOutput: without a body


def declared(cursor: Any) -> str:
    """A declaration as libclang prints it: macros expanded, attributes spelled out, strings joined, no body."""
    lib = library()
    policy = lib.clang_getCursorPrintingPolicy(cursor)
    try:
        lib.clang_PrintingPolicy_setProperty(policy, _TERSE, 1)
        return str(lib.clang_getCursorPrettyPrinted(cursor, policy))
    finally:
        lib.clang_PrintingPolicy_dispose(policy)


_INCLUSION = cindex.callbacks["translation_unit_includes"]


def files_read(tu: Any) -> list[str]:
    """The names, as libclang has them, of the main file and of all that it includes, directly or not, each as often as
    it was entered; not what a precompiled header holds already."""
    found: list[str] = []

    def visit(file: Any, _stack: Any, _depth: Any, _data: Any) -> None:
        found.append(cindex.File(file).name)

    library().clang_getInclusions(tu, _INCLUSION(visit), None)
    return found


class _Place:
    """The out-parameters of a location query, allocated once for a translation unit."""

    __slots__ = ("_expansion", "_file", "_offset", "_out", "_written")

    def __init__(self) -> None:
        lib = library()
        self._written, self._expansion = lib.clang_getFileLocation, lib.clang_getInstantiationLocation
        self._file, self._offset = ctypes.c_void_p(), ctypes.c_uint()
        line, column = ctypes.c_uint(), ctypes.c_uint()
        self._out = tuple(map(ctypes.byref, (self._file, line, column, self._offset)))

    def of(self, location: Any) -> tuple[int, int]:
        self._written(location, *self._out)
        return self._file.value or 0, self._offset.value

    def expansion(self, location: Any) -> tuple[int, int]:
        self._expansion(location, *self._out)
        return self._file.value or 0, self._offset.value


class Locator:
    """Where the cursors of one translation unit stand: in the text that a person wrote.

    A macro's argument is where it was spelled, a macro's body is where it was expanded. Offsets are bytes, 0-based.
    """

    def __init__(self) -> None:
        self._lib = library()
        self._place = _Place()
        self._names: dict[int, str] = {}

    def name(self, file: int) -> str | None:
        """The name of a file that this locator gave as a handle, as libclang has it; None for no file."""
        if not file:
            return None
        if file not in self._names:
            self._names[file] = cindex.File(ctypes.cast(file, cindex.c_object_p)).name
        return self._names[file]

    def extent(self, cursor: Any) -> tuple[int, int, int]:
        """(file handle, start, end) of a cursor."""
        lib = self._lib
        both = lib.clang_getCursorExtent(cursor)
        file, start = self._place.of(lib.clang_getRangeStart(both))
        _, end = self._place.of(lib.clang_getRangeEnd(both))
        return file, start, end

    def expansion(self, cursor: Any) -> tuple[int, int]:
        """(file handle, offset) of the outermost macro expansion that holds the cursor's start."""
        return self._place.expansion(self._lib.clang_getRangeStart(self._lib.clang_getCursorExtent(cursor)))

    def skipped(self, tu: Any, name: str) -> list[tuple[int, int]]:
        """Byte ranges of a file that an #if left out, in order."""
        found = self._lib.clang_getSkippedRanges(tu, tu.get_file(os.fsencode(name)))
        ranges = [found.contents.ranges[i] for i in range(found.contents.count)]
        spans = [
            (self._place.of(self._lib.clang_getRangeStart(r))[1], self._place.of(self._lib.clang_getRangeEnd(r))[1])
            for r in ranges
        ]
        self._lib.clang_disposeSourceRangeList(found)
        return spans


def parse(
    name: str, args: Sequence[str], unsaved: Sequence[tuple[str, bytes]], options: int = KEEP_GOING | DETAILED_RECORD
) -> Any:
    """A translation unit. cindex.TranslationUnitLoadError where libclang gives none (also: a stale precompiled
    header)."""
    library()
    index = cindex.Index.create(excludeDecls=True)
    files = [(os.fsencode(file), text) for file, text in unsaved]
    return index.parse(os.fsencode(name), [os.fsencode(arg) for arg in args], files, options)
