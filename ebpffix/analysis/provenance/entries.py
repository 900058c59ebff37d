"""Which entry of which map a pointer is: by which lookups it was got, and by which way from each.

    Entries.of(used, pointer) -> list[Way] | None

A way leads through the functions that the entry comes by: one that looks it up and returns it, one that hands it on as
an argument. Each is a `Leg`. What a function is given is known only where all that call it can be seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from ebpffix.analysis.flow import Flow, Step, same_expression
from ebpffix.analysis.programs import program_of
from ebpffix.analysis.provenance.tracer import Tracer
from ebpffix.fix import BCC
from ebpffix.frontend import MapCall, Node

LOOKUPS = frozenset(("lookup", "lookup_or_init", "lookup_or_try_init"))
_DEPTH = 4  # functions that an entry is followed through, up or down
_MOST = 32  # ways


@dataclass(frozen=True)
class Name:
    """What an operation is given for a map or for the address of a key, as a function of a way has it; `itself` says
    that it is the key, and the operation's function got a copy of it."""

    node: Node
    itself: bool = False

    def is_same(self, other: Name) -> bool:
        """Whether both name the same, as long as nothing changes what they are made of: `&key` and `key` itself do."""
        one, two = self._named, other._named
        return one[1] == two[1] and same_expression(one[0], two[0])

    @property
    def _named(self) -> tuple[Node, bool]:
        """What is named, and whether that is the thing itself, not a pointer to it."""
        inner = self.node.uncast if self.itself else self.node.address_of
        return (inner, True) if inner is not None else (self.node.uncast, False)


@dataclass(frozen=True)
class Leg:
    """The part of a way in one function, from the step `start` to the step `end`.

    `given` is the call at the start that gives the entry, None where the function is handed it; `used` the call or the
    return at the end. `pointer` is the variable that holds the entry (a `Node.decl`, 0 for none), `others` are the
    other steps that may give it its value at the end. `checked`: every path from start to end finds it not NULL.
    """

    flow: Flow
    start: Step
    end: Step
    given: Node | None
    used: Node
    pointer: int
    others: frozenset[Step]
    checked: bool

    @property
    def between(self) -> set[Step]:
        """The steps that can run after the start and before the end."""
        return self.flow.between(self.start, self.end, self.others)

    @property
    def hands_back(self) -> bool:
        """Whether its function returns the entry."""
        return self.used.kind == "RETURN_STMT"

    @property
    def calls(self) -> tuple[Node, ...]:
        """What stands at both ends."""
        return tuple(call for call in (self.given, self.used) if call is not None)


@dataclass(frozen=True)
class Way:
    """From a lookup to a use of its entry: `legs` in the order in which they run. Those up to `top` return the entry to
    the next one, those from `top` on hand it to the next one as an argument."""

    lookup: MapCall
    legs: tuple[Leg, ...]
    top: int

    @property
    def checked(self) -> bool:
        """Whether the entry is there: BCC's lookup_or_init leaves the program itself where there is none."""
        return self.lookup.op == "lookup_or_init" or any(leg.checked for leg in self.legs)

    def looked_up(self, node: Node) -> list[Name] | None:
        """What the lookup is given, as the legs up to `top` have it; None where the last one cannot name it."""
        joints = pairwise(self.legs[: self.top + 1])
        return _outward(Name(node), [(inner.flow.function, outer.given) for inner, outer in joints])

    def given(self, node: Node) -> list[Name] | None:
        """What the use is given, as the legs from `top` on have it, the last one first."""
        joints = pairwise(self.legs[: self.top - 1 if self.top else None : -1])
        return _outward(Name(node), [(inner.flow.function, outer.used) for inner, outer in joints])


