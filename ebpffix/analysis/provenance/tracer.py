"""Following a pointer back to where its address was made."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cached_property

from ebpffix.analysis.maps import describe, map_decl
from ebpffix.analysis.programs import context
from ebpffix.analysis.provenance.attached import HOSTS, Attached, attached
from ebpffix.analysis.provenance.given import REGISTERS, Given, of_kernel
from ebpffix.analysis.provenance.origin import Kind, Link, Origin, Space, Ways, join, unknown
from ebpffix.analysis.provenance.stores import CALLBACKS, READ, Path, Store, Stores, field, path_of
from ebpffix.fix import BCC
from ebpffix.frontend import MapCall, Node, Type, Unit
from ebpffix.sources.user_space import squeezed

_DEPTH = 40  # steps of following; deeper is unknown
_ROUNDS = 4  # of a variable that is set from itself
_NOTHING: Ways = ()

_LOOKUP = re.compile(r"bpf_map_lookup_(?:percpu_)?elem\Z|bpf_(?:sk|task|inode|cgrp)_storage_get\Z")
_METHODS = frozenset(("lookup", "lookup_or_init", "lookup_or_try_init", "sk_storage_get", "inode_storage_get"))
_FILLS = frozenset(("update", "insert", "push", "lookup_or_init", "lookup_or_try_init", "get"))
_RINGBUF = frozenset(("bpf_ringbuf_reserve", "ringbuf_reserve", "bpf_dynptr_data", "bpf_dynptr_slice_rdwr"))
_TYPED = re.compile(
    r"bpf_get_current_task_btf\Z|bpf_(?:per|this)_cpu_ptr\Z|bpf_skc_to_|bpf_sk_lookup_\w+\Z|bpf_skc_lookup_\w+\Z"
    r"|bpf_(?:task|cgroup|cpumask|sk)_(?:from_\w+|acquire|ancestor|create|fullsock)\Z|bpf_get_listener_sock\Z"
    r"|bpf_tcp_sock\Z|bpf_kptr_xchg\Z|bpf_sock_from_file\Z|bpf_obj_new\w*\Z|bpf_rdonly_cast\Z"
)
_PARAMETER = re.compile(r"PT_REGS_PARM[1-6]\Z")
_ITSELF = frozenset((Kind.SET, Kind.GIVEN, Kind.RETURNED, Kind.NUMBER))  # links that hand an argument on as it is
_SAME = frozenset(("__builtin_preserve_access_index", "__builtin_expect", "bpf_kptr_deref", "__builtin_assume_aligned"))
_BACK = re.compile(r"inet_sk|inet_csk|tcp_sk|udp_sk|unix_sk|raw_sk|inet_reqsk|inet_twsk|inet6_sk|ipv6_sk|TCP_SKB_CB")


class Tracer:
    """Answers for one unit; what it found it keeps."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.stores = Stores(unit)
        self._attached: dict[int, Attached | None] = {}
        self.given = Given(unit)
        self._known: dict[object, Ways] = {}
        self._assumed: dict[object, Ways] = {}  # of what is being followed, as far as it is known
        self._leaned_on: set[object] = set()

    def _settled(self, key: object, find: Callable[[], Ways]) -> Ways:
        """What `find` gives, once nothing changes any more where it leans on its own result."""
        if key in self._known:
            return self._known[key]
        if key in self._assumed:
            self._leaned_on.add(key)
            return self._assumed[key]
        self._assumed[key] = _NOTHING
        found = _NOTHING
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

    def value(self, node: Node, depth: int = _DEPTH) -> Ways:
        """Whose memory the value of an expression may point at; no way at all for NULL."""
        if depth == 0:
            return unknown("the chain is too long")
        bare = node.uncast
        if bare.lost_member:
            return self._typed(node, self.loaded(bare, depth - 1))
        if bare.is_lost:
            return self._typed(node, self._lost_register(bare, depth - 1))
        if bare.type.is_array:
            return self.place(bare, depth)
        if _is_null(bare):
            return _NOTHING
        find = getattr(self, "_" + bare.kind.lower(), None)
        found: Ways = find(bare, depth - 1) if find else unknown(f"`{_short(bare)}`")
        if bare.operator == "&" and bare.kind == "UNARY_OPERATOR":
            return found  # what a member is says nothing of where the structure around it lies
        return self._typed(node, found)

    def _typed(self, node: Node, found: Ways) -> Ways:
        """What was not found out, the type may tell: a structure of the kernel's own lies in the kernel."""
        if any(way.space is Space.UNKNOWN for way in found):
            for type_ in _types(node):
                found = self._typed_by(type_, found)
        return found

    def place(self, node: Node, depth: int = _DEPTH) -> Ways:
        """In whose memory an lvalue may lie."""
        if depth == 0:
            return unknown("the chain is too long")
        node = node.uncast
        if lost := node.lost_member:
            base, arrow, _ = lost
            return self.value(base, depth - 1) if arrow else self.place(base, depth - 1)
        if node.is_lost:
            return unknown(f"`{_short(node)}` was not understood")
        if node.kind == "STRING_LITERAL":
            return _own(Space.GLOBAL, "a string")
        if node.kind == "DECL_REF_EXPR":
            target = node.declaration
            if target is None or target.kind not in ("VAR_DECL", "PARM_DECL"):
                return unknown(f"`{node.name}`")
            return _own(Space.STACK if node.is_local else Space.GLOBAL, f"`{node.name}`", node.decl)
        if node.kind == "MEMBER_REF_EXPR" and node.children:
            base = node.children[0]
            return self.value(base, depth - 1) if node.arrow else self.place(base, depth - 1)
        if node.kind == "ARRAY_SUBSCRIPT_EXPR" or (node.kind == "UNARY_OPERATOR" and node.operator == "*"):
            return self.value(node.children[0], depth - 1)
        if node.kind == "StmtExpr" and (last := _last(node)) is not None:
            return self.place(last, depth - 1)
        if node.kind in ("COMPOUND_LITERAL_EXPR", "CALL_EXPR"):
            return _own(Space.STACK, "the stack")
        return unknown(f"`{_short(node)}`")

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
                found.append(self.given.argument(program, index, _wanted(node), f"`{number.name}`"))
        return join(found) or unknown(f"`{_short(node)}` was not understood")

    def _unary_operator(self, node: Node, depth: int) -> Ways:
        if node.operator == "&":
            return self.place(node.children[0], depth)
        if node.operator == "*":
            return self.loaded(node, depth)
        if node.operator in ("++", "--", "++post", "--post", "extension"):
            return self.value(node.children[0], depth)
        return unknown(f"`{_short(node)}`")

    def _binary_operator(self, node: Node, depth: int) -> Ways:
        left, right = node.children
        if node.operator in ("=", ","):
            return self.value(right, depth)
        if node.operator == "&":
            mask = right.constant
            if mask is not None and (mask < 0 or mask > 0xFFFFFFFF):
                return self.value(left, depth)
        if node.operator not in ("+", "-"):
            return unknown(f"`{_short(node)}` is a number")
        if _is_address(left) != _is_address(right):
            return self.value(left if _is_address(left) else right, depth)
        if _is_address(left) and _is_address(right):
            return unknown(f"`{_short(node)}` is a distance")
        if right.constant is not None or right.uncast.type.size < 8:
            return self.value(left, depth)
        if node.operator == "+" and (left.constant is not None or left.uncast.type.size < 8):
            return self.value(right, depth)
        return tuple(way.after(Kind.SUM, _short(node)) for way in self.value(left, depth))

    def _compound_assignment_operator(self, node: Node, depth: int) -> Ways:
        return self.value(node.children[0], depth) if node.operator in ("+=", "-=") else unknown(f"`{_short(node)}`")

    def _conditional_operator(self, node: Node, depth: int) -> Ways:
        return join(self.value(c, depth) for c in node.children[1:])

    def _unexposed_expr(self, node: Node, depth: int) -> Ways:
        """`a ?: b`, which libclang shows with four children."""
        if len(node.children) == 4:
            return join((self.value(node.children[0], depth), self.value(node.children[-1], depth)))
        return unknown(f"`{_short(node)}`")

    def _stmtexpr(self, node: Node, depth: int) -> Ways:
        last = _last(node)
        return self.value(last, depth) if last is not None else unknown(f"`{_short(node)}`")

    def _member_ref_expr(self, node: Node, depth: int) -> Ways:
        return self.loaded(node, depth)

    def _array_subscript_expr(self, node: Node, depth: int) -> Ways:
        return self.loaded(node, depth)

    def _call_expr(self, node: Node, depth: int) -> Ways:
        callee, name = node.callee, node.name
        method = callee.name if callee is not None and callee.kind == "MEMBER_REF_EXPR" else ""
        if _LOOKUP.match(name) or method in _METHODS:
            maps = self.maps_of(next((c.map for c in self.unit.map_calls if c.call is node), None), depth)
            if maps is None:
                return _own(Space.MAP_VALUE, "a map's value")
            return join(_own(Space.MAP_VALUE, f"map `{self.map_name(m)}`", m) for m in sorted(maps))
        if name in _RINGBUF or method in _RINGBUF:
            return _own(Space.RINGBUF, "the ring buffer")
        if name == "bpf_get_current_task":
            return (Origin(Space.KERNEL, (Link(Kind.HELPER, name),), tracked=self.unit.dialect == BCC),)
        if name == "bpf_task_pt_regs":
            return (Origin(Space.KERNEL, (Link(Kind.REGISTERS, f"`{name}`"),), trusted=True),)
        if _TYPED.match(name):
            return (Origin(Space.KERNEL, (Link(Kind.HELPER, name),), trusted=True),)
        if name in _SAME and node.arguments:
            return self.value(node.arguments[0], depth)
        function = self.stores.functions.get(callee.decl) if callee is not None else None
        if function is not None:
            return self._returned(function, depth)
        if _BACK.fullmatch(name) and node.arguments:
            return self.value(node.arguments[0], depth)
        if self.unit.dialect == BCC and node.type.is_pointer and node.arguments and name not in self.unit.made_up:
            given = self.value(node.arguments[0], depth)
            if given and all(way.space is Space.KERNEL and not way.trusted for way in given):
                return (Origin(Space.KERNEL, (Link(Kind.HEADER, name),)),)
        return unknown(f"what `{name or _short(node)}` returns")

    def _returned(self, function: Node, depth: int) -> Ways:
        def find() -> Ways:
            values = [r.children[0] for r in function.find("RETURN_STMT") if r.children]
            return tuple(
                way.after(Kind.RETURNED, function.name) for way in join(self.value(v, depth - 1) for v in values)
            )

        return self._settled(("result", function.decl), find)

    # -- variables

    def _decl_ref_expr(self, node: Node, depth: int) -> Ways:
        target = node.declaration
        if target is None or target.kind not in ("VAR_DECL", "PARM_DECL"):
            return unknown(f"`{node.name}`")
        if not node.is_local:
            return self._stored_in(node.decl, (), target.type, depth)
        function = self.stores.homes.get(node.decl)
        if function is None:
            return unknown(f"`{node.name}`")
        return self._settled(("variable", node.decl), lambda: self._variable(node, target, function, depth))

    def _variable(self, node: Node, target: Node, function: Node, depth: int) -> Ways:
        found = [self._from_store(s, (), target.type, depth) for s in self.stores.to_variable(node.decl, function)]
        if target.kind == "PARM_DECL":
            found.append(self.parameter(node.decl, target, function, depth))
        result = join(found)
        if not target.type.is_pointer:
            result = join([tuple(_untracked(way) for way in result)])
        return result

    def parameter(self, decl: int, target: Node, function: Node, depth: int) -> Ways:
        """What a parameter of a function is given: by the kernel where it is a program, and by all that call it."""
        parameters = function.parameters
        index = next((i for i, p in enumerate(parameters) if p.decl == decl), -1)
        program = self.attached(function)
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
            found.append(_own(Space.CTX, "the context", function.decl))
        if not found:
            return unknown(f"nothing is seen to call `{function.name}`")
        return join(found)

    def _of_program(self, program: Attached, index: int, parameters: list[Node], target: Node) -> Ways:
        if index == 0:
            return _own(Space.CTX, "the context", program.function.decl)
        return self.given.parameter(program, index - 1, target.type, parameters[index].text, f"`{target.name}`")

    def _from_call(self, call: Node, index: int, function: Node, depth: int) -> Ways:
        if len(call.arguments) <= index:
            return unknown(f"`{function.name}` is called with fewer arguments")
        argument, caller = call.arguments[index], call.function
        found = self.value(argument, depth - 1)
        where = f" by `{caller.name.removeprefix('____')}`" if caller is not None else ""
        return tuple(way.after(Kind.GIVEN, f"{_short(argument)}") if where else way for way in found)

    def _from_callback(self, mention: Node, index: int, function: Node, depth: int) -> Ways:
        call = mention.outer
        while call is not None and call.kind == "CSTYLE_CAST_EXPR":
            call = call.outer
        known = CALLBACKS.get(call.name) if call is not None and call.kind == "CALL_EXPR" else None
        if call is None or known is None or len(call.arguments) <= known[0]:
            if call is not None and call.name == "bpf_timer_set_callback" and index in (1, 2):
                return _own(Space.MAP_VALUE, "a map's value")
            return unknown(f"`{function.name}` is called through a pointer")
        if index in known[1] and len(call.arguments) > known[1][index]:
            return self.value(call.arguments[known[1][index]], depth - 1)
        if call.name == "bpf_for_each_map_elem" and index in (1, 2):
            maps = self.maps_of(_object(call.arguments[0]), depth) if index == 2 else None
            if maps is not None:
                return join(_own(Space.MAP_VALUE, f"map `{self.map_name(m)}`", m) for m in sorted(maps))
            return _own(Space.MAP_VALUE, "a map's value")
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
            if self.attached(one) is not None or one.decl in self.stores.tabled:
                return True
            if not one.is_static and not self._has_programs:
                return True
            todo += [m.function for m in self.unit.mentions(one) if m.function is not None]
        return False

    @cached_property
    def _has_programs(self) -> bool:
        return any(self.attached(f) is not None for f in self.stores.functions.values())

    # -- memory

    def loaded(self, node: Node, depth: int) -> Ways:
        """Whose memory a pointer may point at that was read out of memory: `p->q`, `*p`, `p[i]`, `v.m`."""
        return self._content(node, (), _wanted(node), depth, node)

    def _content(self, node: Node, rest: Path, type_: Type, depth: int, access: Node | None = None) -> Ways:
        """What the member `rest` of the object that an expression stands for holds."""
        node = node.uncast
        if depth <= 0:
            return unknown("the chain is too long")
        if node.kind == "COMPOUND_LITERAL_EXPR" and node.children:
            return self._content(node.children[-1], rest, type_, depth - 1)
        if node.kind == "INIT_LIST_EXPR":
            return self._initialised(node, rest, type_, depth - 1)
        if node.kind == "CONDITIONAL_OPERATOR":
            return join(self._content(c, rest, type_, depth - 1) for c in node.children[1:])
        if node.kind == "StmtExpr" and (last := _last(node)) is not None:
            return self._content(last, rest, type_, depth - 1)
        known = node.kind in ("DECL_REF_EXPR", "MEMBER_REF_EXPR", "ARRAY_SUBSCRIPT_EXPR", "UNARY_OPERATOR")
        if not known and not node.lost_member:
            return unknown(f"`{_short(node)}`")
        _, path = path_of(node)
        where = self.place(node, depth)
        return self._load(where, path + rest, type_, depth - 1, access or node)

    def _load(self, places: Ways, path: Path, type_: Type, depth: int, at: Node) -> Ways:
        """What a pointer holds that lies in the member `path` of an object in one of these places."""
        if depth <= 0:
            return unknown("the chain is too long")
        return join(self._load_from(where, path, type_, depth, at) for where in places)

    def _load_from(self, where: Origin, path: Path, type_: Type, depth: int, at: Node) -> Ways:
        space, name = where.space, _short(at)
        if space is Space.UNKNOWN:
            return (where.after(Kind.STORED, name),)
        if space is Space.USER:
            return (Origin(Space.USER, (Link(Kind.OUT_OF_USER, name), *where.chain)),)
        if space is Space.KERNEL:
            return self._from_kernel(where, path, type_, name)
        if space is Space.CTX:
            return self._from_context(where, path, type_, at)
        if space in (Space.STACK, Space.GLOBAL) and where.object:
            return self._stored_in(where.object, path, type_, depth)
        if space is Space.MAP_VALUE and where.object:
            return self._from_map(where, path, type_, depth, at)
        return unknown(f"what `{name}` holds is not known")

    def _from_kernel(self, where: Origin, path: Path, type_: Type, name: str) -> Ways:
        if path:
            found = self.given.member(where, path[-1].record, path[-1].name, path[-1].type, type_)
            known = [w for w in found if w.space is not Space.UNKNOWN]
            return tuple(Origin(w.space, (*w.chain, *where.chain), w.trusted, w.tracked) for w in known) or found
        if type_.is_pointer and of_kernel(self.unit, type_):
            return (where.after(Kind.MEMBER, name),)
        if type_.is_pointer and type_.pointee.kind == "POINTER":
            return (where.after(Kind.LIKELY_MEMBER, name),)
        return unknown(f"what `{name}` holds is not known")

    def _from_context(self, where: Origin, path: Path, type_: Type, at: Node) -> Ways:
        function = self.stores.functions.get(where.object)
        program = self.attached(function) if function is not None else None
        index = None
        if at.kind == "ARRAY_SUBSCRIPT_EXPR":
            index = at.children[1].constant
        if not path:
            return self.given.context_field(program, "bpf_raw_tracepoint_args", "", index, type_)
        record, name, offset = path[-1].record, path[-1].name, path[0].offset
        return self.given.context_field(program, record, name, index, type_, offset=offset)

    # -- what was stored

    def _stored_in(self, decl: int, path: Path, type_: Type, depth: int) -> Ways:
        """What a member of a variable holds: what all stores to it wrote."""
        return self._settled(("stored", decl, path), lambda: self._all_stored(decl, path, type_, depth))

    def _all_stored(self, decl: int, path: Path, type_: Type, depth: int) -> Ways:
        home = self.stores.homes.get(decl)
        if home is not None:
            stores = self.stores.to_variable(decl, home)
            parameter = next((p for p in home.parameters if p.decl == decl), None)
            found = [self._from_store(s, path, type_, depth) for s in stores]
            if parameter is not None:
                given = unknown(f"`{parameter.name}` is given as a whole")
                found.append(given if path else self.parameter(decl, parameter, home, depth))
            return join(found)
        variable = next((d for d in self.unit.declarations if d.decl == decl and d.initialiser is not None), None)
        variable = variable or next((d for d in self.unit.declarations if d.decl == decl), None)
        if variable is None or variable.is_extern:
            return unknown("a variable that another file defines")
        if variable.type.is_const or variable.type.is_volatile:
            return unknown(f"user space may set `{variable.name}` before the program runs")
        stores = [s for f in self.stores.functions.values() for s in self.stores.to_variable(decl, f)]
        found = [self._from_store(s, path, type_, depth) for s in stores]
        if variable.initialiser is not None:
            found.append(self._from_store(Store((), variable, variable.initialiser), path, type_, depth))
        if not any(found) and (variable.initialiser is None or self._is_named_by_host(variable.name)):
            return unknown(f"nothing here sets `{variable.name}`")
        result = join(found)
        return tuple(w if variable.is_static else w.after(Kind.USER_SPACE_WRITES, variable.name) for w in result)

    def _is_named_by_host(self, name: str) -> bool:
        """Whether a file next to the program that is none itself has this name."""
        wanted = re.compile(rb"\b%s\b" % name.encode())
        return any(wanted.search(text) for text in self.unit.neighbours(*HOSTS))

    def _from_store(self, store: Store, path: Path, type_: Type, depth: int) -> Ways:
        """What one store brings to the member `path`."""
        common = 0
        while common < min(len(path), len(store.path)) and path[common].decl == store.path[common].decl:
            common += 1
        if common < len(store.path) and common < len(path):
            ours, theirs = path[common], store.path[common]
            if ours.parent == theirs.parent and not ours.in_union:
                return _NOTHING
            return unknown(f"`{_short(store.at)}` writes another view of it")
        if common < len(store.path):
            return _NOTHING  # a part of it
        rest = path[common:]
        if store.why:
            return unknown(store.why)
        if store.source is not None:
            return self._copied(store, rest, type_, depth)
        assert store.value is not None
        if not rest:
            return self._set(store, type_, depth)
        return self._content(store.value, rest, type_, depth - 1)

    def _set(self, store: Store, type_: Type, depth: int) -> Ways:
        assert store.value is not None
        value = store.value
        if value.uncast.kind == "INIT_LIST_EXPR":
            return self._initialised(value.uncast, (), type_, depth)
        found = self._typed_by(type_, self.value(value, depth - 1))
        if value.uncast.kind in ("CALL_EXPR", "StmtExpr"):
            return found
        name = store.at.name or _short(store.at.children[0]) if store.at.children else store.at.name
        return tuple(way.after(Kind.SET, f"{name} = {_short(value)}") for way in found)

    def _typed_by(self, type_: Type, found: Ways) -> Ways:
        name = of_kernel(self.unit, type_)
        if not name or name in REGISTERS:
            return found
        return join([tuple(_as_kernel(way, name) if way.space is Space.UNKNOWN else way for way in found)])

    def _copied(self, store: Store, rest: Path, type_: Type, depth: int) -> Ways:
        """What bytes hold that were copied from where a pointer points at."""
        assert store.source is not None
        source, side = store.source, READ.match(store.reader)
        if side is not None and side[2]:
            return unknown(f"`{store.reader}` reads text")
        places = self._read_places(store, depth)
        target = source.uncast
        access: Path = ()
        if target.kind == "CALL_EXPR" and target.name in _SAME and target.arguments:
            target = target.arguments[0].uncast
        if target.kind == "UNARY_OPERATOR" and target.operator == "&":
            target = target.children[0].bare
            access = path_of(target)[1]
        elif target.type.is_array:
            access = path_of(target)[1]
        found = self._load(places, access + rest, type_, depth - 1, target)
        if side is None:
            return found
        found = join([tuple(_untrusted(way) for way in found)])
        return tuple(way.after(Kind.READ, store.reader) for way in self._typed_by(type_, found))

    def _read_places(self, store: Store, depth: int) -> Ways:
        """Where an explicit read reads: as the helper's name says, where the pointer's way does not tell. A read of the
        other side fails, so that what it brings is no address at all."""
        assert store.source is not None
        side, found = READ.match(store.reader), self.value(store.source, depth - 1)
        named = side[1] if side is not None else None
        if named == "user":
            return (Origin(Space.USER, (Link(Kind.OUT_OF_USER, _short(store.source)),)),)
        if named == "kernel":
            kernel = Origin(Space.KERNEL, (Link(Kind.HELPER, store.reader),))
            return join([tuple(kernel if w.space in (Space.UNKNOWN, Space.USER) else w for w in found)])
        return found

    def _initialised(self, node: Node, rest: Path, type_: Type, depth: int) -> Ways:
        """What `{ … }` gives the member `rest`."""
        if not rest:
            if len(node.children) == 1:
                return self.value(node.children[0], depth)
            return _NOTHING if not node.children else unknown(f"`{_short(node)}`")
        found: list[Ways] = []
        for child in node.children:
            named = [c for c in child.children if c.kind == "MEMBER_REF"]
            if not named:
                return (
                    _NOTHING
                    if _is_null(child) and len(node.children) == 1
                    else self._positional(node, rest, type_, depth)
                )
            path = tuple(field(n) for n in named if n.name)
            found.append(self._from_store(Store(path, child, child.children[-1]), rest, type_, depth))
        return join(found)

    def _positional(self, node: Node, rest: Path, type_: Type, depth: int) -> Ways:
        number = next((i for i, f in enumerate(node.type.fields) if f.name == rest[0].name), None)
        if number is None or any(c.kind == "MEMBER_REF" for child in node.children for c in child.children):
            return unknown(f"`{_short(node)}`")
        if number >= len(node.children):
            return _NOTHING
        value = node.children[number]
        return self.value(value, depth) if len(rest) == 1 else self._content(value, rest[1:], type_, depth)

    # -- maps

    def map_name(self, decl: int) -> str:
        return next((d.name for d in self.unit.declarations if d.decl == decl), "?")

    def maps_of(self, node: Node | None, depth: int = _DEPTH) -> frozenset[int] | None:
        """The maps (by `Node.decl`) that an expression may stand for; None where they cannot be told."""
        if node is None or depth == 0:
            return None
        node = node.uncast
        if node.kind == "UNARY_OPERATOR" and node.operator == "&":
            node = node.children[0].bare
        if node.kind == "CONDITIONAL_OPERATOR":
            return _union(self.maps_of(c, depth - 1) for c in node.children[1:])
        target = node.declaration if node.kind == "DECL_REF_EXPR" else None
        if target is None:
            return None
        if not node.is_local:
            return frozenset((node.decl,)) if not target.type.is_pointer else None
        function = self.stores.homes.get(node.decl)
        if function is None:
            return None
        found: list[frozenset[int] | None] = [
            self.maps_of(s.value, depth - 1) if s.value is not None and not s.path else None
            for s in self.stores.to_variable(node.decl, function)
        ]
        if target.kind == "PARM_DECL":
            index = next(i for i, p in enumerate(function.parameters) if p.decl == node.decl)
            calls = self.stores.callers.get(function.decl, [])
            found += [self.maps_of(c.arguments[index], depth - 1) if len(c.arguments) > index else None for c in calls]
            if not calls or len(calls) != len(self.unit.mentions(function)):
                return None
        return _union(found)

    def _from_map(self, where: Origin, path: Path, type_: Type, depth: int, at: Node) -> Ways:
        """What a map's values hold: what all writers stored. The verifier knows it no more, unless it is marked."""
        if at.kind == "MEMBER_REF_EXPR" and _is_kept_by_kernel(at):
            return (Origin(Space.KERNEL, (Link(Kind.KEPT, _short(at)),), trusted=True),)
        found = self._settled(("map", where.object, path), lambda: self._written(where.object, path, type_, depth))
        name = self.map_name(where.object)
        what = f"map `{name}`" + "".join(f", member `{f.name}`" for f in path[-1:])
        if self.unit.user_space.may_write(name):
            found = tuple(way.after(Kind.USER_SPACE_WRITES, name) for way in found)
        if squeezed(name) in self.unit.user_space.programs and self._is_shared(where.object):
            found = tuple(way.after(Kind.OTHERS_WRITE, name) for way in found)
        followed = self.unit.dialect == BCC
        return tuple(
            Origin(w.space, w.chain, False, w.tracked and followed, w.object).after(Kind.IN_MAP, what) for w in found
        )

    def _written(self, decl: int, path: Path, type_: Type, depth: int) -> Ways:
        found: list[Ways] = []
        for call in self.unit.map_calls:
            maps = self.maps_of(call.map, depth)
            if maps is not None and decl not in maps:
                continue
            found += [self._from_store(s, path, type_, depth) for s in self._map_stores(call, known=maps is not None)]
        for store in self._callback_stores(decl, depth):
            found.append(self._from_store(store, path, type_, depth))
        if self._is_handed_on(decl):
            found.append(unknown(f"map `{self.map_name(decl)}` is reached in other ways too"))
        if not any(found):
            return unknown(f"nothing here fills map `{self.map_name(decl)}`")
        return join(found)

    def _map_stores(self, call: MapCall, *, known: bool) -> list[Store]:
        """The stores to a map's values that one operation makes, or that are made through what it returns."""
        result: list[Store] = []
        value = call.value
        if call.op == "get" and len(call.call.arguments) > 2:
            value = call.call.arguments[2]
        if call.op in _FILLS and value is not None and not _is_null(value):
            result.append(Store((), call.call, source=value, reader="map update"))
        if call.op.startswith("lookup") or call.op == "get":
            result += self.stores.from_result(call.call)
        if not known and result:
            result.append(Store((), call.call, why="a map that cannot be told is written"))
        return result

    def _callback_stores(self, decl: int, depth: int) -> list[Store]:
        found: list[Store] = []
        for call in self.unit.calls_of("bpf_for_each_map_elem"):
            maps = self.maps_of(_object(call.arguments[0]), depth) if call.arguments else None
            if maps is not None and decl not in maps:
                continue
            function = self.stores.functions.get(call.arguments[1].uncast.decl) if len(call.arguments) > 1 else None
            parameters = function.parameters if function is not None else []
            if function is not None and len(parameters) > 2:
                found += self.stores.through(parameters[2].decl, function)
        return found

    def _is_shared(self, decl: int) -> bool:
        """Whether other programs may reach a map: it stands in a header, or is pinned or exported."""
        declared = next((d for d in self.unit.declarations if d.decl == decl), None)
        if declared is None or declared.path != self.unit.path or declared.is_extern:
            return True
        named = next((c.map for c in self.unit.map_calls if map_decl(c.map) == decl), None)
        known = describe(self.unit, named) if named is not None else None
        return known is not None and known.shared

    def _is_handed_on(self, decl: int) -> bool:
        """Whether a map stands in the initialiser of another one, or is named in a way that is no map operation."""
        others = (d for d in self.unit.declarations if d.kind == "VAR_DECL" and d.decl != decl)
        return any(n.decl == decl for other in others for n in other.find("DECL_REF_EXPR"))


