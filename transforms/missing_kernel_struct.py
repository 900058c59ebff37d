"""Define what a program uses of a kernel struct that no public header has.

What it does: where the members of a struct such as `struct task_group` are used, and the program has no definition of
it, a stub with the members that are used is put behind the includes.

Why: some structs stand in the kernel's own sources only (kernel/sched/sched.h, fs/mount.h), so BCC, which compiles with
the kernel's public headers, says "incomplete definition of type 'struct task_group'". A stub is the cure, but one with
a wrong offset loads all the same and silently reads the wrong bytes.

Safe for BCC when each member that is used stands at offset 0 in every kernel since 4.0, as `css` of `struct task_group`
does. Safe for libbpf without a vmlinux.h: a stub with `preserve_access_index`, whose offsets the loader finds (CO-RE).
It keeps the kernel's name, without a flavour (`___x`), because a chain in BPF_CORE_READ cannot lead through a struct of
another name.
Suggested for BCC where other members are used: each is padded to the offset that the BTF at hand has (`--btf`, else the
running kernel's), and an assertion says so. Another kernel needs another padding.
Advice without BTF; where BTF does not have the members, or a member's type is in no public header either; and where a
stub that is there already has a member elsewhere than BTF.

Left alone: programs with a vmlinux.h, which has these structs; programs that define the struct (in an #if or a header
of the project too); pointers that are only handed on.

Limits: knows the structs that eBPF programs have been seen to use, not all that are private to the kernel.
"""

from __future__ import annotations

import functools
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ebpffix.btf import Btf, BtfError, load
from ebpffix.btf_c import stub
from ebpffix.definitions import insert_definition
from ebpffix.frontend import Macro, Unit
from ebpffix.frontend.node import pointee
from ebpffix.frontend.parse import OWN
from ebpffix.frontend.unit import macro_span
from ebpffix.private_structs import LEADS, PRIVATE
from ebpffix.transform import BCC, LIBBPF, Edit, Fix, Safety, Spanned, Transform

TRANSFORM = Transform(
    name="missing-kernel-struct",
    pattern=7,
    dialects=(BCC, LIBBPF),
    triggers=(
        rb"\bstruct\s+(?:%s)\b" % "|".join(PRIVATE).encode(),
        rb"(?:->|,)\s*(?:%s)\b" % "|".join(LEADS).encode(),
    ),
    summary="struct that no public kernel header defines",
)

_EXPRESSIONS = ("DECL_REF_EXPR", "MEMBER_REF_EXPR", "CALL_EXPR", "PAREN_EXPR", "ARRAY_SUBSCRIPT_EXPR")
_PATH = rb"\s*([A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*)*)"
_ARROW, _DOT = re.compile(rb"\s*->" + _PATH), re.compile(rb"\s*\." + _PATH)
_CORE_READS = {"BPF_CORE_READ": 0, "BPF_CORE_READ_INTO": 1, "BPF_CORE_READ_STR_INTO": 1}  # where the chain begins
_CORE_READ = re.compile(rb"\b(?:%s)\b" % "|".join(_CORE_READS).encode())
_OFFSETS = {"container_of": 1, "offsetof": 0, "__builtin_offsetof": 0, "list_entry": 1}  # where the type stands


@dataclass(frozen=True)
class _Use:
    """A use of the members `path` (`css.cgroup`) of a struct; `offset`: of where they stand, not of what they hold."""

    at: Spanned
    path: str
    offset: bool = False


@dataclass
class _Uses:
    """How one struct is used in a program; `whole`: also by value or by its size, so that a stub must be as large."""

    of: list[_Use] = field(default_factory=list)
    whole: bool = False

    @property
    def paths(self) -> list[str]:
        return list(dict.fromkeys(use.path for use in self.of))


def find(unit: Unit) -> Iterator[Fix]:
    if unit.dialect == LIBBPF and not any(_incomplete(unit, name) or _written(unit, name) for name in PRIVATE):
        return
    for name, uses in _find_uses(unit).items():
        own = _own_definition(unit, name)
        if own is not None:
            yield from _check(unit, name, uses, own)
        elif unit.dialect == BCC:
            yield _stub_for_bcc(unit, name, uses)
        else:
            yield _co_re(unit, name, uses)


# -- uses


