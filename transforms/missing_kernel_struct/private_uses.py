"""Where a program uses the structs of `private_structs`, which no public kernel header defines.

    find_uses(unit) -> dict[str, Uses]   of each struct, by name
    is_written(unit, name) -> bool       whether the files of the run define the struct, if only in an #if
    is_incomplete(unit, name) -> bool    whether the compiler misses the definition

A use is found in the tree, in the text behind an expression whose member libclang lost, in the links of a
BPF_CORE_READ, and in container_of() and its like.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ebpffix.fix import BCC, Spanned
from ebpffix.frontend import Macro, Node, Type, Unit
from ebpffix.frontend.unit import macro_span

from .private_structs import names

_EXPRESSIONS = ("DECL_REF_EXPR", "MEMBER_REF_EXPR", "CALL_EXPR", "PAREN_EXPR", "ARRAY_SUBSCRIPT_EXPR")
_PATH = rb"\s*([A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*)*)"
_ARROW, _DOT = re.compile(rb"\s*->" + _PATH), re.compile(rb"\s*\." + _PATH)
_CORE_READS = {"BPF_CORE_READ": 0, "BPF_CORE_READ_INTO": 1, "BPF_CORE_READ_STR_INTO": 1}  # where the chain begins
_CORE_READ = re.compile(rb"\b(?:%s)\b" % "|".join(_CORE_READS).encode())
_OFFSETS = {"container_of": 1, "offsetof": 0, "__builtin_offsetof": 0, "list_entry": 1}  # where the type stands


@dataclass(frozen=True)
class Use:
    """A use of the members `path` (`css.cgroup`) of a struct; `offset`: of where they stand, not of what they hold.
    `further` are the links of the chain behind it, each the members of what the one before points at."""

    at: Spanned
    path: str
    offset: bool = False
    further: tuple[str, ...] = ()


@dataclass
class Uses:
    """How one struct is used in a program; `whole`: also by value or by its size, so that a stub must be as large."""

    of: list[Use] = field(default_factory=list)
    whole: bool = False

    @property
    def paths(self) -> list[str]:
        return list(dict.fromkeys(use.path for use in self.of))


def find_uses(unit: Unit) -> dict[str, Uses]:
    """The uses of private structs by name, in source order; none of a struct of which no member is used."""
    found: dict[str, Uses] = {}
    if not _may_use(unit):
        return found
    seen: set[tuple[Path, int]] = set()
    for node in unit.walk():
        if node.kind in ("VAR_DECL", "FIELD_DECL"):
            name = _private(unit, node.type)
            if name:
                found.setdefault(name, Uses()).whole = True
        elif node.kind in _EXPRESSIONS:
            pointer = node.type.is_pointer
            if not pointer and node.kind == "MEMBER_REF_EXPR":
                continue  # a struct inside another: its members belong to the path of the outer one
            name = _private(unit, node.type.pointee if pointer else node.type)
            access = (
                name
                and node.path in unit.sources
                and (_ARROW if pointer else _DOT).match(unit.sources[node.path].code, node.end)
            )
            if access and (node.path, access.start(1)) not in seen:
                seen.add((node.path, access.start(1)))
                further = tuple(_links(unit.sources[node.path].code, access.end()))
                found.setdefault(name, Uses()).of.append(Use(node, _plain(access[1]), further=further))
    for name, use in (*_chains(unit), *_offsets(unit)):
        found.setdefault(name, Uses()).of.append(use)
    for name, uses in found.items():
        sizes = re.compile(rb"\bsizeof\s*\(\s*struct\s+%s\s*\)" % name.encode())
        uses.whole |= any(sizes.search(source.code) for source in unit.sources.values())
    files = list(dict.fromkeys(declaration.path for declaration in unit.declarations))
    for uses in found.values():
        uses.of.sort(key=lambda use: (files.index(use.at.path) if use.at.path in files else 0, use.at.start))
    return {name: uses for name, uses in found.items() if uses.of}


def _plain(path: bytes) -> str:
    return re.sub(rb"\s", b"", path).decode()


def _links(code: bytes, at: int) -> Iterator[str]:
    """The `b`, `c.d` of `->b->c.d` that stand at an offset."""
    while link := _ARROW.match(code, at):
        yield _plain(link[1])
        at = link.end()


def _private(unit: Unit, record: Type) -> str:
    """The name of a struct that is known to be private, "" for others; with libbpf only of one that the compiler misses
    or a file of the run defines."""
    if not record.is_record:
        return ""
    name = record.name
    if unit.dialect == BCC:
        return name if name.encode() in names() else ""
    if is_incomplete(unit, name) and (not record.is_complete or f"struct {name}" in unit.guessed):
        return name
    return name if name.encode() in names() and is_written(unit, name) else ""


def _chains(unit: Unit) -> Iterator[tuple[str, Use]]:
    """Uses in `BPF_CORE_READ(task, sched_task_group, css.cgroup)`: a link of the chain points at a private struct."""
    if unit.dialect == BCC:
        return
    for read in _core_reads(unit):
        links = read.args[_CORE_READS[read.name] :]
        code = unit.sources[read.path].code
        type_ = _type_of(unit, read.path, *links[0]) if links else None
        paths = [_plain(code[start:end]) for start, end in links]
        for number in range(1, len(paths)):
            if type_ is None:
                break
            member, index, _ = paths[number].partition("[")
            if name := _private(unit, type_.pointee):
                yield name, Use(read, member, further=tuple(paths[number + 1 :]))
            type_ = _member_type(type_.pointee, member)
            if index and type_ is not None:
                type_ = type_.pointee


def _core_reads(unit: Unit) -> Iterator[Macro]:
    """The reads as they stand in the text: libclang keeps no record of one inside another macro's argument."""
    for path, source in unit.sources.items():
        for match in _CORE_READ.finditer(source.code):
            if not unit.in_directive(path, match.start()) and not unit.inactive(path, match.start()):
                start, end, args = macro_span(source, match.start(), match.end(), len(source.data))
                yield Macro(path, match[0].decode(), start, end, args, match[0].decode())


