"""What is written where: the stores to a variable, to its members, and to what a pointer points at.

A store is found in the function that owns the variable and, where its address is handed on, in the functions that get
it. What cannot be followed is a store of something unknown, never left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field as field_
from functools import cached_property

from ebpffix.analysis.flow import Effect, Use, use
from ebpffix.analysis.provenance.access import is_evaluated
from ebpffix.analysis.provenance.shape import is_marked_user, short
from ebpffix.analysis.values import callers
from ebpffix.frontend import Node, Type, Unit
from ebpffix.kernel.helpers import Helper, Role, helper

_COPY = re.compile(r"(?:__builtin_)?mem(?:cpy|move)\Z")
# What gives the address that it gets, as it is.
HANDED_ON = frozenset(
    ("__builtin_preserve_access_index", "__builtin_expect", "bpf_kptr_deref", "__builtin_assume_aligned")
)
# What writes an argument of a USDT probe, and through which of its arguments.
_USER_WORDS = {"bpf_usdt_arg": 2, "bpf_usdt_readarg": 2}
# Beside the helpers, what stores no address in the memory that it gets.
_STORES_NONE = re.compile(r"bpf_printk|(?:__builtin_)?mem(?:set|cmp)|__builtin_preserve_\w+")
_STORING = (Role.INTO, Role.WRITTEN, Role.TEXT_WRITTEN, Role.CHANGED, Role.GIVEN, Role.KEPT)


@dataclass(frozen=True)
class Callback:
    """A call of a helper that calls a function of the program: that function as it is named, and which of its
    parameters, from 0, gets which argument."""

    function: Node
    parameter: int
    given: Node | None


def callback(call: Node) -> Callback | None:
    """What a helper's call has called; None for one that calls nothing."""
    does = helper(call.name)
    at = does.where(Role.CALLBACK) if does is not None else None
    if does is None or at is None or does.hands_on is None or len(call.arguments) <= at:
        return None
    given = does.where(Role.GIVEN)
    return Callback(
        call.arguments[at],
        does.hands_on,
        call.arguments[given] if given is not None and given < len(call.arguments) else None,
    )


def reads(name: str) -> Helper | None:
    """The helper of this name, if it copies bytes from an address that may be anybody's into its first argument."""
    does = helper(name)
    probes = does is not None and does.role(0) in (Role.WRITTEN, Role.TEXT_WRITTEN)
    return does if does is not None and probes and any(role.is_probed for role in does.roles) else None


def _stores_none(name: str, index: int) -> bool:
    """Whether a function is known to store no address in the memory that argument `index` points at."""
    does = helper(name)
    return does.role(index) not in _STORING if does is not None else _STORES_NONE.fullmatch(name) is not None


@dataclass(frozen=True)
class Field:
    """A member: its declaration, its name, the structure that it belongs to by name, the very structure or union that
    declares it, whether that is a union, its type, its offset in bits in what declares it, and its declaration."""

    decl: int
    name: str
    record: str
    parent: int
    in_union: bool
    type: Type | None = field_(default=None, compare=False)  # None where clang does not know it
    offset: int | None = field_(default=None, compare=False)  # likewise
    declared: Node | None = field_(default=None, compare=False, repr=False)  # likewise

    @property
    def is_user(self) -> bool:
        """Whether its declaration marks it as an address of user space."""
        return self.declared is not None and is_marked_user(self.declared.text)


Path = tuple[Field, ...]


@dataclass(frozen=True)
class Store:
    """A write to the member `path` of an object (the object itself: an empty path).

    One of these: `value`, the expression that is stored; `source`, a pointer to the bytes that are copied, by the call
    `reader`; `user`, the function that writes a word of user space; `why` it cannot be followed.
    """

    path: Path
    at: Node
    value: Node | None = None
    source: Node | None = None
    reader: str = ""
    why: str = ""
    user: str = ""


def field(node: Node) -> Field:
    """The member that a MEMBER_REF_EXPR or MEMBER_REF names."""
    record, parent, in_union = node.owner or ("", 0, False)
    type_ = node.type if node.kind == "MEMBER_REF_EXPR" else None
    offset = node.field.offset if node.field else None
    return Field(node.decl, node.name, record, parent, in_union, type_, offset, node.declaration)


def path_of(node: Node) -> tuple[Node, Path]:
    """An lvalue as the expression that its members are counted from (a variable, or an access through a pointer) and
    the members; elements of arrays count as the array."""
    members: list[Field] = []
    node = node.bare
    while node.children:
        if lost := node.lost_member:
            base, arrow, name = lost
            record = base.type.pointee.name if arrow and base.type.is_pointer else ""
            members.insert(0, Field(0, name, record, 0, False))
            if arrow:
                break
        elif node.kind == "MEMBER_REF_EXPR":
            members.insert(0, field(node))
            if node.arrow:
                break
        elif node.kind != "ARRAY_SUBSCRIPT_EXPR" or not node.children[0].bare.type.is_array:
            break
        node = node.children[0].bare
    return node, tuple(members)


