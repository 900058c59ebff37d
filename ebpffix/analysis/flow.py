"""Order inside one function: which steps follow each other, which variables they change, and what they let out.

A `Flow` is the control flow of one function as a graph of steps. A step is an expression or a declaration that is
evaluated as a whole; conditions are split at `&&`, `||` and `!`, so that an edge says which operand held. if, loops,
switch with fall through, break, continue, return, goto and labels are edges like any other, so that what stands between
two steps includes what a jump backward brings there. Where the order cannot be known (a computed goto, asm goto) the
flow is `opaque`, and a transform should keep away from the function. Inside a step the order is not known.

All questions are answered on the safe side: more paths than there are, more writes than there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from ebpffix.frontend import Node, Type
from ebpffix.kernel.helpers import Role


@dataclass(eq=False)
class Step:
    """One step: `node` is what it evaluates, None for the entry and for places where paths only meet."""

    node: Node | None
    next: list[Edge] = field(default_factory=list, repr=False)
    before: list[Step] = field(default_factory=list, repr=False)


@dataclass(frozen=True, eq=False)
class Edge:
    """The way to the step `to`; taken only when the value of `condition`, if there is one, is `holds`."""

    to: Step
    condition: Node | None = None
    holds: bool = True


class Effect(Enum):
    """What is done with memory."""

    READ = "read"
    WRITE = "write"
    PASS = "pass"  # its address is an argument of a call
    ESCAPE = "escape"  # its address is kept somewhere, returned, or computed with


@dataclass(frozen=True)
class Use:
    """One mention of a variable.

    `through` says whose memory it is about: False for the variable itself (with its members and elements), True for
    what the pointer in it points at. `target` is the widest expression of that memory (`v->a.b[1]` of `v`); for PASS
    `call` is the call and `argument` its argument.
    """

    node: Node
    effect: Effect
    through: bool
    target: Node
    call: Node | None = None
    argument: Node | None = None

    @property
    def may_write(self) -> bool:
        """Whether the memory may be other afterwards. An address that went to a `const` parameter is only read."""
        if self.effect is Effect.PASS and self.call is not None and self.argument is not None:
            return not _const_parameter(self.call, self.argument)
        return self.effect is not Effect.READ


# A step with open ends: where a path left, and under which condition.
_Loose = tuple[Step, Node | None, bool]


class Flow:
    """The steps of a function definition, from `entry`; `exit` is where all its paths end."""

    def __init__(self, function: Node) -> None:
        self.function = function
        self.entry, self.exit = Step(None), Step(None)
        self.opaque = False
        self._steps: dict[int, Step] = {}
        self._uses: dict[int, list[Use]] | None = None
        builder = _Builder(self)
        ends = builder.statement(function.body, [(self.entry, None, True)]) if function.body is not None else []
        builder.join(ends, self.exit)
        builder.finish()

    # -- steps

    @property
    def steps(self) -> Iterable[Step]:
        """The steps that evaluate something, in source order, those that no path reaches among them."""
        return self._steps.values()

    def step(self, node: Node) -> Step | None:
        """The step in which a node of the function is evaluated; None for one that is part of no step."""
        while id(node) not in self._steps:
            if node.parent is None or node is self.function:
                return None
            node = node.parent
        return self._steps[id(node)]

    def reachable(self, start: Step, avoiding: Collection[Step] = (), shut: Collection[Edge] = ()) -> set[Step]:
        """The steps that can follow `start`, itself only if a path leads back. Paths take no edge of `shut` and end
        at the steps of `avoiding`, which are in the result where they are reached."""
        closed = set(map(id, shut))

        def follow(step: Step) -> list[Step]:
            return [edge.to for edge in step.next if id(edge) not in closed]

        return _closure(follow(start), follow, avoiding)

    def dominates(self, first: Step, second: Step) -> bool:
        """Whether every path from the entry to `second` goes through `first`."""
        return first in (second, self.entry) or second not in self.reachable(self.entry, (first,))

    def between(self, first: Step, second: Step, avoiding: Collection[Step] = ()) -> set[Step]:
        """The steps that can run after `first` and before `second`, on paths that come neither to `first` again nor
        to a step of `avoiding`.

        `second` is among them if a path leads from it to itself past `first`.
        """
        stop = {first, *avoiding} - {second}
        leading = _closure(second.before, lambda step: step.before, stop)
        return self.reachable(first, stop) & leading - stop

    def always_through(
        self, first: Step, second: Step, gates: Collection[Edge], avoiding: Collection[Step] = ()
    ) -> bool:
        """Whether every path from `first` to `second` takes one of the edges `gates`; paths as in `between`."""
        return second not in self.reachable(first, {first, *avoiding} - {second}, gates)

    @cached_property
    def _alive(self) -> set[Step]:
        return {self.entry, *self.reachable(self.entry)}

    @property
    def edges(self) -> Iterator[Edge]:
        return (edge for step in self._alive for edge in step.next)

    def non_null(self, variable: int) -> list[Edge]:
        """The edges that are taken only when the pointer variable (a `Node.decl`) is not NULL."""
        return [e for e in self.edges if e.condition is not None and _says_non_null(e.condition, e.holds, variable)]

    # -- variables

    def uses(self, variable: int) -> list[Use]:
        """The mentions of a variable (a `Node.decl`) in the function, in source order; its declaration counts as a
        write. Operands of sizeof are left out: they are not evaluated."""
        if self._uses is None:
            self._uses = {}
            for step in self._steps.values():
                for node in _evaluated(step.node):
                    if node.kind == "DECL_REF_EXPR":
                        self._uses.setdefault(node.decl, []).append(use(node))
                    elif node.kind == "VAR_DECL":
                        self._uses.setdefault(node.decl, []).append(Use(node, Effect.WRITE, False, node))
        return self._uses.get(variable, [])

    def changes(self, variable: int, *, through: bool = False) -> list[Use]:
        """The uses that may write the variable itself, or (`through`) what it points at."""
        return [u for u in self.uses(variable) if u.through == through and u.may_write]

    def within(self, uses: Iterable[Use], steps: Collection[Step]) -> list[Use]:
        """Those of `uses` that happen in one of `steps`."""
        return [u for u in uses if self.step(u.node) in steps]

    def definitions(self, at: Step, variable: int) -> set[Step]:
        """The steps whose write of the variable can be the last before `at`; the entry among them if there can be
        none, as for a parameter."""
        writes = {s for u in self.changes(variable) if (s := self.step(u.node)) is not None}
        found = _closure(list(at.before), lambda s: s.before, writes)
        return found & (writes | {self.entry}) & self._alive

    def given(self, step: Step, variable: int) -> Node | None:
        """The expression that a step gives to a variable, without casts, where the step does nothing else (it may
        compare what it gave, as conditions do). None for all other steps."""
        node = step.node.bare if step.node is not None else None
        if node is not None and node.kind == "BINARY_OPERATOR" and node.operator in ("==", "!="):
            node = next((c.bare for c in node.children if c.bare.kind == "BINARY_OPERATOR"), None)
        if node is None:
            return None
        set_to = node.assignment
        return set_to[1].uncast if set_to is not None and _is_variable(set_to[0], variable) else None

    def may_change(
        self, pointer: Node, steps: Collection[Step], only_reads: Callable[[Use], bool], *, apart: int = 0
    ) -> bool:
        """Whether a pointer expression such as `&key`, `&keys[i]` or `&packet->address`, or the memory that it points
        at, may be other after `steps`.

        `only_reads` says which uses read, though they look like writes. `apart` is a pointer variable to other memory:
        what is written through it counts only where it has the type of what `pointer` points at.
        """
        pointer = pointer.uncast
        names = list(pointer.find("DECL_REF_EXPR"))
        is_indirect = sum(map(_is_indirect, pointer.walk())) + (
            pointer.kind == "DECL_REF_EXPR" and pointer.type.is_pointer
        )
        if is_indirect > 1 or not all(_is_constant(n) or n.is_local for n in names):
            return True
        for name in names:
            changes = [u for u in self.changes(name.decl) if not only_reads(u)]
            if any(u.effect is Effect.ESCAPE or self.step(u.node) in steps for u in changes):
                return True
        return is_indirect == 1 and self._memory_changes(pointer.type.pointee, steps, only_reads, apart)

    def _memory_changes(
        self, type_: Type, steps: Collection[Step], only_reads: Callable[[Use], bool], apart: int
    ) -> bool:
        """Whether memory behind some pointer may be written: through any other, or in a variable whose address is
        known elsewhere."""
        kind = type_.canonical.spelling
        self.uses(0)
        for use in (u for of_one in (self._uses or {}).values() for u in of_one):
            if not use.may_write or self.step(use.node) not in steps or only_reads(use):
                continue
            decl = use.node.decl
            if decl == apart and use.through and use.effect is Effect.WRITE:
                if use.target.type.canonical.spelling == kind:
                    return True
            elif use.through or any(u.effect is Effect.ESCAPE for u in self.changes(decl)):
                return True
        return False


def _closure(start: Iterable[Step], follow: Callable[[Step], Iterable[Step]], stop: Collection[Step]) -> set[Step]:
    """All that can be reached from the steps of `start`, them among it, by `follow`; not past a step of `stop`."""
    seen: set[Step] = set()
    todo = list(start)
    while todo:
        step = todo.pop()
        if step not in seen:
            seen.add(step)
            if step not in stop:
                todo += follow(step)
    return seen


class _Builder:
    """Turns statements into steps. A method takes the open ends that lead in, and returns those that lead out."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.breaks: list[list[_Loose]] = []
        self.continues: list[list[_Loose]] = []
        self.cases: list[list[_Loose]] = []
        self.labels: dict[str, Step] = {}
        self.gotos: list[tuple[str, list[_Loose]]] = []

    def join(self, ends: Iterable[_Loose], to: Step) -> Step:
        for step, condition, holds in ends:
            step.next.append(Edge(to, condition, holds))
            to.before.append(step)
        return to

    def finish(self) -> None:
        for label, ends in self.gotos:
            if label in self.labels:
                self.join(ends, self.labels[label])
            else:
                self.flow.opaque = True

    def evaluate(self, node: Node, ends: list[_Loose]) -> list[_Loose]:
        step = self.join(ends, Step(node))
        self.flow._steps[id(node)] = step
        return [(step, None, True)]

    def statement(self, node: Node, ends: list[_Loose]) -> list[_Loose]:
        special: Callable[[Node, list[_Loose]], list[_Loose]] | None = getattr(self, "on_" + node.kind.lower(), None)
        return special(node, ends) if special else self.evaluate(node, ends)

    def sequence(self, nodes: Iterable[Node], ends: list[_Loose]) -> list[_Loose]:
        for node in nodes:
            ends = self.statement(node, ends)
        return ends

    def condition(self, node: Node, ends: list[_Loose]) -> tuple[list[_Loose], list[_Loose]]:
        """The open ends where a condition holds, and where it does not."""
        bare = node.bare
        if bare.kind == "BINARY_OPERATOR" and bare.operator in ("&&", "||"):
            left, right = bare.children
            yes, no = self.condition(left, ends)
            if bare.operator == "&&":
                both, not_right = self.condition(right, yes)
                return both, no + not_right
            right_yes, neither = self.condition(right, no)
            return yes + right_yes, neither
        if bare.kind == "UNARY_OPERATOR" and bare.operator == "!":
            yes, no = self.condition(bare.children[0], ends)
            return no, yes
        if bare.kind == "CALL_EXPR" and bare.name == "__builtin_expect" and len(bare.arguments) == 2:
            return self.condition(bare.arguments[0], ends)
        ((step, _, _),) = self.evaluate(node, ends)
        constant = bare.integer
        return [(step, node, True)] if constant != 0 else [], [(step, node, False)] if not constant else []

    # -- by kind

    def on_compound_stmt(self, node: Node, ends: list[_Loose]) -> list[_Loose]:
        return self.sequence(node.children, ends)

    on_decl_stmt = on_compound_stmt
    on_unexposed_stmt = on_compound_stmt  # a statement with an attribute, such as the pragma that unrolls a loop

    def on_null_stmt(self, node: Node, ends: list[_Loose]) -> list[_Loose]:
        return ends

    def on_if_stmt(self, node: Node, ends: list[_Loose]) -> list[_Loose]:
        condition, *branches = node.children
        yes, no = self.condition(condition, ends)
        out = self.statement(branches[0], yes) if branches else yes
        return out + (self.statement(branches[1], no) if len(branches) > 1 else no)

    def on_while_stmt(self, node: Node, ends: list[_Loose]) -> list[_Loose]:
        return self.loop([], node.children[:-1], [], node.children[-1], ends)

    def on_for_stmt(self, node: Node, ends: list[_Loose]) -> list[_Loose]:
        *head, body = node.children
        parts = _for_parts(node, head)
        if parts is None:
            self.flow.opaque = True
            return ends
        return self.loop(*parts, body, ends)

    def loop(
        self, first: list[Node], test: list[Node], last: list[Node], body: Node, ends: list[_Loose]
    ) -> list[_Loose]:
        head = self.join(self.sequence(first, ends), Step(None))
        yes, no = self.condition(test[0], [(head, None, True)]) if test else ([(head, None, True)], [])
        out, again = self.inside(body, yes)
        self.join(self.sequence(last, again), head)
        return no + out

    def on_do_stmt(self, node: Node, ends: list[_Loose]) -> list[_Loose]:
        head = self.join(ends, Step(None))
        out, again = self.inside(node.children[0], [(head, None, True)])
        yes, no = self.condition(node.children[1], again)
        self.join(yes, head)
        return no + out

    def inside(self, body: Node, ends: list[_Loose]) -> tuple[list[_Loose], list[_Loose]]:
        """A loop's body: the open ends that leave the loop, and those that go on with it."""
        self.breaks.append([])
        self.continues.append([])
        again = self.statement(body, ends)
        return self.breaks.pop(), again + self.continues.pop()

    def on_switch_stmt(self, node: Node, ends: list[_Loose]) -> list[_Loose]:
        chosen = self.evaluate(node.children[0], ends)
        self.breaks.append([])
        self.cases.append(chosen)
        out = self.statement(node.children[-1], [])
        self.cases.pop()
        # Also when there is a default: one path too many.
        return out + self.breaks.pop() + chosen

    def on_case_stmt(self, node: Node, ends: list[_Loose]) -> list[_Loose]:
        return self.statement(node.children[-1], ends + self.cases[-1])

    on_default_stmt = on_case_stmt

    def on_label_stmt(self, node: Node, ends: list[_Loose]) -> list[_Loose]:
        label = self.labels[node.name] = self.join(ends, Step(None))
        return self.statement(node.children[-1], [(label, None, True)])

    def on_goto_stmt(self, node: Node, ends: list[_Loose]) -> list[_Loose]:
        self.gotos.append((next((c.name for c in node.children if c.kind == "LABEL_REF"), ""), ends))
        return []

    def on_indirect_goto_stmt(self, node: Node, ends: list[_Loose]) -> list[_Loose]:
        self.flow.opaque = True
        return ends

    def on_asm_stmt(self, node: Node, ends: list[_Loose]) -> list[_Loose]:
        if any(c.kind == "LABEL_REF" for c in node.children) or re.search(rb"\bgoto\b", node.text.partition(b"(")[0]):
            self.flow.opaque = True
        return self.evaluate(node, ends)

    def on_break_stmt(self, node: Node, ends: list[_Loose]) -> list[_Loose]:
        self.breaks[-1].extend(ends)
        return []

    def on_continue_stmt(self, node: Node, ends: list[_Loose]) -> list[_Loose]:
        self.continues[-1].extend(ends)
        return []

    def on_return_stmt(self, node: Node, ends: list[_Loose]) -> list[_Loose]:
        self.join(self.evaluate(node, ends), self.flow.exit)
        return []


