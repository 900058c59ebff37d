"""What becomes of an object: which of its bits are written, and which go to the kernel's helpers.

An object *escapes* where a helper reads it: as a map's key or value, as an event's record, as an argument block, and
memory that was reserved where it is submitted. The uses are followed through pointers that are set once and through
functions of the run; whatever else is done with an address counts as a write of all that it reaches, so that "never
written" is certain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from ebpffix.frontend import Node, Type, Unit
from ebpffix.kernel.helpers import HELPERS, METHODS, Helper, Returns, Role

from .layout import span

# Calls that read what their later arguments point at into their first one.
_COPIES = frozenset("memcpy memmove memcmp __builtin_memcpy __builtin_memmove __builtin_memcmp".split())
_DEPTH = 6


def _wanted(helper: Helper) -> bool:
    return bool(helper.reads) or helper.returns is Returns.RESERVED_OR_NULL


# What a transform looks for: calls that read memory or give some, and objects with an initialiser, which may go to a
# function of a header.
TRIGGERS = (
    rb"struct\s+\w+\s+\w+\s*=\s*\{",
    b"bpf_(?:%s)\\b" % b"|".join(h.name.removeprefix("bpf_").encode() for h in HELPERS.values() if _wanted(h)),
    rb"\.\s*(?:%s)\s*\(" % b"|".join(m.name.encode() for m in METHODS.values() if _wanted(m)),
)


@dataclass(frozen=True)
class Object:
    """A local variable that is a struct or union, or (`pointer`) one that points at memory that was reserved."""

    variable: Node
    type: Type
    pointer: bool = False

    @property
    def name(self) -> str:
        return self.variable.name


@dataclass(frozen=True)
class Event:
    """One thing done to an object. `bits` of it are written, or where `to` names a helper, read by it, as a map's key
    if `key`; `exact` is False where the size that the helper reads is not constant. `text` are bits that a string is
    put in: how far it goes is not known. `returned`: its address leaves the function. `at` is the place in the function
    that owns the object."""

    at: Node
    bits: int = 0
    to: str = ""
    exact: bool = True
    key: bool = False
    text: int = 0
    returned: bool = False


@dataclass(frozen=True)
class _Place:
    """What an expression stands for: `size` bits from `offset` on, as an lvalue or as a pointer to it."""

    offset: int
    size: int
    pointer: bool

    @property
    def bits(self) -> int:
        return span(self.offset, self.size)


_Constants = Mapping[int, int]  # the values of parameters that are known, by `Node.decl`


def events(unit: Unit, function: Node, object_: Object) -> list[Event]:
    """All that a function does to an object, in source order."""
    place = _Place(0, 8 * object_.type.size, object_.pointer)
    found = list(_Follower(unit).variable(function, object_.variable, place, _constants(unit, function)))
    # What is done through a pointer comes out where the pointer is set. Offsets give no order inside a macro.
    order = {id(node): number for number, node in enumerate(function.walk())} if len(found) > 1 else {}
    return sorted(found, key=lambda event: order.get(id(event.at), 0))


def literal_events(unit: Unit, literal: Node) -> list[Event]:
    """The same for a compound literal."""
    return list(_Follower(unit).use(literal, _Place(0, 8 * literal.type.size, False)))


def _constants(unit: Unit, function: Node) -> _Constants:
    """The parameters for which every call of a function gives the same constant."""
    calls = [mention.outer for mention in unit.mentions(function)]
    if not calls or not function.is_static:
        return {}
    given = [_given(call, function) if call is not None and call.kind == "CALL_EXPR" else {} for call in calls]
    return {decl: value for decl, value in given[0].items() if all(g.get(decl) == value for g in given)}


def _given(call: Node, function: Node) -> _Constants:
    pairs = zip(function.parameters, call.arguments, strict=False)
    return {parameter.decl: value for parameter, argument in pairs if (value := argument.constant) is not None}


def _is_dead(node: Node, constants: _Constants) -> bool:
    """Whether a node stands in a branch that such a parameter keeps from being taken."""
    inner = node
    for outer in node.ancestors if constants else ():
        if outer.kind == "IF_STMT" and inner is not outer.children[0]:
            condition, holds = outer.children[0].bare, inner is outer.children[1]
            while condition.kind == "UNARY_OPERATOR" and condition.operator == "!":
                condition, holds = condition.operands[0], not holds
            value = constants.get(condition.decl) if condition.kind == "DECL_REF_EXPR" else None
            if value is not None and bool(value) != holds:
                return True
        inner = outer
    return False


class _Follower:
    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.functions = {f.decl: f for f in unit.functions}
        self.depth = 0

    def variable(self, function: Node, declaration: Node, place: _Place, constants: _Constants) -> Iterator[Event]:
        """The events of a variable; `place` is what it holds or, as a pointer, points to."""
        for node in function.body.find("DECL_REF_EXPR") if function.body else ():
            if node.decl == declaration.decl and not _unevaluated(node) and not _is_dead(node, constants):
                yield from self.use(node, place)

    def use(self, node: Node, place: _Place) -> Iterator[Event]:
        """Climb from a mention to what is done with it."""
        while (parent := node.parent) is not None:
            step: Callable[[Node, Node, _Place], _Place | list[Event] | None] | None
            step = getattr(self, "in_" + parent.kind.lower(), None)
            if step is None:
                # Something else: an address that goes on may be written through, a value is only read.
                yield from self._lost(node, place)
                return
            result = step(parent, node, place)
            if not isinstance(result, _Place):
                yield from result if result is not None else self._lost(node, place)
                return
            node, place = parent, result

    def _lost(self, node: Node, place: _Place) -> Iterator[Event]:
        if place.pointer:
            yield Event(node, place.bits)

    def in_paren_expr(self, parent: Node, node: Node, place: _Place) -> _Place:
        return place

    def in_unexposed_expr(self, parent: Node, node: Node, place: _Place) -> _Place:
        if not place.pointer and node.type.is_array and parent.type.is_pointer:
            return replace(place, pointer=True)
        return place

    def in_member_ref_expr(self, parent: Node, node: Node, place: _Place) -> _Place | list[Event] | None:
        if _is_read(node, place):
            return []
        field = parent.field
        if field is None or field.offset is None or not (field.is_bitfield or field.type.is_complete):
            return None
        return _Place(place.offset + field.offset, field.bits, False)

    def in_array_subscript_expr(self, parent: Node, node: Node, place: _Place) -> _Place | list[Event]:
        if node is not parent.children[0] or _is_read(node, place):
            return []
        index, size = constant(parent.children[1]), 8 * parent.type.size
        if index is None or index < 0 or not parent.type.is_complete:
            return replace(place, pointer=False)
        return _Place(place.offset + index * size, size, False)

    def in_unary_operator(self, parent: Node, node: Node, place: _Place) -> _Place | list[Event] | None:
        if parent.operator == "&" and not place.pointer:
            return replace(place, pointer=True)
        if parent.operator == "*" and place.pointer:
            return replace(place, pointer=False)
        if "++" in parent.operator or "--" in parent.operator:
            return [Event(parent, place.bits)]
        return None if parent.operator == "&" else []

    def in_cstyle_cast_expr(self, parent: Node, node: Node, place: _Place) -> _Place | None:
        return place if place.pointer and parent.type.is_pointer else None

    def in_binary_operator(self, parent: Node, node: Node, place: _Place) -> list[Event] | None:
        if parent.operator == "=" and node is parent.children[0]:
            return [Event(parent, place.bits)]
        return [] if parent.operator in ("==", "!=", "&&", "||") else None

    def in_compound_assignment_operator(self, parent: Node, node: Node, place: _Place) -> list[Event] | None:
        return [Event(parent, place.bits)] if node is parent.children[0] else None

    def in_if_stmt(self, parent: Node, node: Node, place: _Place) -> list[Event]:
        return []

    def in_conditional_operator(self, parent: Node, node: Node, place: _Place) -> list[Event] | None:
        return [] if node is parent.children[0] else None

    def in_return_stmt(self, parent: Node, node: Node, place: _Place) -> list[Event]:
        return [Event(parent, place.bits, returned=True)] if place.pointer else []

    def in_var_decl(self, parent: Node, node: Node, place: _Place) -> list[Event] | None:
        function = parent.function
        if not place.pointer or not parent.type.is_pointer or function is None or self.depth > _DEPTH:
            return None
        self.depth += 1
        found = list(self.variable(function, parent, place, {}))
        self.depth -= 1
        return found

    def in_call_expr(self, parent: Node, node: Node, place: _Place) -> list[Event] | None:
        number = next((i for i, a in enumerate(parent.arguments) if a is node), None)
        if number is None:
            return []
        callee = parent.callee
        name, does = parent.method or parent.name, parent.helper
        if does is not None and (events := self._by_helper(parent, does, number, place)) is not None:
            return events
        if name == "__builtin_expect" or not place.pointer or (name in _COPIES and number > 0):
            return []
        function = self._definition(callee) if callee is not None else None
        return self._called(parent, function, number, place) if function else None

    def _by_helper(self, call: Node, does: Helper, number: int, place: _Place) -> list[Event] | None:
        """What a helper does with an argument; None where it may write all of it."""
        role, name = does.role(number), call.method or call.name
        if role is Role.KEY_ITSELF or (role.is_read and place.pointer):
            return [self._escape(call, name, place, does.size_of(number), key=role in (Role.KEY, Role.KEY_ITSELF))]
        if role is Role.TEXT_WRITTEN and place.pointer:
            return [Event(call, text=place.bits)]
        if role is Role.RELEASED and place.pointer:
            return [Event(call, place.bits, name)] if name.endswith("submit") else []
        return [] if role.is_probed else None

    def _definition(self, callee: Node) -> Node | None:
        """The body of a called function, be it in a header outside of the run."""
        if callee.decl not in self.functions:
            definition = callee.definition
            if definition is None or definition.kind != "FUNCTION_DECL":
                return None
            self.functions[callee.decl] = definition
        return self.functions[callee.decl]

    def _escape(self, call: Node, name: str, place: _Place, size_argument: int | None, *, key: bool) -> Event:
        if size_argument is None or size_argument >= len(call.arguments):
            return Event(call, place.bits, name, key=key)
        size = constant(call.arguments[size_argument])
        bits = place.bits if size is None else place.bits & span(place.offset, 8 * size)
        return Event(call, bits, name, exact=size is not None, key=key)

    def _called(self, call: Node, function: Node, number: int, place: _Place) -> list[Event] | None:
        """What a function of the run does with an address that it is given, as if done at the call."""
        parameters = function.parameters
        if number >= len(parameters) or self.depth > _DEPTH:
            return None
        self.depth += 1
        done = self.variable(function, parameters[number], place, _given(call, function))
        # What it returns may be written through by whoever gets it.
        found = [replace(event, at=call, returned=False) for event in done]
        self.depth -= 1
        return found


def constant(node: Node) -> int | None:
    """The value of an integer literal or a sizeof; None for all else."""
    node = node.uncast
    if node.kind == "INTEGER_LITERAL":
        try:
            return int(node.text.rstrip(b"uUlL"), 0)
        except ValueError:
            return None
    if node.kind == "CXX_UNARY_EXPR" and node.children and node.text.startswith(b"sizeof"):
        type_ = node.children[0].type
        return type_.size if type_.is_complete else None
    return None


def _is_read(node: Node, place: _Place) -> bool:
    """Whether a pointer in the object is followed: what it leads to is other memory."""
    return not place.pointer and node.type.is_pointer


def _unevaluated(node: Node) -> bool:
    return any(n.kind == "CXX_UNARY_EXPR" for n in node.ancestors)
