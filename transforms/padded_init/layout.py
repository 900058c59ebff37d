"""Which bits of a type hold data, for the BPF target: padding, spare bits and tails are the others.

A set of bits is an int: bit n stands for bit n of the object, counted from its first byte. The size of
all types must be known (`Unit.layout_known` says how far it can be trusted).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ebpffix.frontend import Type


@dataclass(frozen=True)
class Member:
    """A member of a struct or union. `offset` is in bits from the record's start; `bits` are relative to that start.
    The name of an anonymous struct or union is empty; bits without a name are no member."""

    name: str
    type: Type
    offset: int
    bits: int
    bitfield: bool


def span(offset: int, bits: int) -> int:
    """The set of `bits` bits that begin at bit `offset`."""
    return ((1 << max(bits, 0)) - 1) << offset


def all_bits(type_: Type) -> int:
    return span(0, 8 * type_.size)


def members(type_: Type) -> Iterator[Member]:
    """The members of a record as declared."""
    for field in type_.fields:
        if field.offset is None or (field.is_bitfield and not field.name):
            continue
        bits = span(field.offset, field.bits) if field.is_bitfield else data_bits(field.type) << field.offset
        yield Member(field.name, field.type, field.offset, bits, field.is_bitfield)


def member(type_: Type, name: str) -> Member | None:
    """The member that `x.name` reaches, through anonymous members too; its offset and bits are those in `type_`."""
    for found in members(type_):
        if found.name == name:
            return found
        if not found.name and (inner := member(found.type, name)):
            return Member(name, inner.type, found.offset + inner.offset, inner.bits << found.offset, inner.bitfield)
    return None


def data_bits(type_: Type) -> int:
    """The bits that some member holds; of a union, those of any member."""
    if type_.is_array:
        return repeated(data_bits(type_.pointee), type_)
    if not type_.is_record:
        return all_bits(type_)
    bits = 0
    for found in members(type_):
        bits |= found.bits
    return bits


def zeroed_bits(type_: Type) -> int:
    """The bits that are cleared where an initialiser names no member: of a union all. C promises only its first
    member; clang 14 and 19 clear the whole (tried)."""
    if type_.is_array:
        return repeated(zeroed_bits(type_.pointee), type_)
    if not type_.is_record or type_.is_union:
        return all_bits(type_)
    bits = 0
    for found in members(type_):
        bits |= found.bits if found.bitfield else zeroed_bits(found.type) << found.offset
    return bits


def repeated(bits: int, array: Type) -> int:
    """The bits of an array each of whose elements has `bits`, by doubling: buffers have half a million elements."""
    step, found, done = 8 * array.pointee.size, 0, 0
    for digit in f"{array.length or 0:b}":
        found |= found << done * step
        done *= 2
        if digit == "1":
            found |= bits << done * step
            done += 1
    return found


def has_bitfields(type_: Type) -> bool:
    if type_.is_array:
        return has_bitfields(type_.pointee)
    return any(m.bitfield or has_bitfields(m.type) for m in members(type_))


def describe(type_: Type, unset: int, text: int = 0) -> str:
    """What a set of bits of a record is, in words: "`comm` and 3 padding bytes after `kind`", "12 spare bits". Of a
    member in the bits `text` only the end is meant."""
    holes = unset & ~data_bits(type_)
    names = [
        ("the end of " if m.bits & unset == m.bits & unset & text else "") + f"`{m.name}`"
        for m in members(type_)
        if m.name and m.bits & unset
    ]
    said = names if len(names) <= 3 else [*names[:2], f"{len(names) - 2} more members"]
    if unset & ~holes and not said:
        said = ["members of a union"]
    if holes:
        low = (holes & -holes).bit_length() - 1
        before = [m.name for m in members(type_) if m.offset <= low and m.name]
        several = holes >> low & (holes >> low) + 1
        said = [*said, _amount(holes) + (", the first" if several and before else "")]
        said[-1] += f" after `{before[-1]}`" if before else ""
    return " and ".join([", ".join(said[:-1]), said[-1]]) if len(said) > 1 else "".join(said)


def _amount(bits: int) -> str:
    count = bits.bit_count()
    whole, noun = (count // 8, "padding byte") if count % 8 == 0 else (count, "spare bit")
    return f"{whole} {noun}{'s' * (whole != 1)}"
