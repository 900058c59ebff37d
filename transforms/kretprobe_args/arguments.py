"""A return probe with what it reads, and which arguments these are.

pair_of(unit, probe) -> Pair | None              None for one that reads no argument
groups(pair) -> list[Group]                      NoEdit where an argument cannot be told
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ebpffix.analysis.programs import Kind, Program
from ebpffix.editing.c import declared
from ebpffix.editing.settle import NoEdit
from ebpffix.editing.statements import numbered
from ebpffix.fix import BCC, Edit
from ebpffix.frontend import Node, Unit

from . import signature
from .probes import Probe, entry_of
from .reads import RETURN_NAMES, Read, reads_of
from .signature import Parameter, Use
from .uses import casts_before, on_purpose, use_of


@dataclass(frozen=True)
class Pair:
    """A return probe that reads arguments, `entry` the entry probe of the same function if there is one, and
    `parameters` those that BTF has of the function, None where it does not know it."""

    unit: Unit
    probe: Probe
    reads: tuple[Read, ...]
    entry: Node | None
    parameters: Sequence[Parameter] | None

    @property
    def program(self) -> Program:
        return self.probe.program

    @property
    def is_bcc(self) -> bool:
        return self.unit.dialect == BCC

    @property
    def returned(self) -> list[Read]:
        """The parameters by which it means the return value."""
        known = {p.name for p in self.parameters or ()}
        return [r for r in self.reads if r.parameter and r.parameter.name in RETURN_NAMES - known]

    @property
    def asked(self) -> list[Read]:
        """The reads of arguments."""
        returned = self.returned
        return [read for read in self.reads if read not in returned]


@dataclass(frozen=True)
class Group:
    """The reads of one argument, with what the program takes each for; `parameter` is what BTF says of it."""

    index: int
    reads: tuple[Read, ...]
    uses: tuple[Use, ...]
    parameter: Parameter | None


@dataclass(frozen=True)
class Argument:
    """An argument of the probed function: `index` counts from 1, `name` and `type` are those of the entry probe's
    parameter, `declaration` is how the return probe declares it (`struct sock *sk`)."""

    index: int
    name: bytes
    type: bytes
    declaration: bytes


def pair_of(unit: Unit, probe: Probe) -> Pair | None:
    program = probe.program
    reads = tuple(read for read in reads_of(unit, program) if not on_purpose(unit, read))
    if not reads:
        return None
    parameters = signature.of(unit, program.target) if program.kind is not Kind.USER else None
    return Pair(unit, probe, reads, entry_of(unit, probe), parameters)


def groups(pair: Pair) -> list[Group]:
    """The arguments that it reads, by number."""
    found: dict[int, Group] = {}
    for read in pair.asked:
        use = use_of(pair.unit, read)
        index: int | None = read.index
        if pair.parameters is not None:
            index = signature.meant(use, read.index, pair.parameters)
        if not index:
            raise NoEdit(_which(read, pair.parameters))
        parameter = pair.parameters[index - 1] if pair.parameters is not None else None
        known = found.get(index, Group(index, (), (), parameter))
        found[index] = replace(known, reads=(*known.reads, read), uses=(*known.uses, use))
    last = max(found, default=0)
    if pair.parameters and any(p.by_value for p in pair.parameters[:last]):
        raise NoEdit("a struct passed by value moves the arguments to other registers")
    if last > (6 if pair.is_bcc else 5):
        raise NoEdit(f"argument {last} has no place in BPF_KPROBE: store it in an entry probe by PT_REGS_PARM{last}")
    return [found[index] for index in sorted(found)]


def _which(read: Read, parameters: Sequence[Parameter] | None) -> str:
    where = read.written
    if parameters is None:
        return f"{where} holds no argument by the calling convention, and no BTF tells which one is meant"
    have = ", ".join(f"{p.type} {p.name}" for p in parameters) or "none"
    return f"BTF does not tell which argument is meant by {where}: the function's are {have}"


def is_of_one_type(group: Group) -> bool:
    """Whether all reads take the argument for one and the same type."""
    return len({use.type for use in group.uses}) == 1 and group.uses[0].type not in ("", "void *")


def argument(pair: Pair, group: Group) -> Argument:
    """The argument with the function's own name for it."""
    parameter = group.parameter
    if is_of_one_type(group):
        type_ = signature.best_type(pair.unit, group.uses[0], parameter).encode()
    else:
        type_ = _common_type(pair, group).encode()
    name = parameter.name.encode() if parameter and parameter.name else b"arg%d" % group.index
    return Argument(group.index, name, type_, declared(type_, name))


def _common_type(pair: Pair, group: Group) -> str:
    """A type for an argument that is taken for several, or for no certain one. A pointer where it is one to any of
    them: BCC does not know it any more once it was a number."""
    pointers = {use.type for use in group.uses if use.type.endswith("*")}
    if len(group.uses) == len(pointers) == 1:
        return pointers.pop()  # it may be all that a variable is declared with
    certain = pointers - {"void *", "const void *"}
    known = group.parameter
    if pointers and not certain and known is not None and known.type.endswith("*"):
        return known.type if signature.writable(pair.unit, known.type) else "void *"
    if len(certain) == 1:
        return certain.pop()
    return "void *" if pointers else "unsigned long"


def in_place(pair: Pair, group: Group, type_: bytes, value: bytes) -> list[Edit]:
    """The edits that put a value, in C, of this type in the place of the reads: the casts before them go where all take
    it for the same."""
    if is_of_one_type(group):
        return [Edit(read.path, casts_before(pair.unit, read), read.end, value) for read in group.reads]
    number = b"(unsigned long)" + value if type_.endswith(b"*") else value
    return [
        Edit(read.path, read.start, read.end, value if use.type.endswith("*") else number)
        for read, use in zip(group.reads, group.uses, strict=True)
    ]


def converted(value: bytes, given: bytes, wanted: bytes) -> bytes:
    """A value of one type, in C, as one of another."""
    same = [b"".join(type_.replace(b"const ", b"").split()) for type_ in (given, wanted)]
    return value if same[0] == same[1] else b"(%s)%s" % (wanted, value)


def entry_signature(pair: Pair, arguments: Sequence[Argument]) -> list[tuple[bytes, bytes]]:
    """All arguments of an entry probe as (type, name), up to the last one that is needed."""
    by_index = {a.index: a for a in arguments}
    found: list[tuple[bytes, bytes]] = []
    for index in range(1, max(by_index) + 1):
        if index in by_index:
            found.append((by_index[index].type, by_index[index].name))
            continue
        known = pair.parameters[index - 1] if pair.parameters is not None else None
        type_ = known.type if known and signature.writable(pair.unit, known.type) else "void *"
        name = known.name.encode() if known and known.name else b"arg%d" % index
        found.append((type_.encode(), numbered(name, {*(a.name for a in arguments), *(n for _, n in found)})))
    return found


def distinct(arguments: Iterable[Argument]) -> list[Argument]:
    """The arguments with names that differ."""
    found: list[Argument] = []
    for one in arguments:
        found.append(replace(one, name=numbered(one.name, {a.name for a in found})))
    return found