def _for_parts(loop: Node, head: list[Node]) -> tuple[list[Node], list[Node], list[Node]] | None:
    """What stands in the three places of a for loop's head; None where a macro's body hides the semicolons."""
    if len(head) == 3:
        return head[:1], head[1:2], head[2:]
    body = loop.children[-1]
    source = loop.unit.sources.get(loop.path)
    opening = re.compile(rb"for\s*\(").match(source.code, loop.start) if source else None
    if source is None or opening is None or body.path != loop.path:
        return None
    depth, marks = 0, []
    for token in re.compile(rb"[(){};]").finditer(source.code, opening.end(), body.start):
        if token[0] in (b"(", b"{"):
            depth += 1
        elif token[0] in (b")", b"}"):
            depth -= 1
        elif depth == 0:
            marks.append(token.start())
    if len(marks) != 2:
        return None
    parts: tuple[list[Node], list[Node], list[Node]] = ([], [], [])
    for node in head:
        # A declaration ends behind its semicolon.
        parts[sum(mark < node.start for mark in marks)].append(node)
    return parts


def _evaluated(node: Node | None) -> Iterator[Node]:
    """A node and all below it that is evaluated: not the operand of sizeof."""
    if node is None or node.kind == "CXX_UNARY_EXPR":
        return
    yield node
    for child in node.children:
        yield from _evaluated(child)


