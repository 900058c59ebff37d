"""Following a pointer back to where its address was made."""

from __future__ import annotations

import re
from collections.abc import Callable

from ebpffix.analysis.provenance.attached import Attached, attached
from ebpffix.analysis.provenance.calls import Calls
from ebpffix.analysis.provenance.given import REGISTERS, Given, of_kernel
from ebpffix.analysis.provenance.maps import Maps
from ebpffix.analysis.provenance.memory import Memory
from ebpffix.analysis.provenance.origin import NOTHING, Kind, Link, Origin, Space, Ways, join, own, unknown
from ebpffix.analysis.provenance.shape import is_address, is_null, last_value, short, types, used_as
from ebpffix.analysis.provenance.stores import Stores
from ebpffix.frontend import Node, Type, Unit

DEPTH = 40  # steps of following; deeper is unknown
_ROUNDS = 4  # of a variable that is set from itself
_PARAMETER = re.compile(r"PT_REGS_PARM[1-6]\Z")
_ITSELF = frozenset((Kind.SET, Kind.GIVEN, Kind.RETURNED, Kind.NUMBER))  # links that hand an argument on as it is


class Tracer:
    """Answers for one unit; what it found it keeps."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.stores = Stores(unit)
        self._attached: dict[int, Attached | None] = {}
        self.given = Given(unit)
        self.calls, self.memory, self.maps = Calls(self), Memory(self), Maps(self)
        self._known: dict[object, Ways] = {}
        self._assumed: dict[object, Ways] = {}  # of what is being followed, as far as it is known
        self._leaned_on: set[object] = set()

    def settled(self, key: object, find: Callable[[], Ways]) -> Ways:
        """What `find` gives, once nothing changes any more where it leans on its own result."""
        if key in self._known:
            return self._known[key]
        if key in self._assumed:
            self._leaned_on.add(key)
            return self._assumed[key]
        self._assumed[key] = NOTHING
        found = NOTHING
        for _ in range(_ROUNDS):
            self._leaned_on.discard(key)
            found = find()
            if key not in self._leaned_on or _keys(found) == _keys(self._assumed[key]):
                break
            self._assumed[key] = found
        else:
            found = join((found, unknown("it is set from itself")))
        del self._assumed[key]
        self._leaned_on.discard(key)
        if not self._leaned_on:  # else it may lack what the others bring
            self._known[key] = found
        return found

    def attached(self, function: Node) -> Attached | None:
        """What a function is attached to as a program; None for one that is none."""
        if function.decl not in self._attached:
            self._attached[function.decl] = attached(self.unit, function)
        return self._attached[function.decl]

    # -- expressions

    def value(self, node: Node, depth: int = DEPTH) -> Ways:
        """Whose memory the value of an expression may point at; no way at all for NULL."""
        if depth == 0:
            return unknown("the chain is too long")
        bare = node.uncast
        if bare.lost_member:
            return self._typed(node, self.memory.loaded(bare, depth - 1))
        if bare.is_lost:
            return self._typed(node, self._lost_register(bare, depth - 1))
        if bare.type.is_array:
            return self.place(bare, depth)
        if is_null(bare):
            return NOTHING
        find = getattr(self, "_" + bare.kind.lower(), None)
        found: Ways = find(bare, depth - 1) if find else unknown(f"`{short(bare)}`")
        if bare.operator == "&" and bare.kind == "UNARY_OPERATOR":
            return found  # what a member is says nothing of where the structure around it lies
        return self._typed(node, found)

    def _typed(self, node: Node, found: Ways) -> Ways:
        """What was not found out, the type may tell: a structure of the kernel's own lies in the kernel."""
        if any(way.may_be_typed for way in found):
            for type_ in types(node):
                found = self.typed_by(type_, found)
        return found

    def typed_by(self, type_: Type, found: Ways) -> Ways:
        """Ways, where those that are not known are the kernel's if the type is one of its own structures."""
        name = of_kernel(self.unit, type_)
        if not name or name in REGISTERS:
            return found
        return join([tuple(_as_kernel(way, name) if way.may_be_typed else way for way in found)])

    def place(self, node: Node, depth: int = DEPTH) -> Ways:
        """In whose memory an lvalue may lie."""
        if depth == 0:
            return unknown("the chain is too long")
        node = node.uncast
        if lost := node.lost_member:
            base, arrow, _ = lost
            return self.value(base, depth - 1) if arrow else self.place(base, depth - 1)
        if node.is_lost:
            return unknown(f"`{short(node)}` was not understood")
        if node.kind == "STRING_LITERAL":
            return own(Space.GLOBAL, "a string")
        if node.kind == "DECL_REF_EXPR":
            target = node.declaration
            if target is None or target.kind not in ("VAR_DECL", "PARM_DECL"):
                return unknown(f"`{node.name}`")
            return own(Space.STACK if node.is_local else Space.GLOBAL, f"`{node.name}`", node.decl)
        if node.kind == "MEMBER_REF_EXPR" and node.children:
            base = node.children[0]
            return self.value(base, depth - 1) if node.arrow else self.place(base, depth - 1)
        if node.kind == "ARRAY_SUBSCRIPT_EXPR" or (node.kind == "UNARY_OPERATOR" and node.operator == "*"):
            return self.value(node.children[0], depth - 1)
        if node.kind == "StmtExpr" and (last := last_value(node)) is not None:
            return self.place(last, depth - 1)
        if node.kind in ("COMPOUND_LITERAL_EXPR", "CALL_EXPR"):
            return own(Space.STACK, "the stack")
        return unknown(f"`{short(node)}`")

    def _lost_register(self, node: Node, depth: int) -> Ways:
        """What `PT_REGS_PARM1(ctx)` holds where the registers are not declared."""
        number = next(
            (m for m in self.unit.macros_around(node.path, node.start, node.end) if _PARAMETER.match(m.name)), None
        )
        found = []
        for where in self.value(node.children[0], depth) if number is not None else ():
            function = self.stores.functions.get(where.object)
            program = self.attached(function) if where.space is Space.CTX and function is not None else None
            if program is not None and number is not None:
                index = int(number.name.removeprefix("PT_REGS_PARM")[0]) - 1
                found.append(self.given.argument(program, index, used_as(node), f"`{number.name}`"))
        return join(found) or unknown(f"`{short(node)}` was not understood")

    def _unary_operator(self, node: Node, depth: int) -> Ways:
        if node.operator == "&":
            return self.place(node.children[0], depth)
        if node.operator == "*":
            return self.memory.loaded(node, depth)
        if node.operator in ("++", "--", "++post", "--post", "extension"):
            return self.value(node.children[0], depth)
        return unknown(f"`{short(node)}`")

    def _binary_operator(self, node: Node, depth: int) -> Ways:
        left, right = node.children
        if node.operator in ("=", ","):
            return self.value(right, depth)
        if node.operator == "&":
            mask = right.constant
            if mask is not None and (mask < 0 or mask > 0xFFFFFFFF):
                return self.value(left, depth)
        if node.operator not in ("+", "-"):
            return unknown(f"`{short(node)}` is a number")
        if is_address(left) != is_address(right):
            return self.value(left if is_address(left) else right, depth)
        if is_address(left) and is_address(right):
            return unknown(f"`{short(node)}` is a distance")
        if right.constant is not None or right.uncast.type.size < 8:
            return self.value(left, depth)
        if node.operator == "+" and (left.constant is not None or left.uncast.type.size < 8):
            return self.value(right, depth)
        return tuple(way.after(Kind.SUM, short(node)) for way in self.value(left, depth))

    def _compound_assignment_operator(self, node: Node, depth: int) -> Ways:
        return self.value(node.children[0], depth) if node.operator in ("+=", "-=") else unknown(f"`{short(node)}`")

    def _conditional_operator(self, node: Node, depth: int) -> Ways:
        return join(self.value(c, depth) for c in node.children[1:])

    def _unexposed_expr(self, node: Node, depth: int) -> Ways:
        """`a ?: b`, which libclang shows with four children."""
        if len(node.children) == 4:
            return join((self.value(node.children[0], depth), self.value(node.children[-1], depth)))
        return unknown(f"`{short(node)}`")

    def _stmtexpr(self, node: Node, depth: int) -> Ways:
        last = last_value(node)
        return self.value(last, depth) if last is not None else unknown(f"`{short(node)}`")

    def _member_ref_expr(self, node: Node, depth: int) -> Ways:
        return self.memory.loaded(node, depth)

    def _array_subscript_expr(self, node: Node, depth: int) -> Ways:
        return self.memory.loaded(node, depth)

    def _call_expr(self, node: Node, depth: int) -> Ways:
        return self.calls.result(node, depth)

    # -- variables

    def _decl_ref_expr(self, node: Node, depth: int) -> Ways:
        target = node.declaration
        if target is None or target.kind not in ("VAR_DECL", "PARM_DECL"):
            return unknown(f"`{node.name}`")
        if not node.is_local:
            return self.memory.stored_in(node.decl, (), target.type, depth)
        function = self.stores.homes.get(node.decl)
        if function is None:
            return unknown(f"`{node.name}`")
        return self.settled(("variable", node.decl), lambda: self._variable(node, target, function, depth))

    def _variable(self, node: Node, target: Node, function: Node, depth: int) -> Ways:
        found = [self.memory.brought(s, (), target.type, depth) for s in self.stores.to_variable(node.decl, function)]
        if target.kind == "PARM_DECL":
            found.append(self.calls.parameter(node.decl, target, function, depth))
        result = join(found)
        if not target.type.is_pointer:
            result = join([tuple(way.untracked for way in result)])
        return result


def _keys(ways: Ways) -> set[tuple[object, ...]]:
    return {(w.space, w.trusted, w.tracked, w.object, w.is_certain) for w in ways}


def _as_kernel(way: Origin, structure: str) -> Origin:
    """A way that is not known, of a pointer to a structure of the kernel's own: certain of what a kernel function got,
    else likely."""
    end, is_itself = way.chain[-1], all(link.kind in _ITSELF for link in way.chain)
    last = Link(Kind.ARGUMENT, end.what) if is_itself else Link(Kind.TYPE, f"struct {structure}")
    return Origin(Space.KERNEL, (*way.chain[:-1], last))