def _type_of(unit: Unit, path: Path, start: int, end: int) -> Type | None:
    """The type of an expression in a macro's argument, which libclang may have lost: then that of the variable."""
    expressions, variables = _by_place(unit)
    if (path, start, end) in expressions:
        return expressions[path, start, end].type
    name = unit.sources[path].code[start:end].decode("latin-1")
    before = [node for node in variables.get(name, ()) if node.path == path and node.start < start]
    return before[-1].type if before else None


def _by_place(unit: Unit) -> tuple[dict[tuple[Path, int, int], Node], dict[str, list[Node]]]:
    """The outermost node of each span, and the variables and parameters of each name, in order."""
    known: dict[str, Any] = unit.memo
    if "nodes by place" not in known:
        expressions: dict[tuple[Path, int, int], Node] = {}
        variables: dict[str, list[Node]] = {}
        for node in unit.walk():
            expressions.setdefault((node.path, node.start, node.end), node)
            if node.kind in ("VAR_DECL", "PARM_DECL"):
                variables.setdefault(node.name, []).append(node)
        known["nodes by place"] = expressions, variables
    found: tuple[dict[tuple[Path, int, int], Node], dict[str, list[Node]]] = known["nodes by place"]
    return found


def _member_type(record: Type, path: str) -> Type | None:
    type_: Type | None = record
    for name in path.split("."):
        member = type_.member(name) if type_ is not None else None
        type_ = member.type if member is not None else None
    return type_


def _offsets(unit: Unit) -> Iterator[tuple[str, Use]]:
    """Uses by `container_of(pointer, struct mount, mnt)` and the like."""
    for macro in unit.macros(*_OFFSETS):
        arguments = [unit.sources[macro.path].code[start:end] for start, end in macro.args[_OFFSETS[macro.name] :]]
        match = re.fullmatch(rb"struct\s+(\w+)", arguments[0]) if len(arguments) == 2 else None
        name = match[1].decode() if match else ""
        known = name.encode() in names()
        if is_incomplete(unit, name) or (known and (unit.dialect == BCC or is_written(unit, name))):
            yield name, Use(macro, arguments[1].decode(), offset=True)


def is_incomplete(unit: Unit, name: str) -> bool:
    """Whether the compiler misses the definition of a struct, be it that one was made up since."""
    if f"struct {name}" in unit.guessed:
        return True
    return any("incomplete" in message and f"'struct {name}'" in message for message in unit.complaints)


def is_written(unit: Unit, name: str) -> bool:
    """Whether a file of the run defines a struct, if only in an #if that is left out."""
    return name in _written(unit)


def _written(unit: Unit) -> frozenset[str]:
    known: dict[str, frozenset[str]] = unit.memo
    if "written structs" not in known:
        found = (m[1] for source in unit.sources.values() for m in _DEFINITION.finditer(source.code))
        known["written structs"] = frozenset(name.decode() for name in found)
    return known["written structs"]


_DEFINITION = re.compile(rb"struct(?<!\wstruct)\s+(\w+)\s*(?:__attribute__\s*\(\(.*?\)\)\s*)?\{")


def _may_use(unit: Unit) -> bool:
    """Whether a look at all expressions is worth its time: with libbpf the compiler misses a struct, or a file of the
    run defines a private one."""
    if unit.dialect == BCC or any("incomplete" in message for message in unit.complaints):
        return True
    return any(name.encode() in names() for name in _written(unit))