def _is_name(node: Node, variable: int) -> bool:
    return node.kind == "DECL_REF_EXPR" and node.decl == variable


def _is_variable(node: Node, variable: int) -> bool:
    return (node.kind == "VAR_DECL" and node.decl == variable) or _is_name(node, variable)


def _is_indirect(node: Node) -> bool:
    """Whether an expression stands for memory behind a pointer."""
    if node.kind == "ARRAY_SUBSCRIPT_EXPR":
        return node.children[0].bare.type.is_pointer
    return node.arrow or (node.kind == "UNARY_OPERATOR" and node.operator == "*")


def _is_constant(name: Node) -> bool:
    target = name.declaration
    return target is not None and (target.kind == "ENUM_CONSTANT_DECL" or target.type.is_const)


def _says_non_null(condition: Node, holds: bool, variable: int) -> bool:
    node = condition.uncast
    if node.kind == "BINARY_OPERATOR" and node.operator in ("==", "!="):
        sides = [child.uncast for child in node.children]
        if any(side.kind == "INTEGER_LITERAL" for side in sides):
            return holds == (node.operator == "!=") and any(_is_value(side, variable) for side in sides)
        return False
    return holds and _is_value(node, variable)


def _is_value(node: Node, variable: int) -> bool:
    """Whether an expression has the variable's value: its name, or an assignment to it."""
    if node.kind == "BINARY_OPERATOR" and node.operator == "=":
        return _is_name(node.children[0].bare, variable)
    return _is_name(node, variable)


