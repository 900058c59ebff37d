"""Unit: one analysed program as transforms see it.

The syntax tree of the files of the run (never of system headers), the macros expanded in them, the map operations,
and what is known about how far the analysis can be trusted.
"""

from __future__ import annotations

import itertools
import os
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ebpffix.fix import Edit, Spanned
from ebpffix.frontend import clang
from ebpffix.frontend.declared import Declared
from ebpffix.frontend.node import Node
from ebpffix.frontend.parse import MADE_UP, Parsed
from ebpffix.frontend.type import Type
from ebpffix.kernel.helpers import Helper, Role
from ebpffix.sources import neighbours
from ebpffix.sources.source import DIRECTIVE, Source
from ebpffix.sources.user_space import UserSpace


@dataclass(frozen=True)
class Macro:
    """One macro expansion that a person wrote: `start` to `end` is the whole of it, `args` its arguments' spans. What
    it `means` is the macro that it is another name of, such as BPF_KSYSCALL for BPF_KPROBE_SYSCALL, else its own."""

    path: Path
    name: str
    start: int
    end: int
    args: tuple[tuple[int, int], ...]
    means: str


@dataclass(frozen=True)
class MapCall:
    """A call that works on a map, the same for both dialects.

    `op` is "lookup", "update", "delete", "lookup_or_init", … without bpf_map_ and _elem, and `does` what the helper or
    method is known to do. `map` is the map's expression without `&`. Missing arguments are None.
    """

    call: Node
    op: str
    does: Helper
    map: Node
    key: Node | None
    value: Node | None
    flags: Node | None

    @property
    def changes(self) -> bool:
        """Whether it makes, removes or overwrites an entry."""
        return self.does.changes_map


