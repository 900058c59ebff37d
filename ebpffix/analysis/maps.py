"""What a program says of its maps: which object an expression names, and of which type it is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ebpffix.frontend import Node, Unit
from ebpffix.kernel.map_types import BY_NAME, BY_NUMBER, MapType, bcc_type

_DEF_TYPE = re.compile(rb"\.\s*type\s*=\s*BPF_MAP_TYPE_(\w+)")
_DEF_PINNING = re.compile(rb"\.\s*pinning\s*=")
# Macros of BCC that have the type as their first argument.
_BCC_TABLE = re.compile(r"BPF_(?:F_TABLE|TABLE|QUEUESTACK|XDP_REDIRECT_MAP)(_PUBLIC|_SHARED|_PINNED)?\Z")


@dataclass(frozen=True)
class Map:
    """A map that is a global object. `type` is None where the definition does not tell; `shared` says that other
    programs can reach it (pinned, exported)."""

    decl: int
    name: str
    type: MapType | None
    shared: bool

    @property
    def lru(self) -> bool:
        return self.type is not None and self.type.lru

    @property
    def array(self) -> bool:
        """Whether its entries always exist: they cannot be deleted."""
        return self.type is not None and self.type.is_array

    @property
    def keeps_keys(self) -> bool:
        """Whether lookup may give just the entry that update would write: a hash or an array, as far as is known."""
        return self.type is None or self.type.is_hash or self.type.is_array


def map_decl(expression: Node) -> int:
    """The `Node.decl` of the global map that an expression names; 0 for a pointer, a parameter, an inner map, a
    choice: which map that is cannot be told here."""
    node = expression.bare
    return node.decl if node.kind == "DECL_REF_EXPR" and node.is_global and not node.type.is_pointer else 0


def describe(unit: Unit, expression: Node) -> Map | None:
    """The map that an expression names; None as for `map_decl`."""
    target = expression.bare.declaration
    return described(unit, target) if map_decl(expression) and target is not None else None


def described(unit: Unit, target: Node) -> Map:
    """The map that a declaration defines."""
    number = defined_number(target, "type")
    if number is not None:
        return Map(target.decl, target.name, BY_NUMBER.get(number), target.type.member("pinning") is not None)
    return Map(target.decl, target.name, *_by_text(unit, target))


def defined_number(variable: Node, name: str) -> int | None:
    """The number that `__uint(name, number)` states in a map's definition; None without it."""
    stated = variable.type.member(name)
    return stated.type.pointee.length if stated is not None and stated.type.is_pointer else None


def stated(unit: Unit, variable: Node) -> dict[str, Node]:
    """The members of a map's definition in BTF by name, where a person wrote it as the variable's own structure:
    `struct { __uint(type, …); … } m SEC(".maps")`. Empty for all others."""
    if variable.kind != "VAR_DECL" or defined_number(variable, "type") is None:
        return {}
    records = (n for n in unit.declarations if n.kind == "STRUCT_DECL")
    record = next((n for n in records if (n.path, n.start) == (variable.path, variable.start)), None)
    members = record.children if record is not None else []
    return {member.name: member for member in members if member.kind == "FIELD_DECL"}


def _by_text(unit: Unit, target: Node) -> tuple[MapType | None, bool]:
    """The type of a map that BCC's macros or an initialiser of the old form define, and whether it is shared."""
    source = unit.sources.get(target.path)
    if source is None:
        return None, False
    for macro in unit.macros_around(target.path, target.start, target.start + 1)[:1]:
        if match := _BCC_TABLE.match(macro.name):
            literal = source.data[slice(*macro.args[0])].strip(b'"').decode("latin-1") if macro.args else ""
            kind, _, pin = literal.partition(":")
            if kind == "extern":
                return None, True
            return bcc_type(kind), bool(match[1] or pin)
        if macro.name.startswith("BPF_"):
            return bcc_type(macro.name.removeprefix("BPF_").lower()), False
    definition = source.uncommented[target.start : source.code.find(b";", target.start)]
    if typed := _DEF_TYPE.search(definition):
        return BY_NAME.get(typed[1].decode().lower()), bool(_DEF_PINNING.search(definition))
    return None, False