# -- uses

_TESTS = frozenset("== != < > <= >= && ||".split())


def use(mention: Node) -> Use:
    """What a DECL_REF_EXPR does with its variable: `v->n++` writes what v points at, `f(&key)` passes key itself."""
    node = target = mention
    through = address = False  # `node` is the memory, or its address
    while True:
        address = address or node.type.is_array
        parent = node.outer
        if parent is None:
            return Use(mention, Effect.ESCAPE, through, target)
        child = _child_towards(parent, node)
        if address:
            if _is_deref(parent, child):
                address, node = False, parent
                target = parent
            elif _is_same_object(parent):
                node = parent
            elif parent.kind == "CALL_EXPR":
                effect = Effect.READ if child is parent.children[0] else Effect.PASS
                return Use(mention, effect, through, target, parent, child)
            else:
                return Use(mention, Effect.READ if _only_tests(parent, child) else Effect.ESCAPE, through, target)
        elif parent.kind == "MEMBER_REF_EXPR" and not parent.arrow:
            node = target = parent
        elif parent.kind == "UNARY_OPERATOR" and parent.operator == "&":
            address, node = True, parent
        elif _is_written(parent, child):
            return Use(mention, Effect.WRITE, through, target)
        elif node is mention and node.type.is_pointer:
            through = address = True  # the value of a pointer is the address of what it points at
        else:
            return Use(mention, Effect.READ, through, target)


