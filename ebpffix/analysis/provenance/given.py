"""What the kernel gives a program: where its arguments, the fields of its context and kernel memory point."""

from __future__ import annotations

import re
from typing import Any

from ebpffix.analysis.programs import Kind as Place
from ebpffix.analysis.provenance.attached import Attached
from ebpffix.analysis.provenance.origin import Kind, Link, Origin, Space, Ways, unknown
from ebpffix.analysis.provenance.shape import is_marked_user
from ebpffix.fix import BCC
from ebpffix.frontend import Type, Unit
from ebpffix.kernel import user_space
from ebpffix.kernel.user_space import Side

REGISTERS = ("pt_regs", "user_pt_regs")
# The registers of the machines that BPF runs on which hold the first arguments of a function, in order.
_ARGUMENTS = {
    **{name: i for i, names in enumerate(("di", "si", "dx", "cx r10", "r8", "r9")) for name in names.split()},
    **{name: i for i, name in enumerate(("rdi", "rsi", "rdx", "rcx"))},
    **{f"a{i}": i for i in range(8)},
}
_STACK = frozenset(("sp", "rsp", "bp", "rbp"))
_ARRAYS = frozenset(("regs", "gprs", "gpr", "uregs"))
_NETWORK = frozenset(("__sk_buff", "xdp_md", "sk_msg_md", "sk_reuseport_md", "bpf_sockopt"))
_PACKET = frozenset(("data", "data_end", "data_meta", "optval", "optval_end"))
_SECURITY = re.compile(r"(?:bpf_lsm_|security_)")


# Bits before the arguments in the record of a system call's tracepoint: a word that the kernel keeps to itself (the
# address of its registers while programs run), and the number of the call.
_ARGUMENTS_FROM = 128


def of_kernel(unit: Unit, type_: Type) -> str:
    """The structure of the kernel's own that a pointer type points at; "" for any other type: a structure of the
    program, plain numbers, void, and what is part of the interface to user space say nothing of where it lies."""
    record = type_.pointee
    if not type_.is_pointer or not record.is_record or not re.fullmatch(r"\w+", record.name):
        return ""
    own = record.declared_in in unit.sources and record.is_complete and "___" not in record.name
    return "" if own or user_space.is_shared(record.name) else record.name


def is_plain(type_: Type) -> bool:
    """Whether a pointer type points at no structure: `void *`, `char *`, `int *`."""
    return type_.is_pointer and type_.pointee.kind not in ("RECORD", "POINTER", "FUNCTIONPROTO")


