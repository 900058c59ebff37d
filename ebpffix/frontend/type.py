"""Type: a C type as libclang has it, for the BPF target, not for the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ebpffix.frontend import clang
from ebpffix.frontend.owner import Owner


class Type:
    """The type of an expression or declaration.

    `spelling` is as it was written, with typedefs and qualifiers; all else is answered of what these stand for. `kind`
    is libclang's name for that, such as "POINTER", "RECORD", "CONSTANTARRAY", "ULONG", so its documentation applies.
    """

    __match_args__ = ("kind",)

    def __init__(self, unit: Owner, type_: Any) -> None:
        self._unit = unit
        self._type = type_

    def __repr__(self) -> str:
        return f"<{self.kind} {self.spelling!r}>"

    @cached_property
    def spelling(self) -> str:
        return self._unit.called(str(self._type.spelling))

    @cached_property
    def canonical(self) -> Type:
        """The type without typedefs; its spelling tells whether two types are the same."""
        canonical = self._type.get_canonical()
        return self if canonical == self._type else Type(self._unit, canonical)

    @cached_property
    def kind(self) -> str:
        return clang.type_kind(self._bare)

    @cached_property
    def _bare(self) -> Any:
        return self._type.get_canonical()

    # -- what it is

    @property
    def is_pointer(self) -> bool:
        """Whether it is a pointer; an array is none."""
        return self.kind == "POINTER"

    @property
    def is_array(self) -> bool:
        return self.kind.endswith("ARRAY")

    @property
    def is_record(self) -> bool:
        """Whether it is a struct or union."""
        return self.kind == "RECORD"

    @cached_property
    def is_union(self) -> bool:
        return self.is_record and bool(self._bare.get_declaration().kind.name == "UNION_DECL")

    @property
    def is_void(self) -> bool:
        return self.kind == "VOID"

    @property
    def is_void_pointer(self) -> bool:
        return self.is_pointer and self.pointee.is_void

    @property
    def is_const(self) -> bool:
        return bool(self._bare.is_const_qualified())

    @property
    def is_volatile(self) -> bool:
        return bool(self._bare.is_volatile_qualified())

    # -- what it is made of

    @cached_property
    def pointee(self) -> Type:
        """What a pointer or array points at; the type itself, without typedefs, if it is neither."""
        if self.is_pointer:
            return Type(self._unit, self._bare.get_pointee())
        return Type(self._unit, self._bare.element_type) if self.is_array else self.canonical

    @property
    def length(self) -> int | None:
        """The elements of an array; None for one without a constant length, and for all other types."""
        return int(self._bare.element_count) if self.kind == "CONSTANTARRAY" else None

    @cached_property
    def is_complete(self) -> bool:
        """Whether its size is known: not that of a struct that is only declared, of a function, or of void."""
        return bool(self._bare.get_size() >= 0)

    @cached_property
    def size(self) -> int:
        """Bytes; 0 where it is not complete."""
        return max(int(self._bare.get_size()), 0)

    @cached_property
    def alignment(self) -> int:
        """Bytes; 0 where it is not complete."""
        return max(int(self._bare.get_align()), 0)

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The members of a struct or union as they are declared, bits without a name among them."""
        if not self.is_record:
            return ()
        return tuple(field_of(self._unit, field) for field in self._bare.get_fields())

    def member(self, name: str) -> Field | None:
        """The member that `x.name` reaches, through anonymous members too; its offset counts from this type's start."""
        return next((field for field in self._reached() if field.name == name), None)

    def _reached(self) -> Iterator[Field]:
        for field in self.fields:
            yield field
            if field.name or field.width is not None:
                continue
            for inner in field.type._reached():
                known = None if field.offset is None or inner.offset is None else field.offset + inner.offset
                yield Field(inner.name, inner.type, known, inner.width)

    @cached_property
    def parameters(self) -> tuple[Type, ...] | None:
        """The types of the parameters of a function, or of what a pointer to one calls; None for all else."""
        function = self._bare.get_pointee() if self.is_pointer else self._bare
        function = function.get_canonical()
        if clang.type_kind(function) != "FUNCTIONPROTO":
            return None
        return tuple(Type(self._unit, type_) for type_ in function.argument_types())

    @property
    def result(self) -> Type:
        """What a function of this type returns."""
        return Type(self._unit, self._bare.get_result())

    # -- where it comes from

    @cached_property
    def name(self) -> str:
        """The name of a struct, union or enum without the keyword; "" for all else and for one without a name."""
        return self._unit.called(str(self._bare.get_declaration().spelling or ""))

    @cached_property
    def declared_in(self) -> Path | None:
        """The file that declares a struct, union or enum; None for all else, and for what stands in no file."""
        file = self._bare.get_declaration().location.file
        return self._unit.file(file.name) if file is not None else None


@dataclass(frozen=True, slots=True)
class Field:
    """A member of a struct or union: `offset` in bits from the start of what it was asked of (None: not known), `width`
    in bits where it is a bit-field. The name of an anonymous struct or union, and of mere padding bits, is ""."""

    name: str
    type: Type
    offset: int | None
    width: int | None = None

    @property
    def is_bitfield(self) -> bool:
        return self.width is not None

    @property
    def bits(self) -> int:
        """How many bits it takes; 0 where that is not known."""
        return 8 * self.type.size if self.width is None else self.width


def field_of(unit: Owner, cursor: Any) -> Field:
    """The member that a FIELD_DECL of libclang declares."""
    offset, name = int(cursor.get_field_offsetof()), str(cursor.spelling or "")
    width = int(cursor.get_bitfield_width()) if cursor.is_bitfield() else None
    # libclang calls an anonymous one "(anonymous struct at …)".
    return Field("" if "(" in name else name, Type(unit, cursor.type), offset if offset >= 0 else None, width)