def _child_towards(parent: Node, node: Node) -> Node:
    while node.parent is not None and node.parent is not parent:
        node = node.parent
    return node


def _is_deref(parent: Node, child: Node) -> bool:
    if parent.kind == "UNARY_OPERATOR":
        return parent.operator == "*"
    if parent.kind == "ARRAY_SUBSCRIPT_EXPR":
        return child is parent.children[0]
    return parent.kind == "MEMBER_REF_EXPR" and parent.arrow


def _is_same_object(parent: Node) -> bool:
    """Whether an expression over an address still points into the same object: `p + 1`, `(char *)p`, `&array`."""
    if parent.kind == "BINARY_OPERATOR":
        return parent.operator in ("+", "-") and parent.type.is_pointer
    if parent.kind == "UNARY_OPERATOR":
        return parent.operator == "&"
    return parent.kind == "CSTYLE_CAST_EXPR" and parent.type.is_pointer


def _is_written(parent: Node, child: Node) -> bool:
    if parent.kind == "ASM_STMT":
        return True
    if parent.kind in ("BINARY_OPERATOR", "COMPOUND_ASSIGNMENT_OPERATOR"):
        is_assignment = parent.operator.endswith("=") and parent.operator not in _TESTS
        return is_assignment and child is parent.children[0]
    return parent.kind == "UNARY_OPERATOR" and parent.operator in ("++", "--", "++post", "--post")