@dataclass
class Unit:
    """One program: `path` is its main file, `sources` the files of the run in it (the main file among them)."""

    path: Path
    dialect: str
    parsed: Parsed
    sources: Mapping[Path, Source]
    target_kernel: tuple[int, int] = (5, 10)
    shared_with_user_space: frozenset[Path] = frozenset()  # headers that user-space C includes too
    shared_with_programs: frozenset[Path] = frozenset()  # headers that several programs of the run include
    btf_path: Path | None = None  # BTF given or found, for transforms that need layouts of kernel structs
    user_space: UserSpace = field(default_factory=UserSpace)  # what the project does beside the program
    notes: list[str] = field(default_factory=list)
    memo: dict[str, Any] = field(default_factory=dict, repr=False)  # what analyses keep, under their own names

    def __post_init__(self) -> None:
        self._locator = clang.Locator()
        self._paths: dict[int, Path | None] = {}
        self._files: dict[str, Path] = {}

    @property
    def source(self) -> Source:
        return self.sources[self.path]

    @property
    def tu(self) -> Any:
        """libclang's translation unit, for the frontend alone."""
        return self.parsed.tu

    @property
    def made_up(self) -> frozenset[str]:
        """Names that no header had, declared to keep statements in the tree."""
        return self.parsed.made_up

    def called(self, spelling: str) -> str:
        """A name or type of libclang's as the program has it."""
        renamed = self.parsed.renamed
        return _RENAMED.sub(lambda word: renamed.get(word[0], word[0]), spelling) if renamed else spelling

    @property
    def guessed(self) -> frozenset[str]:
        """Those of the made-up names of which nobody knows what they are."""
        return self.parsed.guessed

    @cached_property
    def declared(self) -> Declared:
        """The names that the program's own headers have."""
        return Declared(self.sources.values(), clang.files_read(self.tu))

    @property
    def missing(self) -> tuple[str, ...]:
        """Names that stayed unknown: the file is only partly analysed."""
        return self.parsed.missing

    @property
    def complaints(self) -> tuple[str, ...]:
        """What libclang says of all that it did not understand."""
        return (*self.missing, *(error.message for error in self.parsed.local))

    @property
    def errors(self) -> int:
        """How many errors libclang has with the program and its headers."""
        return len(self.parsed.errors)

    @property
    def partial(self) -> bool:
        return bool(self.missing)

    # -- places

    def _path(self, file: int) -> Path | None:
        if file not in self._paths:
            name = self._locator.name(file)
            self._paths[file] = self.file(name) if name else None
        return self._paths[file]

    def file(self, name: str) -> Path:
        """A file by libclang's name of it: as the run calls it, where it is one of the run's."""
        if name not in self._files:
            path = Path(os.path.normpath(name))
            if path not in self.sources:
                real = Path(os.path.realpath(path))
                path = next((p for p in self.sources if p == real or os.path.realpath(p) == str(real)), path)
            self._files[name] = path
        return self._files[name]

    def extent(self, cursor: Any) -> tuple[Path | None, int, int]:
        file, start, end = self._locator.extent(cursor)
        return self._path(file), start, end

    def text(self, at: Spanned) -> bytes:
        source = self.sources.get(at.path)
        return source.data[at.start : at.end] if source else b""

    def source_of(self, at: Spanned) -> Source:
        """The source that holds `at`. KeyError for a file outside the run."""
        return self.sources[at.path]

    @cached_property
    def _macros(self) -> dict[Path, list[Macro]]:
        """The expansions of each file by start; of several at one place the widest first."""
        found: dict[Path, dict[tuple[int, int], Macro]] = {}
        for node in self.root.children:
            if node.kind == "MACRO_INSTANTIATION" and node.path in self.sources:
                source = self.sources[node.path]
                name = node.name.encode()
                if node.name in self.made_up:
                    continue
                # An expansion inside another macro's body is recorded at the outer one's place: not a person's text.
                if source.data.startswith(name, node.start):
                    behind, means = node.start + len(name), node.name
                    if node.end == behind and _OPENING.match(source.code, behind):
                        means = node.macro_word or means  # what it is another name of takes the arguments
                    most = node.end if means == node.name else len(source.data)
                    start, end, args = macro_span(source, node.start, behind, most)
                    found.setdefault(node.path, {})[start, end] = Macro(node.path, node.name, start, end, args, means)
        return {p: sorted(m.values(), key=lambda m: (m.start, -m.end)) for p, m in found.items()}

    def macros(self, *names: str, path: Path | None = None) -> list[Macro]:
        """The macro expansions in the files of the run (or in one of them), in order; all names if none is given."""
        files = [path] if path else list(self._macros)
        return [m for p in files for m in self._macros.get(p, ()) if not names or m.name in names]

    def macros_around(self, path: Path, start: int, end: int) -> list[Macro]:
        """The expansions that hold the whole span, outermost first."""
        return [m for m in self._macros.get(path, ()) if m.start <= start and end <= m.end]

    @cached_property
    def _directives(self) -> dict[Path, list[tuple[int, int]]]:
        return {p: [m.span() for m in DIRECTIVE.finditer(s.uncommented)] for p, s in self.sources.items()}

    def directives(self, path: Path) -> list[tuple[int, int]]:
        """The spans of a file's preprocessor directives, in order."""
        return self._directives.get(path, [])

    def argument_spans(self, path: Path, name_end: int) -> tuple[tuple[int, int], ...]:
        """Of a call whose function's name ends at a byte: its arguments' spans without the blanks around them."""
        source = self.sources[path]
        return macro_span(source, name_end, name_end, len(source.data))[2]

    def in_directive(self, path: Path, offset: int) -> bool:
        """Whether a byte belongs to a preprocessor directive, such as a macro's definition."""
        spans = self.directives(path)
        at = bisect_right(spans, (offset, len(self.sources[path].data))) - 1 if spans else -1
        return at >= 0 and spans[at][0] <= offset < spans[at][1]

    @cached_property
    def _inactive(self) -> dict[Path, list[tuple[int, int]]]:
        return {p: self._locator.skipped(self.tu, str(p)) for p in self.sources}

    def inactive_spans(self, path: Path) -> list[tuple[int, int]]:
        """The spans of a file that an #if left out, in order."""
        return self._inactive.get(path, [])

    def inactive(self, path: Path, offset: int) -> bool:
        """Whether a byte stands in text that an #if left out."""
        return any(start <= offset < end for start, end in self.inactive_spans(path))

    def editable(self, path: Path, start: int, end: int) -> bool:
        """Whether a person wrote the span as it stands: in a file of the run, in no directive, and where it is part
        of a macro's expansion, all of it is the expansion or inside one argument."""
        if path not in self.sources or not 0 <= start <= end <= len(self.sources[path].data):
            return False
        if self.in_directive(path, start):
            return False
        for macro in self._macros.get(path, ()):
            if macro.start >= end:
                break
            if macro.end <= start or (start <= macro.start and macro.end <= end):
                continue
            if not any(a <= start and end <= b for a, b in macro.args):
                return False
        return True

    def covers(self, path: Path, offset: int) -> bool:
        """Whether some node or macro expansion stands for a byte: False means that libclang lost the text there."""
        if any(m.start <= offset < m.end for m in self._macros.get(path, ())):
            return True
        node = next((f.body for f in self.functions if f.body and _holds(f.body, path, offset)), None)
        if node is None:
            return any(_holds(n, path, offset) for n in self.declarations)
        while inner := next((c for c in node.children if _holds(c, path, offset)), None):
            node = inner
        return node.kind != "COMPOUND_STMT"

    def layout_known(self, type_: Type) -> bool:
        """Whether the size and the members' offsets of a type can be trusted: nothing in it was made up, or is
        declared only."""
        if type_.is_array:
            return self.layout_known(type_.pointee)
        if not type_.is_record:
            return type_.size > 0
        if not type_.is_complete or type_.declared_in == Path(MADE_UP):
            return False
        return all(f.type.kind == "INCOMPLETEARRAY" or self.layout_known(f.type) for f in type_.fields)

    # -- tree

    @cached_property
    def root(self) -> Node:
        return Node(self, self.tu.cursor, None)

    @cached_property
    def declarations(self) -> list[Node]:
        """Top-level declarations of the files of the run, in order, with no macro among them."""
        return [n for n in self.root.children if not n.kind.startswith("MACRO_") and self._written_here(n)]

    def _written_here(self, node: Node) -> bool:
        # The name of a BPF_KPROBE function is pasted in a macro's body: only the expansion's file tells.
        file, _ = self._locator.expansion(node._cursor)
        return self._path(file) in self.sources

    @cached_property
    def functions(self) -> list[Node]:
        """The function definitions of the files of the run, in order. A BPF_PROG-like macro yields its inner
        function, whose body is the one that was written."""
        found = [n for n in self.declarations if n.kind == "FUNCTION_DECL"]
        return [n for n in found if (body := n.body) is not None and self.text(body).startswith(b"{")]

    def walk(self) -> Iterator[Node]:
        """All nodes below the declarations of the files of the run, in order."""
        for declaration in self.declarations:
            yield from declaration.walk()

    def find(self, *kinds: str) -> Iterator[Node]:
        return (node for node in self.walk() if node.kind in kinds)

    def mentions(self, function: Node) -> list[Node]:
        """All references to a function in the bodies of the functions of the run, in order; a call's among them."""
        return self._mentions.get(function.decl, [])

    @cached_property
    def _mentions(self) -> dict[int, list[Node]]:
        names, found = {f.name for f in self.functions}, dict[int, list[Node]]()
        for function in self.functions:
            for node in function.find("DECL_REF_EXPR"):
                if node.name in names:
                    found.setdefault(node.decl, []).append(node)
        return found

    @cached_property
    def calls(self) -> list[Node]:
        """All calls written in functions of the run, in order; each once, though a macro's argument shows twice."""
        seen: set[tuple[Path, int, int, str]] = set()
        found = []
        for function in self.functions:
            for node in function.find("CALL_EXPR"):
                key = (node.path, node.start, node.end, node.name)
                if key not in seen:
                    seen.add(key)
                    found.append(node)
        return found

    def calls_of(self, name: str) -> list[Node]:
        """The calls of one function, in order."""
        return self._calls_by_name.get(name, [])

    @cached_property
    def _calls_by_name(self) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = {}
        for call in self.calls:
            found.setdefault(call.name, []).append(call)
        return found

    def program_section(self, function: Node) -> bytes:
        """The section that SEC("…"), or a macro, gives a function, such as b"kprobe/tcp_sendmsg"; b"" for none."""
        return self._sections.get(function.decl, b"")

    @cached_property
    def _sections(self) -> dict[int, bytes]:
        found = {}
        for function in self.functions:
            source, body = self.sources.get(function.path), function.body
            match = source and body and _SECTION.search(source.uncommented, self._head_start(function), body.start)
            if match and match[2]:
                found[function.decl] = match[1]
            elif section := self._printed_section(function) or (match[1] if match else b""):
                found[function.decl] = section
        return found

    def _printed_section(self, function: Node) -> bytes:
        """The section of a function that has it in other words than one string; that of BPF_PROG's inner function is
        its outer one's."""
        for declared in self._declared[function.name.removeprefix("____")]:
            if match := _PRINTED.search(declared.printed):
                return match[1].encode("utf-8", "surrogateescape")
        return b""

    @cached_property
    def _declared(self) -> defaultdict[str, list[Node]]:
        """The declarations of functions, by name."""
        found: defaultdict[str, list[Node]] = defaultdict(list)
        for node in self.declarations:
            if node.kind == "FUNCTION_DECL":
                found[node.name].append(node)
        return found

    def _head_start(self, function: Node) -> int:
        """The offset behind the declaration before this one: SEC() stands between there and the body."""
        source = self.sources[function.path]
        assert function.body is not None
        code, end = source.code, function.body.start
        return max(code.rfind(b"}", 0, end), code.rfind(b";", 0, end), 0)

    # -- maps

    @cached_property
    def map_calls(self) -> list[MapCall]:
        """All calls that work on a map, in order, of both dialects."""
        found = []
        for call in self.calls:
            made = _on_map(call)
            if made:
                found.append(made)
        return found

    # -- around it

    def neighbours(self, *suffixes: str) -> Iterator[bytes]:
        """The contents of the files next to the program whose names end so; see `Transform.neighbours`."""
        return (source.data for source in neighbours.sources(self.path, suffixes))

    def place_beside(self, pattern: re.Pattern[bytes], *suffixes: str) -> str:
        """Where the user space of this program (`neighbours.is_about`) first has a pattern, as a person finds it:
        "loader.c:41"; "" if none has it. Comments of C count as none."""
        for source in neighbours.sources(self.path, suffixes):
            if not neighbours.is_about(source, self.path):
                continue
            for match in pattern.finditer(source.data):
                if not any(start <= match.start() < end for start, end in source.comments):
                    return f"{os.path.relpath(source.path, self.path.parent)}:{source.line(match.start())}"
        return ""

    # -- edits

    def edit(self, at: Spanned, text: bytes) -> Edit:
        """Replace what `at` spans."""
        return Edit(at.path, at.start, at.end, text)


