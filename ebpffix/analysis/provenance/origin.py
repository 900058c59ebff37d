"""What is said of a pointer: whose memory it points at, and the links that prove it.

A pointer may have come more than one way; each is an `Origin`, with the chain of links from the expression back to
where the address was made. All of them together are the `Proof`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum


class Space(Enum):
    """Whose memory it is."""

    STACK = "the stack"
    GLOBAL = "a global variable"  # and static ones, string literals
    CTX = "the context"
    PACKET = "the packet"
    MAP_VALUE = "a map's value"
    RINGBUF = "the ring buffer"
    KERNEL = "the kernel"
    USER = "user space"
    UNKNOWN = "unknown"

    @property
    def is_bpf(self) -> bool:
        """Whether it is the program's own: a program may read it directly on every kernel."""
        return self not in (Space.KERNEL, Space.USER, Space.UNKNOWN)


class Kind(Enum):
    """The links of a chain, all that there are: (the text, with a place for what it is about; whether it is certain).

    A link that is only likely makes the answer a suggestion; a source that cannot be judged blocks it.
    """

    text: str
    is_certain: bool

    def __new__(cls, text: str, is_certain: bool) -> Kind:
        made = object.__new__(cls)
        made._value_ = len(cls.__members__)
        made.text, made.is_certain = text, is_certain
        return made

    # Steps: the pointer was somewhere else before.
    SET = "`{}`", True
    GIVEN = "given as `{}`", True
    RETURNED = "returned by `{}`", True
    STORED = "stored in `{}`", True
    IN_MAP = "kept in {}", True
    READ = "read by `{}`", True
    SUM = "`{}`, a sum of two numbers", False
    USER_SPACE_WRITES = "user space may write `{}` too", False
    OTHERS_WRITE = "another program writes `{}` too", False
    # Sources: here the address was made.
    OWN = "{}", True
    HELPER = "what `{}` gives", True
    KEPT = "`{}`, which the kernel looks after", True
    ARGUMENT = "{}, an argument of a kernel function", True
    STACK_POINTER = "{}, the kernel's stack", True
    LIKELY_ARGUMENT = "{}, a plain pointer that a kernel function gets", False
    MARKED = "{} is marked __user", False
    SYSTEM_CALL = "{}, an argument of a system call", True
    REGISTERS = "{}, the registers of a system call", True
    USER_REGISTER = "{}, a register of user space", True
    LIKELY_REGISTER = "{}, a register that user space may have set", False
    USER_PROBE = "{}, what a probe in user space gets", True
    EVENT = "{}, a field of a tracepoint", True
    LIKELY_EVENT = "{}, a plain pointer of a tracepoint", False
    MEMBER = "`{}`, a pointer in the kernel", True
    LIKELY_MEMBER = "`{}`, a plain pointer in the kernel", False
    USER_MEMBER = "`{}`, which holds addresses of user space", True
    MARKED_MEMBER = "`{}`, which is marked __user", True
    OUT_OF_USER = "`{}`, read out of user space", True
    HEADER = "what `{}` of the kernel's headers gives", False
    TYPE = "`{}` is a structure of the kernel's own", False
    NUMBER = (
        "it is not known whose it is: {}",
        False,
    )  # an address of whichever side: the verifier knows it for a plain number
    EITHER_PROBE = "it is not known whose it is: {} of a program that is attached to user space too", False
    UNKNOWN = "it is not known where it comes from: {}", False


@dataclass(frozen=True)
class Link:
    """One link: its kind, and the piece of code or the name that it is about."""

    kind: Kind
    what: str

    def __str__(self) -> str:
        return self.kind.text.format(self.what)


@dataclass(frozen=True)
class Origin:
    """One way that a pointer may have come.

    `trusted`: the verifier knows the type of what it points at, and lets it be read. `tracked`: BCC's own rewriter
    knows the pointer. `object` tells objects in one space apart: the `Node.decl` of the variable or the map, of the
    program for a context; 0 for not known.
    """

    space: Space
    chain: tuple[Link, ...]
    trusted: bool = False
    tracked: bool = False
    object: int = 0

    @property
    def is_certain(self) -> bool:
        return self.space is not Space.UNKNOWN and all(link.kind.is_certain for link in self.chain)

    @property
    def may_be_typed(self) -> bool:
        """Whether nothing is known of it, so that its type may tell."""
        return self.space is Space.UNKNOWN and self.chain[-1].kind is not Kind.EITHER_PROBE

    @property
    def has_registers(self) -> bool:
        """Whether it points at the registers with which a system call was entered."""
        return any(link.kind is Kind.REGISTERS for link in self.chain)

    @property
    def untracked(self) -> Origin:
        """The same place, reached by a number that BCC's rewriter does not know."""
        return replace(self, tracked=False)

    @property
    def untrusted(self) -> Origin:
        """The same place, its address copied by a helper: the verifier knows it no more either."""
        return replace(self, tracked=False, trusted=False)

    @property
    def is_refused(self) -> bool:
        """Whether it is kernel memory that the verifier refuses to read directly. Where only its type tells that it
        is, whether the verifier knows it can be told only of what came out of a map or an explicit read: numbers."""
        kinds = {link.kind for link in self.chain}
        told = Kind.TYPE not in kinds or not kinds.isdisjoint(_NUMBERS)
        return self.space is Space.KERNEL and not self.trusted and told

    @property
    def is_number(self) -> bool:
        """Whether the verifier refuses to read it directly, whosoever's memory it is."""
        kinds = {link.kind for link in self.chain}
        return self.is_refused or (self.space is Space.UNKNOWN and not kinds.isdisjoint(_NUMBERS))

    def after(self, kind: Kind, what: str) -> Origin:
        """The origin of a pointer that comes from here by one more link."""
        link = Link(kind, what)
        return self if self.chain[:1] == (link,) else replace(self, chain=(link, *self.chain))

    def __str__(self) -> str:
        return f"{' ← '.join(map(str, self.chain))}: {self.space.value}"