def _keys(ways: Ways) -> set[tuple[object, ...]]:
    return {(w.space, w.trusted, w.tracked, w.object, w.is_certain) for w in ways}


def _own(space: Space, what: str, object_: int = 0) -> Ways:
    return (Origin(space, (Link(Kind.OWN, what),), object=object_),)


def _as_kernel(way: Origin, structure: str) -> Origin:
    """A way that is not known, of a pointer to a structure of the kernel's own: certain of what a kernel function got,
    else likely."""
    end, is_itself = way.chain[-1], all(link.kind in _ITSELF for link in way.chain)
    last = Link(Kind.ARGUMENT, end.what) if is_itself else Link(Kind.TYPE, f"struct {structure}")
    return Origin(Space.KERNEL, (*way.chain[:-1], last))


def _untracked(way: Origin) -> Origin:
    return Origin(way.space, way.chain, way.trusted, False, way.object)


def _untrusted(way: Origin) -> Origin:
    return Origin(way.space, way.chain, False, False, way.object)


def _union(found: Iterable[frozenset[int] | None]) -> frozenset[int] | None:
    kinds = list(found)
    if not kinds or any(k is None for k in kinds):
        return None
    return frozenset().union(*(k for k in kinds if k is not None))


def _object(node: Node) -> Node:
    bare = node.uncast
    return bare.children[0].bare if bare.kind == "UNARY_OPERATOR" and bare.operator == "&" else bare