class Stores:
    """The stores of one unit."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.functions = {function.decl: function for function in unit.functions}
        self._uses: dict[int, dict[int, list[Use]]] = {}

    def uses(self, function: Node) -> dict[int, list[Use]]:
        """The mentions of each variable in a function."""
        known = self._uses.get(function.decl)
        if known is None:
            known = self._uses[function.decl] = {}
            for node in _evaluated(function):
                if node.kind == "DECL_REF_EXPR":
                    if is_evaluated(node):  # not in typeof
                        known.setdefault(node.decl, []).append(use(node))
                elif node.kind == "VAR_DECL":
                    known.setdefault(node.decl, []).append(Use(node, Effect.WRITE, False, node))
        return known

    @cached_property
    def homes(self) -> dict[int, Node]:
        """The function that each local variable and parameter belongs to."""
        return {n.decl: f for f in self.functions.values() for n in f.find("VAR_DECL", "PARM_DECL")}

    @cached_property
    def callers(self) -> dict[int, list[Node]]:
        """The calls of each function of the run."""
        return callers(self.unit, self.functions)

    @cached_property
    def tabled(self) -> frozenset[int]:
        """The functions that stand in the initialiser of a global variable: a table of functions, an operations
        structure."""
        globals_ = [d for d in self.unit.declarations if d.kind == "VAR_DECL"]
        found = (n.decl for d in globals_ for n in d.find("DECL_REF_EXPR"))
        return frozenset(decl for decl in found if decl in self.functions)

    # -- variables

    def to_variable(self, decl: int, function: Node) -> list[Store]:
        """The stores to a variable and its members that a function makes, or hands its address on for."""
        return list(self._stores(decl, False, function, (), frozenset()))

    def through(self, decl: int, function: Node) -> list[Store]:
        """The stores to what a pointer variable points at."""
        return list(self._stores(decl, True, function, (), frozenset()))

    def _stores(
        self, decl: int, through: bool, function: Node, prefix: Path, above: frozenset[tuple[int, bool]]
    ) -> Iterator[Store]:
        if (decl, through) in above:
            return
        above |= {(decl, through)}
        for one in self.uses(function).get(decl, ()):
            if one.through == through and one.effect is not Effect.READ:
                yield from self._of_use(one, prefix, function, above)

    def _of_use(self, one: Use, prefix: Path, function: Node, above: frozenset[tuple[int, bool]]) -> Iterator[Store]:
        if one.node.kind == "VAR_DECL":
            value = one.node.initialiser
            if value is not None:
                yield Store(prefix, one.node, value)
            return
        path = prefix + _below(one.node, one.target, through=one.through)
        if one.effect is Effect.WRITE:
            yield from self._written(one.target, path)
        elif one.effect is Effect.PASS and one.call is not None and one.argument is not None:
            yield from self._passed(one.call, one.argument, path, above)
        else:
            yield from self._kept(one, path, function, above)

    def _written(self, target: Node, path: Path) -> Iterator[Store]:
        outer = target.outer
        if outer is None:
            return
        if outer.kind == "BINARY_OPERATOR" and outer.operator == "=":
            yield Store(path, outer, outer.children[1])
        elif outer.kind == "COMPOUND_ASSIGNMENT_OPERATOR" and outer.operator not in ("+=", "-=", "&="):
            yield Store(path, outer, why="it is computed from a number")
        elif outer.kind == "ASM_STMT":
            yield Store(path, outer, why="assembly may write it")

    def _passed(self, call: Node, argument: Node, path: Path, above: frozenset[tuple[int, bool]]) -> Iterator[Store]:
        index = next((i for i, a in enumerate(call.arguments) if a is argument), -1)
        callee = call.callee
        if callee is None or index < 0 or callee.kind == "MEMBER_REF_EXPR":
            return  # a method of a BCC map copies
        if reads(call.name) is not None:
            if index == 0 and len(call.arguments) > 2:
                yield Store(path, call, source=call.arguments[2], reader=call.name)
        elif call.name in _USER_WORDS:
            if index == _USER_WORDS[call.name]:
                yield Store(path, call, user=call.name)
        elif _COPY.match(call.name):
            if index == 0 and len(call.arguments) > 2:
                yield Store(path, call, source=call.arguments[1], reader=call.name)
        elif callee.decl in self.functions:
            yield from self._in_callee(self.functions[callee.decl], index, path, above)
        elif (back := callback(call)) is not None:
            function = self.functions.get(back.function.uncast.decl)
            if function is None:
                yield Store(path, call, why=f"`{call.name}` hands it to a function that cannot be told")
            elif argument is back.given:
                yield from self._in_callee(function, back.parameter, path, above)
        elif not _stores_none(call.name, index) and not _is_const(call, index):
            yield Store(path, call, why=f"`{call.name or 'a function'}` may write it")

    def _in_callee(self, function: Node, index: int, path: Path, above: frozenset[tuple[int, bool]]) -> Iterator[Store]:
        parameters = function.parameters
        if index < len(parameters):
            yield from self._stores(parameters[index].decl, True, function, path, above)

    def _kept(self, one: Use, path: Path, function: Node, above: frozenset[tuple[int, bool]]) -> Iterator[Store]:
        """The address is kept: in another variable of the function, whose stores count too, or where it is lost."""
        node = one.target
        outer = node.outer
        while outer is not None and (
            outer.kind in ("CSTYLE_CAST_EXPR", "CONDITIONAL_OPERATOR", "StmtExpr")
            or (outer.kind == "COMPOUND_STMT" and outer.parent is not None and outer.parent.kind == "StmtExpr")
            or outer.operator in ("&", "+", "-", ",")
        ):
            outer = outer.outer
        if outer is None:
            return
        other = 0
        if outer.kind == "VAR_DECL":
            other = outer.decl
        elif outer.kind == "BINARY_OPERATOR" and outer.operator == "=":
            target = outer.children[0].bare
            if target.kind == "DECL_REF_EXPR" and target.decl in self.homes:
                other = target.decl
        if other:
            yield from self._stores(other, True, function, path, above)
        elif outer.kind == "RETURN_STMT" and one.through:
            for call in self.callers.get(function.decl, ()):
                yield from self._from_result(call, path, above)
        elif outer.kind not in ("COMPOUND_STMT", "IF_STMT", "WHILE_STMT", "FOR_STMT", "DO_STMT", "SWITCH_STMT"):
            yield Store(path, outer, why=f"its address is kept in `{short(outer, 50)}`")

    def from_result(self, call: Node) -> list[Store]:
        """The stores to what the pointer points at that a call returns."""
        return list(self._from_result(call, (), frozenset()))

    def _from_result(self, call: Node, path: Path, above: frozenset[tuple[int, bool]]) -> Iterator[Store]:
        function = call.function
        node, outer = call, call.outer
        while outer is not None and (
            outer.kind in ("CSTYLE_CAST_EXPR", "CONDITIONAL_OPERATOR") or outer.operator in ("+", "-", ",")
        ):
            node, outer = outer, outer.outer
        if outer is None or function is None:
            return
        if outer.kind == "VAR_DECL":
            yield from self._stores(outer.decl, True, function, path, above)
        elif outer.kind == "BINARY_OPERATOR" and outer.operator == "=":
            target = outer.children[0].bare
            if target.kind == "DECL_REF_EXPR" and target.decl in self.homes:
                yield from self._stores(target.decl, True, function, path, above)
            else:
                yield Store(path, outer, why=f"its address is kept in `{short(outer, 50)}`")
        elif outer.kind == "RETURN_STMT":
            if (function.decl, True) not in above:
                for caller in self.callers.get(function.decl, ()):
                    yield from self._from_result(caller, path, above | {(function.decl, True)})
        elif outer.kind == "CALL_EXPR":
            argument = next((a for a in outer.arguments if a.start <= node.start and node.end <= a.end), None)
            if argument is not None:
                yield from self._passed(outer, argument, path, above)
        elif outer.kind in ("MEMBER_REF_EXPR", "ARRAY_SUBSCRIPT_EXPR", "UNARY_OPERATOR") and outer.operator != "!":
            top = outer
            while top.outer is not None and top.outer.kind in ("MEMBER_REF_EXPR", "ARRAY_SUBSCRIPT_EXPR"):
                top = top.outer
            assigned = top.outer
            if assigned is not None and assigned.operator == "=" and assigned.children[0].bare is top:
                yield Store(path + path_of(top)[1], assigned, assigned.children[1])


def _below(mention: Node, target: Node, *, through: bool) -> Path:
    """The members between a variable, or what it points at, and the widest expression of its memory."""
    members: list[Field] = []
    node = target.bare
    while node is not mention and node.children:
        if node.kind == "MEMBER_REF_EXPR":
            members.insert(0, field(node))
        node = node.children[0].bare
        while node.kind in ("CSTYLE_CAST_EXPR",) or (node.kind == "UNARY_OPERATOR" and node.operator in ("&", "*")):
            node = node.children[-1].bare
    return tuple(members)


def _is_const(call: Node, index: int) -> bool:
    """Whether a function takes an argument as a pointer to const."""
    target, callee = call.declaration, call.callee
    for node in (target, callee):
        parameters = node.type.parameters if node is not None else None
        if parameters is not None:
            return index < len(parameters) and parameters[index].pointee.is_const
    return False


def _evaluated(node: Node) -> Iterator[Node]:
    """A node and all below it, operands of sizeof aside."""
    if node.kind == "CXX_UNARY_EXPR":
        return
    yield node
    for child in node.children:
        yield from _evaluated(child)