def _find_uses(unit: Unit) -> dict[str, _Uses]:
    found: dict[str, _Uses] = {}
    seen: set[tuple[Path, int]] = set()
    for node in unit.walk():
        if node.kind in ("VAR_DECL", "FIELD_DECL"):
            name = _private(unit, node.type)
            if name:
                found.setdefault(name, _Uses()).whole = True
        elif node.kind in _EXPRESSIONS:
            type_ = node.type.get_canonical()
            pointer = type_.kind.name == "POINTER"
            if not pointer and node.kind == "MEMBER_REF_EXPR":
                continue  # a struct inside another: its members belong to the path of the outer one
            name = _private(unit, type_.get_pointee() if pointer else type_)
            access = (
                name
                and node.path in unit.sources
                and (_ARROW if pointer else _DOT).match(unit.sources[node.path].code, node.end)
            )
            if access and (node.path, access.start(1)) not in seen:
                seen.add((node.path, access.start(1)))
                path = re.sub(rb"\s", b"", access[1]).decode()
                found.setdefault(name, _Uses()).of.append(_Use(node, path))
    for name, use in (*_chains(unit), *_offsets(unit)):
        found.setdefault(name, _Uses()).of.append(use)
    for name, uses in found.items():
        sizes = re.compile(rb"\bsizeof\s*\(\s*struct\s+%s\s*\)" % name.encode())
        uses.whole |= any(sizes.search(source.code) for source in unit.sources.values())
    files = list(dict.fromkeys(declaration.path for declaration in unit.declarations))
    for uses in found.values():
        uses.of.sort(key=lambda use: (files.index(use.at.path) if use.at.path in files else 0, use.at.start))
    return {name: uses for name, uses in found.items() if uses.of}


def _private(unit: Unit, type_: Any) -> str:
    """The name of a struct of the table, "" for others; with libbpf only of one that the program does not define."""
    record = type_.get_canonical()
    if record.kind.name != "RECORD":
        return ""
    name: str = record.get_declaration().spelling.removeprefix(OWN)
    if name not in PRIVATE or (unit.dialect == LIBBPF and record.get_size() >= 0 and not _written(unit, name)):
        return ""
    return name


def _chains(unit: Unit) -> Iterator[tuple[str, _Use]]:
    """Uses in `BPF_CORE_READ(task, sched_task_group, css.cgroup)`: a link of the chain points at a private struct."""
    if unit.dialect == BCC:
        return
    for read in _core_reads(unit):
        links = read.args[_CORE_READS[read.name] :]
        code = unit.sources[read.path].code
        type_ = _type_of(unit, read.path, *links[0]) if links else None
        for start, end in links[1:]:
            if type_ is None:
                break
            path = re.sub(rb"\s", b"", code[start:end]).decode()
            if name := _private(unit, pointee(type_)):
                yield name, _Use(read, path)
                break
            type_ = _member_type(pointee(type_), path)


def _core_reads(unit: Unit) -> Iterator[Macro]:
    """The reads as they stand in the text: libclang keeps no record of one inside another macro's argument."""
    for path, source in unit.sources.items():
        for match in _CORE_READ.finditer(source.code):
            if not unit.in_directive(path, match.start()) and not unit.inactive(path, match.start()):
                start, end, args = macro_span(source, match.start(), match.end(), len(source.data))
                yield Macro(path, match[0].decode(), start, end, args)


def _type_of(unit: Unit, path: Path, start: int, end: int) -> Any | None:
    """The type of an expression in a macro's argument, which libclang may have lost: then that of the variable."""
    name, variable = unit.sources[path].code[start:end].decode("latin-1"), None
    for node in unit.walk():
        if node.path == path:
            if (node.start, node.end) == (start, end):
                return node.type
            if node.name == name and node.kind in ("VAR_DECL", "PARM_DECL") and node.start < start:
                variable = node.type
    return variable


def _member_type(record: Any, path: str) -> Any | None:
    type_: Any | None = record
    for name in path.split("."):
        fields = type_.get_canonical().get_fields() if type_ is not None else ()
        type_ = next((f.type for f in fields if f.spelling == name), None)
    return type_


def _offsets(unit: Unit) -> Iterator[tuple[str, _Use]]:
    """Uses by `container_of(pointer, struct mount, mnt)` and the like."""
    for macro in unit.macros(*_OFFSETS):
        arguments = [unit.sources[macro.path].code[start:end] for start, end in macro.args[_OFFSETS[macro.name] :]]
        match = re.fullmatch(rb"struct\s+(\w+)", arguments[0]) if len(arguments) == 2 else None
        name = match[1].decode() if match else ""
        if name in PRIVATE and (unit.dialect == BCC or _written(unit, name) or _incomplete(unit, name)):
            yield name, _Use(macro, arguments[1].decode(), offset=True)


def _incomplete(unit: Unit, name: str) -> bool:
    return any("incomplete" in message and f"'struct {name}'" in message for message in unit.missing)


# -- definitions that are there


def _written(unit: Unit, name: str) -> bool:
    definition = _definition(name)
    return any(definition.search(source.code) for source in unit.sources.values())


@functools.cache
def _definition(name: str) -> re.Pattern[bytes]:
    return re.compile(rb"\bstruct\s+%s\s*(?:__attribute__\s*\(\(.*?\)\)\s*)?\{" % name.encode())


def _own_definition(unit: Unit, name: str) -> Any | None:
    """The cindex.Type of the program's own definition; a type without members if it is left out by an #if."""
    for node in unit.find("STRUCT_DECL"):
        if node.name.removeprefix(OWN) == name and node.cursor.is_definition():
            return node.type
    return unit.tu.cursor.type if _written(unit, name) else None