def _only_tests(parent: Node, child: Node) -> bool:
    """Whether an address is compared, tested or thrown away, and goes nowhere."""
    if parent.kind == "BINARY_OPERATOR":
        return parent.operator in _TESTS
    if parent.kind == "UNARY_OPERATOR":
        return parent.operator == "!"
    if parent.kind == "COMPOUND_STMT":
        return parent.parent is not None and parent.parent.kind != "StmtExpr"
    if parent.kind == "CSTYLE_CAST_EXPR":
        return parent.type.is_void
    if parent.kind == "CONDITIONAL_OPERATOR":
        return child is parent.children[0]
    return parent.kind in ("IF_STMT", "WHILE_STMT", "FOR_STMT", "DO_STMT")


def _const_parameter(call: Node, argument: Node) -> bool:
    """Whether a call takes an argument as a pointer to const, or is known to read only. The map operations are left to
    who asks: a key is read, but a value's address may be the entry's."""
    does = call.helper
    index = next(i for i, a in enumerate(call.arguments) if a is argument)
    if does is not None and Role.READ in does.roles and not does.moves_packets:
        # What it is given beside the memory that it reads says where that goes.
        return does.role(index) in (Role.READ, Role.TEXT, Role.CONTEXT, Role.MAP, Role.OBJECT)
    target, callee = call.declaration, call.callee
    for type_ in (target.type if target else None, callee.type if callee else None):
        parameters = type_.parameters if type_ is not None else None
        if parameters is not None:
            return index < len(parameters) and parameters[index].pointee.is_const
    return False


def same_expression(a: Node, b: Node) -> bool:
    """Whether two expressions are the same by their parts: operators, literals, and what the names refer to.

    False for any that does something (a call, an assignment), for its second value can differ.
    """
    a, b = a.uncast, b.uncast
    if a.kind != b.kind or a.operator != b.operator or len(a.children) != len(b.children):
        return False
    if a.kind in ("DECL_REF_EXPR", "MEMBER_REF_EXPR"):
        if a.decl != b.decl or a.decl == 0:
            return False
    elif a.kind in ("INTEGER_LITERAL", "CHARACTER_LITERAL"):
        return a.text == b.text
    elif a.kind in ("BINARY_OPERATOR", "UNARY_OPERATOR"):
        if a.operator.endswith(("=", "++", "--", "post")) and a.operator not in _TESTS:
            return False
    elif a.kind != "ARRAY_SUBSCRIPT_EXPR":
        return False
    return all(same_expression(x, y) for x, y in zip(a.children, b.children, strict=True))
