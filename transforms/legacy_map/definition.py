"""A map's definition in the old form: its members by the names that they have in the new one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ebpffix.editing.settle import NoEdit
from ebpffix.editing.statements import has_comment
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.map_types import BY_NAME, BY_NUMBER, MapType
from ebpffix.sources.source import Source

# The members of `struct bpf_map_def` and of iproute2's `struct bpf_elf_map`, and what libbpf calls them.
_NEW = {
    **{name: name for name in "type key_size value_size max_entries map_flags numa_node".split()},
    **{name: name for name in "pinning id inner_id inner_idx".split()},
    "map_type": "type",
    "size_key": "key_size",
    "size_value": "value_size",
    "max_elem": "max_entries",
    "flags": "map_flags",
}
_TYPE = re.compile(rb"BPF_MAP_TYPE_(\w+)")
_LABEL = re.compile(rb'"maps/([^"]*)"')
_DIRECTIVE = re.compile(rb"^[ \t]*#", re.MULTILINE)


@dataclass(frozen=True)
class Member:
    """One member that a definition sets: `name` is that of the new form, "" for one that it has not; `old` its own.
    `start` to `end` is all of it, without the comma."""

    name: str
    old: str
    value: Node
    start: int
    end: int

    @property
    def is_nothing(self) -> bool:
        """Whether it says no more than if it were not there."""
        return self.value.constant == 0 or self.value.text in (b'""', b"{0}", b"{ 0 }", b"{}")


@dataclass(frozen=True)
class Definition:
    """A map that a person defined in the old form. `body` is its initialiser with the braces; `section` what names its
    section, as written."""

    unit: Unit
    variable: Node
    body: Node
    members: tuple[Member, ...]
    section: tuple[int, int]

    @property
    def name(self) -> str:
        return self.variable.name

    @property
    def source(self) -> Source:
        return self.unit.sources[self.variable.path]

    @property
    def map_type(self) -> MapType | None:
        """Its type; None where only the compiler's headers, or nobody, could tell."""
        stated = self.member("type")
        if stated is None:
            return None
        named = _TYPE.fullmatch(stated.value.text)
        if named is not None:
            return BY_NAME.get(named[1].decode().lower())
        number = stated.value.constant
        return BY_NUMBER.get(number) if number is not None else None

    @property
    def label(self) -> str:
        """What its section calls it, `maps/LABEL`; "" where that does not."""
        match = _LABEL.search(self.source.data, *self.section)
        return match[1].decode("latin-1") if match is not None else ""

    def member(self, name: str) -> Member | None:
        return next((m for m in self.members if m.name == name), None)

    def constant(self, name: str) -> int:
        """The number that a member is set to, 0 without. NoEdit where nobody knows."""
        member = self.member(name)
        number = 0 if member is None else member.value.constant
        if number is None:
            raise NoEdit(f"the value of `.{member.old if member else name}` is not known")
        return number


def is_legacy(variable: Node) -> bool:
    """Whether a variable is a map in the old form: of a structure with the members of such a one. Its section is
    another question."""
    if variable.kind != "VAR_DECL" or not variable.type.is_record or variable.is_extern:
        return False
    given = {_NEW.get(field.name): field.type for field in variable.type.fields}
    sizes = given.get("key_size")
    return "type" in given and sizes is not None and not sizes.is_pointer


def section_of(variable: Node) -> bytes:
    """What names the section of a variable, as written; b"" where nothing does."""
    named = [c for c in variable.children if c.kind == "UNEXPOSED_ATTR"]
    return next((c.text for c in named if b"maps" in c.text), named[0].text if named else b"")


def read(unit: Unit, variable: Node) -> Definition:
    """The definition of a map. NoEdit, with the reason, for one that cannot be written anew in its place."""
    body, source = variable.initialiser, unit.sources[variable.path]
    if body is None or body.kind != "INIT_LIST_EXPR":
        raise NoEdit("it is not set here")
    if not unit.editable(variable.path, variable.start, variable.end) or not body.text.startswith(b"{"):
        raise NoEdit("a macro's body holds the definition")
    if _DIRECTIVE.search(source.code, body.start, body.end):
        raise NoEdit("an #if stands in the definition")
    if source.code[body.end : body.end + 80].lstrip()[:1] != b";":
        raise NoEdit("other variables are declared with it")
    return Definition(unit, variable, body, tuple(_members(variable, body)), _section(unit, variable, body))


def _members(variable: Node, body: Node) -> Iterator[Member]:
    fields = variable.type.fields
    for number, entry in enumerate(body.children):
        named = entry.children[:1] if entry.kind == "UNEXPOSED_EXPR" else []
        if named and named[0].kind == "MEMBER_REF":
            if len(entry.children) != 2:
                raise NoEdit("a member of a member is set")
            old, value = named[0].name, entry.children[1]
        elif number < len(fields):
            old, value = fields[number].name, entry
        else:
            raise NoEdit("it has more values than members")
        yield Member(_NEW.get(old, ""), old, value, entry.start, entry.end)


def _section(unit: Unit, variable: Node, body: Node) -> tuple[int, int]:
    """The span of what names the section in the head of a definition. NoEdit where more stands there than that, the
    structure and the name."""
    source = unit.sources[variable.path]
    equals = source.code.rindex(b"=", variable.start, body.start)
    if has_comment(unit, variable.path, variable.start, body.start):
        raise NoEdit("a comment stands in its head")
    head = source.code[variable.start : equals]
    words = (variable.type.name.encode(), variable.name.encode())
    rest = re.sub(rb"\b(?:static|const|volatile|struct)\b|\b%s\b|\b%s\b" % words, lambda m: b" " * len(m[0]), head)
    marked = rest.strip()
    if not re.fullmatch(rb"\w+(?:\s*\(.*\))?", marked, re.DOTALL) or not _balanced(marked):
        raise NoEdit("more stands in its head than its section")
    start = variable.start + rest.index(marked)
    return start, start + len(marked)


def _balanced(text: bytes) -> bool:
    """Whether a macro and its parentheses are one, not two with something between them."""
    depth = 0
    for number, byte in enumerate(text):
        depth += (byte == ord("(")) - (byte == ord(")"))
        if depth == 0 and byte == ord(")") and number + 1 < len(text):
            return False
    return depth == 0