def _check(unit: Unit, name: str, uses: _Uses, own: Any) -> Iterator[Fix]:
    """Compare the program's own definition with BTF."""
    if any(b"preserve_access_index" in source.code for source in unit.sources.values()):
        return
    btf = _btf(unit)
    record = btf.struct(name) if btf else None
    for path in uses.paths if record else ():
        top = path.split(".")[0]
        here, there = own.get_offset(top), record.find(top) if record else None
        if here >= 0 and there is not None and here != there.offset:
            yield Fix(
                at=next(use.at for use in uses.of if use.path == path),
                message=f"`{top}` is at byte {here // 8} of the program's own `struct {name}`, but at byte "
                f"{there.offset // 8} in kernel {_release(unit)}: the program reads other bytes there",
                safety=Safety.ADVICE,
                reason="it may be right for another kernel; pad the struct for the kernels that it is to run on",
            )
            return


# -- stubs


def _stub_for_bcc(unit: Unit, name: str, uses: _Uses) -> Fix:
    at, known = uses.of[0].at, PRIVATE[name]
    what = f"`struct {name}` is in no public kernel header, so BCC cannot compile the use of `{uses.paths[0]}`"
    tops = {path.split(".")[0] for path in uses.paths}
    if known.first and tops == {re.split(r"\W", known.first)[-1]} and not uses.whole:
        edit = _insert(unit, uses, f"struct {name} {{\n\t{known.first};\n}};\n", name, known.header)
        if edit:
            return _fix(unit, at, f"{what}; a stub has it at offset 0, as every kernel has", edit)
        return Fix(at, what, Safety.ADVICE, reason=_NO_PLACE)
    try:
        text = _from_btf(unit, name, uses, core=False)
    except ValueError as error:
        return Fix(at, f"{what}; define it with the offsets of the kernel in use", Safety.ADVICE, reason=str(error))
    edit = _insert(unit, uses, text, name, known.header)
    if edit is None:
        return Fix(at, what, Safety.ADVICE, reason=_NO_PLACE)
    reason = f"the offsets are those of kernel {_release(unit)}; another kernel may have others"
    return Fix(at, f"{what}; a stub pads it to its offset", Safety.SUGGESTED, [edit], reason)


def _co_re(unit: Unit, name: str, uses: _Uses) -> Fix:
    at = uses.of[0].at
    what = f"`struct {name}` is in no public kernel header, and the program has no vmlinux.h"
    if uses.whole or any(use.offset for use in uses.of):
        reason = "it is used as a whole or for an offset, which the loader cannot adjust"
        return Fix(at, f"{what}; include one", Safety.ADVICE, reason=reason)
    try:
        text = _from_btf(unit, name, uses, core=True)
    except ValueError as error:
        return Fix(at, f"{what}; include one", Safety.ADVICE, reason=str(error))
    edit = _insert(unit, uses, text, name)
    if edit is None:
        return Fix(at, f"{what}; include one", Safety.ADVICE, reason=_NO_PLACE)
    return _fix(unit, at, f"{what}; the loader finds `{uses.paths[0]}` in a stub by CO-RE", edit)


def _fix(unit: Unit, at: Spanned, message: str, edit: Edit) -> Fix:
    if edit.path in unit.shared_with_user_space:
        return Fix(at, message, Safety.SUGGESTED, [edit], "the header is included by programs of user space too")
    return Fix(at, message, Safety.SAFE, [edit])


_NO_PLACE = "no place outside of #if and before its first use was found for a stub"


def _from_btf(unit: Unit, name: str, uses: _Uses, *, core: bool) -> str:
    """The text of a stub. ValueError, with the reason, where BTF cannot give one."""
    btf = _btf(unit)
    if btf is None:
        raise ValueError("there is no BTF that has its offsets; give one with --btf")
    try:
        made = stub(btf, name, uses.paths, core=core, release=_release(unit))
    except BtfError as error:
        raise ValueError(str(error)) from error
    for need in made.needs:
        tag = need.rsplit(" ")[-1]
        if tag in PRIVATE or (core and not _written(unit, tag)):
            raise ValueError(f"a member that is used contains `{need}`, which no public header has either")
    return made.text


def _insert(unit: Unit, uses: _Uses, text: str, name: str, header: bytes = b"") -> Edit | None:
    """Put a stub before the first use of a struct, with the header that its members need."""
    at = uses.of[0].at
    guard = b""
    if at.path != unit.path:  # another header may come to have the same stub, and a program may include both
        guard = b"EBPFFIX_" + name.upper().encode()
    return insert_definition(unit, at, text.encode(), header, guard)


def _release(unit: Unit) -> str:
    """What to call the kernel that the BTF is from: its release if it runs here, else the file's name."""
    if unit.btf_path is None or str(unit.btf_path) == "/sys/kernel/btf/vmlinux":
        return platform.release()
    return unit.btf_path.name


def _btf(unit: Unit) -> Btf | None:
    try:
        return _load(unit.btf_path) if unit.btf_path else None
    except BtfError as error:
        unit.notes.append(str(error))
        return None


@functools.lru_cache(maxsize=1)
def _load(path: Path) -> Btf:
    return load(path)