_NUMBERS = frozenset((Kind.READ, Kind.IN_MAP, Kind.NUMBER, Kind.EITHER_PROBE))

Ways = tuple[Origin, ...]
NOTHING: Ways = ()  # of NULL: it points nowhere


def join(found: Iterable[Ways]) -> Ways:
    """All ways of several sets, each once; of those that differ in their chains only the shortest."""
    known: dict[tuple[object, ...], Origin] = {}
    for way in (way for ways in found for way in ways):
        key = way.space, way.trusted, way.tracked, way.object, way.is_certain, way.has_registers
        if key not in known or len(way.chain) < len(known[key].chain):
            known[key] = way
    return tuple(known.values())


def unknown(why: str) -> Ways:
    """The one way that cannot be followed; `why` in a few words."""
    return (Origin(Space.UNKNOWN, (Link(Kind.UNKNOWN, why),)),)


def own(space: Space, what: str, decl: int = 0) -> Ways:
    """The one way of the program's own memory."""
    return (Origin(space, (Link(Kind.OWN, what),), object=decl),)


@dataclass(frozen=True)
class Proof:
    """All that is known of a pointer: the ways it may have come, at least one."""

    ways: Ways

    @property
    def space(self) -> Space:
        """Whose memory it is on every way; UNKNOWN where they differ, or one could not be followed."""
        spaces = {way.space for way in self.ways}
        return spaces.pop() if len(spaces) == 1 else Space.UNKNOWN

    @property
    def is_certain(self) -> bool:
        """Whether each way is proven by certain links alone."""
        return all(way.is_certain for way in self.ways)

    @property
    def is_bpf(self) -> bool:
        """Whether it is the program's own memory on every way, be it of different kinds."""
        return all(way.space.is_bpf for way in self.ways)

    @property
    def is_untrusted_kernel(self) -> bool:
        """Whether on every way it is kernel memory that the verifier refuses to read directly."""
        return all(way.space is Space.KERNEL and not way.trusted for way in self.ways)

    @property
    def is_refused(self) -> bool:
        """Whether it is the kernel's on every way, and on some the verifier refuses to read it."""
        known = all(way.is_refused or (way.space is Space.KERNEL and way.trusted) for way in self.ways)
        return known and any(way.is_refused for way in self.ways)

    @property
    def is_number(self) -> bool:
        """Whether the verifier refuses to read it directly on every way, whosoever's memory it is."""
        return all(way.is_number for way in self.ways)

    @property
    def is_tracked(self) -> bool:
        """Whether on every way it is kernel memory that BCC's own rewriter knows."""
        return all(way.space is Space.KERNEL and way.tracked for way in self.ways)

    @property
    def reader(self) -> str:
        """Which probe read fits on every way: "kernel" (the program's own memory too) or "user"; "" for neither."""
        sides = {"user" if w.space is Space.USER else "" if w.space is Space.UNKNOWN else "kernel" for w in self.ways}
        return sides.pop() if len(sides) == 1 else ""

    @property
    def doubt(self) -> str:
        """The first link that is not certain, as a reason; "" where all are."""
        links = (link for way in self.ways for link in way.chain if not link.kind.is_certain)
        return next(map(str, links), "")

    @property
    def unknown(self) -> str:
        """Why nothing can be said: a way that could not be followed, or ways that differ."""
        blocked = next((way for way in self.ways if way.space is Space.UNKNOWN), None)
        if blocked:
            return str(blocked.chain[-1])
        return "it differs: " + "; ".join(str(way) for way in self.ways[:3])

    @property
    def chains(self) -> list[str]:
        """Each way in words, `buf = a->buf` ← … : user space."""
        return [str(way) for way in self.ways]