class Given:
    """What programs of one unit are given."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit

    def _one(self, space: Space, kind: Kind, what: str, **more: Any) -> Ways:
        return (Origin(space, (Link(kind, what),), **more),)

    def _kernel(self, kind: Kind, what: str, *, plain: bool = False) -> Ways:
        return self._one(Space.KERNEL, kind, what, tracked=self.unit.dialect == BCC and not plain)

    # -- arguments

    def parameter(self, program: Attached, index: int, type_: Type, text: bytes, what: str) -> Ways:
        """A parameter of a program behind its context, counted from 0; `text` is its declaration."""
        found = self.argument(program, index, type_, what)
        if found[0].space is Space.UNKNOWN and is_marked_user(text):
            return self._one(Space.USER, Kind.MARKED, what)
        return found

    def argument(self, program: Attached, index: int, type_: Type, what: str) -> Ways:
        """An argument of what a program is attached to, where it is used as `type_` (a number for not known)."""
        kind, target = program.kind, program.target
        if kind is Place.SYSTEM_CALL:
            return self._one(Space.USER, Kind.SYSTEM_CALL, what)
        if kind is Place.USER:
            return self._one(Space.USER, Kind.USER_PROBE, what)
        if kind is Place.RAW:
            return self._raw(program, index, type_, what)
        if kind is Place.TYPED:
            return self._typed(program, index, type_, what)
        if program.is_attached_by_user:
            return self._one(Space.UNKNOWN, Kind.EITHER_PROBE, what)
        if kind not in (Place.FUNCTION, Place.UNKNOWN):
            return unknown(f"{what} of a program on {kind.value}")
        wanted = self._name(type_)
        if user_space.is_wrapper(target) or (user_space.is_system_call(target) and wanted in REGISTERS):
            none = f"{what} of `{target}`, which has one argument"
            return self._kernel(Kind.REGISTERS, what) if index == 0 else unknown(none)
        side = user_space.argument(target, index) if target else None
        if side is Side.USER:
            link = Kind.SYSTEM_CALL if user_space.is_system_call(target) else Kind.ARGUMENT
            return self._one(Space.USER, link, f"{what} of `{target}`")
        if side is Side.EITHER:
            return self._number(f"{what} of `{target}`, of user space in some kernels only")
        if of_kernel(self.unit, type_) and wanted not in REGISTERS:
            return self._kernel(Kind.ARGUMENT, what)
        if type_.is_pointer and (side is Side.KERNEL or _SECURITY.match(target)):
            return self._kernel(Kind.ARGUMENT, f"{what} of `{target}`")
        return self._number(f"{what}, an argument of {f'`{target}`' if target else 'the probed function'}")

    def _number(self, what: str) -> Ways:
        """An address of either side, a plain number for the verifier."""
        return self._one(Space.UNKNOWN, Kind.NUMBER, what)

    def _name(self, type_: Type) -> str:
        return type_.pointee.name if type_.is_pointer else ""

    def _raw(self, program: Attached, index: int, type_: Type, what: str) -> Ways:
        if program.target in ("sys_enter", "sys_exit"):
            return self._kernel(Kind.REGISTERS, what) if index == 0 else unknown(f"{what} is no pointer")
        if of_kernel(self.unit, type_):
            return self._kernel(Kind.EVENT, what)
        return self._kernel(Kind.LIKELY_EVENT, what, plain=True) if type_.is_pointer else unknown(what)

    def _typed(self, program: Attached, index: int, type_: Type, what: str) -> Ways:
        target = program.target
        registers = target in ("sys_enter", "sys_exit") or user_space.is_wrapper(target)
        if registers and index == 0:
            return self._one(Space.KERNEL, Kind.REGISTERS, what, trusted=True)
        if user_space.argument(target, index) is Side.USER:
            return self._one(Space.USER, Kind.ARGUMENT, f"{what} of `{target}`")
        if user_space.argument(target, index) is Side.EITHER:
            return unknown(f"{what} of `{target}` is of user space in some kernels only")
        if not type_.is_pointer:
            return unknown(what)
        if not is_plain(type_):
            return self._one(Space.KERNEL, Kind.ARGUMENT, what, trusted=True)
        return self._one(Space.KERNEL, Kind.LIKELY_ARGUMENT, what)

    # -- the context

    def context_field(
        self,
        program: Attached | None,
        record: str,
        name: str,
        index: int | None,
        type_: Type,
        *,
        offset: int | None = None,
    ) -> Ways:
        """What a field of the context, at `offset` bits, holds (an element of one, where `index` is known), used as
        `type_`."""
        what = f"`ctx->{name}" + (f"[{index}]`" if index is not None else "`")
        if record in _NETWORK:
            if name in _PACKET:
                return self._one(Space.PACKET, Kind.OWN, "the packet")
            return unknown(f"{what} is no pointer")
        if record.startswith("bpf_iter__"):
            return self._one(Space.KERNEL, Kind.ARGUMENT, what, trusted=True)
        if program is None:
            return unknown(f"{what}: of which program is not known")
        if record in REGISTERS:
            return self._register(program, name, index, type_, what)
        if record == "bpf_raw_tracepoint_args" or program.kind in (Place.RAW, Place.TYPED):
            return self.argument(program, index, type_, what) if index is not None else unknown(what)
        if program.kind is Place.SYSTEM_CALL_EVENT:
            if offset is not None and offset < _ARGUMENTS_FROM:
                return unknown(f"{what} is none of the system call's arguments")
            return self._one(Space.USER, Kind.SYSTEM_CALL, what)
        if program.kind is Place.EVENT:
            if of_kernel(self.unit, type_):
                return self._kernel(Kind.EVENT, what)
            return self._kernel(Kind.LIKELY_EVENT, what) if type_.is_pointer else unknown(what)
        if type_.is_pointer and not is_plain(type_) and program.kind is Place.OTHER:
            return self._one(Space.KERNEL, Kind.ARGUMENT, what, trusted=True)
        return unknown(what)

    def _register(self, program: Attached, name: str, index: int | None, type_: Type, what: str) -> Ways:
        if program.kind is Place.USER:
            return self._one(Space.USER, Kind.USER_PROBE, what)
        number = _ARGUMENTS.get(name, index if name in _ARRAYS else None)
        if number is not None:
            return self.argument(program, number, type_, what)
        if of_kernel(self.unit, type_) and self._name(type_) not in REGISTERS:
            return self._kernel(Kind.ARGUMENT, what)
        if name in _STACK and program.kind is Place.FUNCTION:
            return self._kernel(Kind.STACK_POINTER, what, plain=True)
        return unknown(f"{what}: what the register holds is not known")

    # -- kernel memory

    def member(self, where: Origin, record: str, name: str, own: Type | None, used: Type) -> Ways:
        """What a member of a structure in kernel memory holds; `own` is its type, where clang knows it, `used` that of
        what it is used as."""
        what = f"{record.partition('___')[0]}.{name}"
        if record in REGISTERS:
            kind = Kind.USER_REGISTER if where.has_registers else Kind.LIKELY_REGISTER
            return self._one(Space.USER, kind, what)
        side = user_space.member(record, name)
        if side is Side.USER:
            return self._one(Space.USER, Kind.USER_MEMBER, what)
        if side is Side.EITHER:
            return unknown(f"`{what}` may hold either")
        while own is not None and own.is_array:
            own = own.pointee
        type_ = own if own is not None and own.is_pointer else used
        if (own is not None and not own.is_pointer and not of_kernel(self.unit, used)) or type_.size < 8:
            return unknown(f"`{what}` is a number")
        plain = is_plain(type_)
        trusted = where.trusted and not plain
        certain = (own is None or own.is_pointer) and type_.is_pointer and not type_.is_void_pointer
        tracked = where.tracked and self.unit.dialect == BCC
        kind = Kind.MEMBER if certain else Kind.LIKELY_MEMBER
        return self._one(Space.KERNEL, kind, what, trusted=trusted, tracked=tracked)