class Entries:
    """Answers for one unit."""

    def __init__(self, tracer: Tracer) -> None:
        self.unit = tracer.unit
        self._stores = tracer.stores
        self._operations = {id(c.call): c for c in tracer.unit.map_calls}
        self._flows: dict[int, Flow] = {}

    def operation(self, call: Node) -> MapCall | None:
        """The map operation that a CALL_EXPR is."""
        return self._operations.get(id(call))

    def flow(self, function: Node) -> Flow:
        return self._flows.get(id(function)) or self._flows.setdefault(id(function), Flow(function))

    def of(self, used: Node, pointer: Node) -> list[Way] | None:
        """The ways by which a pointer variable may have got its value where the call `used` is made; None if it may be
        something else than an entry, or that cannot be told. A way on which the pointer is NULL and which never comes
        to the call is none."""
        return self._variable(used, pointer, _DEPTH) if used.function is not None else None

    def _variable(self, used: Node, pointer: Node, depth: int) -> list[Way] | None:
        decl, flow = pointer.decl, self.flow(_owner(used))
        step = flow.step(used)
        definitions = flow.definitions(step, decl) if step is not None and not flow.opaque else set()
        if step is None or not definitions or not depth:
            return None
        gates, found = flow.non_null(decl), list[Way]()
        for definition in definitions:
            checked = flow.always_through(definition, step, gates, definitions)
            given = flow.given(definition, decl)
            if given is not None and given.integer == 0 and checked:
                continue  # `v = NULL;` never comes here
            others = frozenset(definitions - {definition})
            leg = Leg(flow, definition, step, given, used, decl, others, checked)
            ways = self._handed(leg, depth) if definition is flow.entry else self._got(leg, depth)
            if ways is None:
                return None
            found += ways
        return found if 0 < len(found) <= _MOST else None

    def _got(self, leg: Leg, depth: int) -> list[Way] | None:
        """The ways by which a call gives an entry."""
        call = leg.given
        if call is None or call.kind != "CALL_EXPR":
            return None
        operation = self.operation(call)
        if operation is not None:
            return [Way(operation, (leg,), 0)] if operation.op in LOOKUPS else None
        callee = call.callee
        function = self._stores.functions.get(callee.decl) if callee is not None else None
        ways = self._returned(function, depth - 1) if function is not None else None
        return [Way(way.lookup, (*way.legs, leg), way.top + 1) for way in ways] if ways is not None else None

    def _returned(self, function: Node, depth: int) -> list[Way] | None:
        """The ways by which a function gets the entry that it returns; `return NULL;` is none."""
        found = list[Way]()
        for statement in function.find("RETURN_STMT") if depth else ():
            value = statement.children[0].uncast if statement.children else None
            step = self.flow(function).step(statement)
            if value is None or step is None:
                return None
            if value.integer == 0:
                continue
            if value.kind == "DECL_REF_EXPR":
                ways = self._variable(statement, value, depth)
            else:
                leg = Leg(self.flow(function), step, step, value, statement, 0, frozenset(), False)
                ways = self._got(leg, depth)
            if ways is None or any(way.top < len(way.legs) - 1 for way in ways):  # what it is handed it hands back
                return None
            found += ways
        return found or None

    def _handed(self, leg: Leg, depth: int) -> list[Way] | None:
        """The ways by which a function is handed an entry: those of all its callers."""
        function, found = leg.flow.function, list[Way]()
        index = function.parameter_index(leg.pointer)
        calls = self._callers(function) if index is not None else None
        for call in calls or ():
            value = call.arguments[index].uncast if index is not None and index < len(call.arguments) else None
            if value is None or value.kind != "DECL_REF_EXPR" or not value.is_local:
                return None
            ways = self._variable(call, value, depth - 1)
            if ways is None:
                return None
            found += [Way(way.lookup, (*way.legs, leg), way.top) for way in ways]
        return found or None

    def _callers(self, function: Node) -> list[Node] | None:
        """The calls of a function; None where it may be called in other ways, or from elsewhere."""
        calls = self._stores.callers.get(function.decl, [])
        places = {(call.path, call.callee.start) for call in calls if call.callee is not None}
        mentioned = {(name.path, name.start) for name in self.unit.mentions(function)}
        is_own = function.is_static or (self.unit.dialect == BCC and program_of(self.unit, function) is None)
        if not is_own or mentioned != places or function.decl in self._stores.tabled:
            return None
        # Of the calls in a macro's body one may stand for several.
        are_written = all(call.text.startswith(function.name.encode()) and call.function is not None for call in calls)
        return calls if are_written else None


def _owner(node: Node) -> Node:
    assert node.function is not None
    return node.function


def _outward(name: Name, calls: Iterable[tuple[Node, Node | None]]) -> list[Name] | None:
    """A name as the function of each of these calls has it, each with the function that it calls, innermost first."""
    names = [name]
    for function, call in calls:
        outer = _argument(names[-1], function, call) if call is not None else None
        if outer is None:
            return None
        names.append(outer)
    return names


def _argument(name: Name, function: Node, call: Node) -> Name | None:
    """What a function calls so, as its caller calls it; None where the caller has no name for it."""
    if not any(n.is_local for n in name.node.find("DECL_REF_EXPR")):
        return name
    address = None if name.itself else name.node.address_of
    local = address or name.node.uncast
    index = function.parameter_index(local.decl)
    if local.kind != "DECL_REF_EXPR" or index is None or index >= len(call.arguments):
        return None
    argument, is_key = call.arguments[index], name.itself or address is not None
    given, wanted = argument.bare, function.parameters[index].type
    if is_key and (given.kind == "CSTYLE_CAST_EXPR" or given.type.canonical.spelling != wanted.canonical.spelling):
        return None  # the bytes may be others
    return Name(argument, is_key)
