"""A call that copies or sets memory, by its plain or its builtin name, and what is known of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ebpffix.analysis.provenance import Proof, Space, prove
from ebpffix.analysis.values import values
from ebpffix.editing.calls import LibcCall, libc_calls
from ebpffix.fix import Edit
from ebpffix.frontend import Node, Unit

# What has no builtin of its own, and the one that does the same.
SAME = {"bzero": "memset", "bcopy": "memmove"}
_NAMES = ("memcpy", "memset", "memmove", *SAME)
BUILTIN = "__builtin_"


def copies(unit: Unit) -> Iterator[Copy]:
    """All such calls with as many arguments as the function has."""
    for call in libc_calls(unit, (*_NAMES, *map(BUILTIN.__add__, _NAMES))):
        copy = Copy(unit, call)
        if len(call.arguments) == (2 if copy.name == "bzero" else 3):
            yield copy


@dataclass(frozen=True)
class Copy:
    """A call that copies or sets memory, by its plain or its builtin name."""

    unit: Unit
    call: LibcCall

    @property
    def name(self) -> str:
        return self.call.name.removeprefix(BUILTIN)

    @property
    def to(self) -> int:
        """The argument that is written."""
        return 1 if self.name == "bcopy" else 0

    @property
    def from_(self) -> int | None:
        """The argument that is copied; None where memory is set."""
        return {"bcopy": 0, "memcpy": 1, "memmove": 1}.get(self.name)

    @property
    def size(self) -> int | None:
        """The bytes, where the compiler knows them."""
        return self.call.arguments[-1].constant

    @property
    def may_be_constant(self) -> bool:
        """Whether a size that is none yet may be one when functions are inlined: it comes out of a parameter, or out of
        a local that is set once."""
        function = self.call.node.function
        if function is None or self.size is not None:
            return False
        parameters = {p.decl for p in function.parameters} if function.is_static else set()
        names = [n.decl for n in self.call.arguments[-1].walk() if n.kind == "DECL_REF_EXPR"]
        return bool(names) and all(n in parameters or _is_set_once(function, n) for n in names)

    @cached_property
    def source(self) -> Proof | None:
        """Whose memory is copied."""
        return prove(self.unit, self.call.arguments[self.from_]) if self.from_ is not None else None

    @property
    def has_helper(self) -> bool:
        """Whether a probe read can do the same: it copies the program's own memory, and nothing looks at the result."""
        own = self.source is not None and self.source.is_bpf and self.source.space is not Space.CTX
        return own and self.name == "memcpy" and self.call.is_statement

    @property
    def sides(self) -> Iterator[int]:
        """The arguments that point at memory, that which is read first."""
        yield from (self.to,) if self.from_ is None else (self.from_, self.to)

    @property
    def renamed(self) -> list[Edit]:
        """The builtin's name in place of the plain one; none where it is that already."""
        if self.name != self.call.name:
            return []
        return [self.call.renamed(BUILTIN.encode() + SAME.get(self.name, self.name).encode())]


def _is_set_once(function: Node, variable: int) -> bool:
    """Whether a variable has one value, which is a constant."""
    written = [n for n in function.walk() if n.written is not None and n.written.decl == variable]
    given = list(values(function, variable))
    return len(given) == 1 and given[0].constant is not None and len(written) <= 1