def _last(node: Node) -> Node | None:
    """The expression whose value a statement expression has."""
    block = node.children[0] if node.children else None
    return block.children[-1] if block is not None and block.children else None


def _is_address(node: Node) -> bool:
    """Whether an expression is a pointer, or was one before it was cast to a number."""
    while True:
        bare = node.bare
        if bare.type.is_pointer or bare.type.is_array:
            return True
        if bare.kind != "CSTYLE_CAST_EXPR":
            return False
        node = bare.children[-1]


def _types(node: Node) -> Iterable[Type]:
    """The types that an expression has, casts around it and in it included."""
    bare = node.bare
    while True:
        yield bare.type
        if bare.kind != "CSTYLE_CAST_EXPR":
            return
        bare = bare.children[-1].bare


def _wanted(node: Node) -> Type:
    """As what the value of an access is used: the type of the cast around it, or of the variable that it is put in."""
    at: Node = node
    while at.parent is not None and at.parent.kind in ("CSTYLE_CAST_EXPR", "PAREN_EXPR", "UNEXPOSED_EXPR"):
        at = at.parent
        if at.type.is_pointer and not at.type.is_void_pointer:
            return at.type
    outer = at.outer if at.kind not in ("CSTYLE_CAST_EXPR",) else at.parent
    while outer is not None and outer.kind in ("PAREN_EXPR", "UNEXPOSED_EXPR"):
        outer = outer.parent
    if outer is not None and outer.kind == "VAR_DECL" and outer.type.is_pointer:
        return outer.type
    assigned = outer is not None and outer.kind == "BINARY_OPERATOR" and outer.operator == "="
    if outer is not None and assigned and outer.children[0].type.is_pointer:
        return outer.children[0].type
    return at.type if at.type.is_pointer else node.type


def _is_null(node: Node) -> bool:
    bare = node.uncast
    return bare.kind == "INTEGER_LITERAL" and bare.constant == 0


def _is_kept_by_kernel(node: Node) -> bool:
    """Whether a member is marked as a pointer that the kernel looks after: `__kptr`, `__percpu_kptr`, …"""
    target = node.declaration if node.kind == "MEMBER_REF_EXPR" else None
    return target is not None and re.search(rb"kptr|btf_type_tag", target.text) is not None


def _short(node: Node) -> str:
    text = " ".join(node.text.decode("utf-8", "replace").split())
    return text if len(text) <= 60 else text[:57] + "…"
