"""What calls hand on: the results of helpers and functions, and what a function's parameters are given."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from ebpffix.analysis.programs import context
from ebpffix.analysis.provenance.attached import Attached
from ebpffix.analysis.provenance.origin import Kind, Link, Origin, Space, Ways, join, own, unknown
from ebpffix.analysis.provenance.shape import short
from ebpffix.analysis.provenance.stores import HANDED_ON, callback
from ebpffix.fix import BCC
from ebpffix.frontend import Node
from ebpffix.kernel.helpers import Returns, helper, method

if TYPE_CHECKING:
    from ebpffix.analysis.provenance.tracer import Tracer

_OBJECTS = (Returns.OBJECT, Returns.OBJECT_OR_NULL, Returns.REFERENCE_OR_NULL)
# Functions of the kernel that are no helpers: what gives a part of a dynptr, and what gives a typed object.
_SLICES = frozenset(("bpf_dynptr_slice", "bpf_dynptr_slice_rdwr"))
_TYPED = re.compile(
    r"bpf_(?:task|cgroup|cpumask)_(?:from_\w+|acquire|ancestor|create)\Z|bpf_obj_new\w*\Z|bpf_rdonly_cast\Z"
)
# A structure of the kernel as the one that it is the beginning, or a part, of.
_BACK = re.compile(r"inet_sk|inet_csk|tcp_sk|udp_sk|unix_sk|raw_sk|inet_reqsk|inet_twsk|inet6_sk|ipv6_sk|TCP_SKB_CB")


class Calls:
    """The calls of one unit."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer, self.unit, self.stores = tracer, tracer.unit, tracer.stores

    def result(self, node: Node, depth: int) -> Ways:
        """Whose memory it is that a call returns."""
        callee, name = node.callee, node.name
        is_method = callee is not None and callee.kind == "MEMBER_REF_EXPR"
        does = method(callee.name) if callee is not None and is_method else helper(name)
        returns = does.returns if does is not None else None
        if returns is not None and returns.is_map_value:
            return self._values(next((c.map for c in self.unit.map_calls if c.call is node), None), depth)
        if returns in (Returns.RESERVED_OR_NULL, Returns.MEMORY_OR_NULL) or name in _SLICES:
            return own(Space.RINGBUF, "the ring buffer")
        if name == "bpf_get_current_task":
            return (Origin(Space.KERNEL, (Link(Kind.HELPER, name),), tracked=self.unit.dialect == BCC),)
        if name == "bpf_task_pt_regs":
            return (Origin(Space.KERNEL, (Link(Kind.REGISTERS, f"`{name}`"),), trusted=True),)
        if returns in _OBJECTS or _TYPED.match(name):
            return (Origin(Space.KERNEL, (Link(Kind.HELPER, name),), trusted=True),)
        if name in HANDED_ON and node.arguments:
            return self.tracer.value(node.arguments[0], depth)
        function = self.stores.functions.get(callee.decl) if callee is not None else None
        if function is not None:
            return self.returned(function, depth)
        if _BACK.fullmatch(name) and node.arguments:
            return self.tracer.value(node.arguments[0], depth)
        if self.unit.dialect == BCC and node.type.is_pointer and node.arguments and name not in self.unit.made_up:
            given = self.tracer.value(node.arguments[0], depth)
            if given and all(way.space is Space.KERNEL and not way.trusted for way in given):
                return (Origin(Space.KERNEL, (Link(Kind.HEADER, name),)),)
        return unknown(f"what `{name or short(node)}` returns")

    def _values(self, of: Node | None, depth: int) -> Ways:
        """The values of the map that an expression stands for; of a map that is not known without it."""
        maps = self.tracer.maps.named(of, depth)
        if maps is None:
            return own(Space.MAP_VALUE, "a map's value")
        return join(own(Space.MAP_VALUE, f"map `{self.tracer.maps.name(m)}`", m) for m in sorted(maps))

    def returned(self, function: Node, depth: int) -> Ways:
        """What a function of the program returns."""

        def find() -> Ways:
            values = [r.children[0] for r in function.find("RETURN_STMT") if r.children]
            return tuple(
                way.after(Kind.RETURNED, function.name) for way in join(self.tracer.value(v, depth - 1) for v in values)
            )

        return self.tracer.settled(("result", function.decl), find)

    def parameter(self, decl: int, target: Node, function: Node, depth: int) -> Ways:
        """What a parameter of a function is given: by the kernel where it is a program, and by all that call it."""
        parameters = function.parameters
        index = next((i for i, p in enumerate(parameters) if p.decl == decl), -1)
        program = self.tracer.attached(function)
        found: list[Ways] = []
        if program is not None:
            found.append(self._of_program(program, index, parameters, target))
        calls = self.stores.callers.get(function.decl, [])
        if program is None or calls:
            found += [self._from_call(call, index, function, depth) for call in calls]
        called = {(call.path, call.callee.start) for call in calls if call.callee is not None}
        for mention in self.unit.mentions(function):
            if (mention.path, mention.start) not in called:
                found.append(self._from_callback(mention, index, function, depth))
        if function.decl in self.stores.tabled:
            found.append(unknown(f"`{function.name}` is called through a pointer"))
        if not found and index == 0 and context(function) and not function.is_static:
            found.append(own(Space.CTX, "the context", function.decl))
        if not found:
            return unknown(f"nothing is seen to call `{function.name}`")
        return join(found)

    def _of_program(self, program: Attached, index: int, parameters: list[Node], target: Node) -> Ways:
        if index == 0:
            return own(Space.CTX, "the context", program.function.decl)
        if program.head:
            return unknown(f"what `{program.head}` makes `{target.name}`")
        return self.tracer.given.parameter(program, index - 1, target.type, parameters[index].text, f"`{target.name}`")

    def _from_call(self, call: Node, index: int, function: Node, depth: int) -> Ways:
        if len(call.arguments) <= index:
            return unknown(f"`{function.name}` is called with fewer arguments")
        argument, caller = call.arguments[index], call.function
        found = self.tracer.value(argument, depth - 1)
        where = f" by `{caller.name.removeprefix('____')}`" if caller is not None else ""
        return tuple(way.after(Kind.GIVEN, f"{short(argument)}") if where else way for way in found)

    def _from_callback(self, mention: Node, index: int, function: Node, depth: int) -> Ways:
        call = mention.outer
        while call is not None and call.kind == "CSTYLE_CAST_EXPR":
            call = call.outer
        known = callback(call) if call is not None and call.kind == "CALL_EXPR" else None
        if call is None or known is None:
            if call is not None and call.name == "bpf_timer_set_callback" and index in (1, 2):
                return own(Space.MAP_VALUE, "a map's value")
            return unknown(f"`{function.name}` is called through a pointer")
        if index == known.parameter and known.given is not None:
            return self.tracer.value(known.given, depth - 1)
        if call.name == "bpf_for_each_map_elem" and index in (1, 2):
            return self._values(call.arguments[0] if index == 2 else None, depth)
        if call.name == "bpf_find_vma":
            return (Origin(Space.KERNEL, (Link(Kind.HELPER, call.name),), trusted=True),)
        return unknown(f"what `{call.name}` gives `{function.name}`")

    def is_reached(self, function: Node) -> bool:
        """Whether a program is a function or may come to it. Where nothing looks like a program, all is reached that
        other files can name."""
        seen, todo = set[int](), [function]
        while todo:
            one = todo.pop()
            if one.decl in seen:
                continue
            seen.add(one.decl)
            if self.tracer.attached(one) is not None or one.decl in self.stores.tabled:
                return True
            if not one.is_static and not self._has_programs:
                return True
            todo += [m.function for m in self.unit.mentions(one) if m.function is not None]
        return False

    @cached_property
    def _has_programs(self) -> bool:
        return any(self.tracer.attached(f) is not None for f in self.stores.functions.values())