_OPENING = re.compile(rb"\s*\(")
_RENAMED = re.compile(r"[$\w]+")
_SECTION = re.compile(rb'SEC(?<!\wSEC)\s*\(\s*"([^"]*)"(\s*\))?')
_PRINTED = re.compile(r"__attribute__\(\(section\(\"(.*?)\"\)\)\)")


def _holds(node: Node, path: Path, offset: int) -> bool:
    return node.start <= offset < node.end and node.path == path


def macro_span(source: Source, start: int, name_end: int, end: int) -> tuple[int, int, tuple[tuple[int, int], ...]]:
    """The whole span of an expansion whose name ends at `name_end`, and its arguments, without blanks around them."""
    code = source.code
    opening = re.compile(rb"(?:\s|\\\r?\n)*\(").match(code, name_end)
    if end <= name_end or not opening:
        return start, name_end, ()
    depth, position = 1, opening.end()
    marks = [position]
    for match in re.compile(rb"[(){}\[\],]").finditer(code, position):
        token = match[0]
        if token == b"(":
            depth += 1
        elif token == b")":
            depth -= 1
            if depth == 0:
                marks.append(match.start())
                end = match.end()
                break
        elif token == b"," and depth == 1:
            marks.append(match.start())
    spans = []
    data = source.data
    for number, (a, b) in enumerate(itertools.pairwise(marks)):
        a += number > 0
        text = data[a:b]
        spans.append((a + len(text) - len(text.lstrip()), b - (len(text) - len(text.rstrip()))))
    return start, end, tuple(spans)


def _address_of(node: Node) -> Node:
    """`x` of `&x`, else the expression itself; bare."""
    return node.address_of or node.uncast


def _on_map(call: Node) -> MapCall | None:
    does = call.helper
    if does is None or not does.operation or not call.arguments:
        return None
    if not call.method:
        return _map_call(call, does, _address_of(call.arguments[0]))
    callee = call.callee
    owner = callee.children[0].bare if callee is not None and callee.children else None
    return _map_call(call, does, owner) if owner is not None and not owner.type.is_pointer else None


def _map_call(call: Node, does: Helper, owner: Node) -> MapCall:
    def given(*roles: Role) -> Node | None:
        index = does.where(*roles)
        return call.arguments[index] if index is not None and index < len(call.arguments) else None

    return MapCall(
        call,
        does.operation,
        does,
        owner,
        given(Role.KEY, Role.KEY_ITSELF, Role.OBJECT),
        given(Role.VALUE, Role.INTO),
        given(Role.FLAGS),
    )
