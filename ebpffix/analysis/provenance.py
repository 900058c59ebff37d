"""Where a pointer comes from: whose memory it points at, as far as one file can tell.

    origin(unit, node) -> Origin               what is certain, else UNKNOWN
    origins(unit, node) -> frozenset[Origin]   what is possible; UNKNOWN for each way that could not be followed
    memory(unit, node) -> frozenset[Origin]    the same of the memory that an lvalue such as `p->m` lies in
    pointer(node) -> Node | None               the pointer that an access goes through last
    is_load(node) -> bool                      whether the program reads the memory there

`node` is an expression that stands for an address: a pointer, an array, `&x`. Local variables are followed through
their definitions (NULL aside), parameters of programs by the program's kind, parameters of static functions through
all their callers. A pointer to a structure of the kernel that lies in a map or in a tracepoint's context is a plain
number for the verifier, so KERNEL, unless it is marked as one that the kernel looks after (`__kptr`).

For BCC "tracked" means that its own rewriter knows the pointer and turns `p->m` into a probe read: parameters of a
kprobe behind the context, registers of the context, bpf_get_current_task(), what is reached from these by members,
and pointers from a map that the file fills with a tracked pointer. A pointer that passed through an integer variable
or an explicit probe read is not tracked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

from ebpffix.fix import BCC
from ebpffix.frontend import Node, Unit


class Origin(Enum):
    """Whose memory a pointer points at."""

    STACK = "stack"
    GLOBAL = "global"  # global and static variables, string literals
    CTX = "ctx"
    PACKET = "packet"
    MAP_VALUE = "map value"
    RINGBUF = "ring buffer"
    BTF = "kernel, typed"  # the verifier knows its type and lets it be read: tp_btf, fentry, iterators
    KERNEL_TRACKED = "kernel, tracked"
    KERNEL = "kernel"
    USER = "user"
    UNKNOWN = "unknown"

    @property
    def is_bpf(self) -> bool:
        """Whether a program may read the memory directly on every kernel: its own, its context, packets and maps."""
        return self in _BPF

    @property
    def is_kernel(self) -> bool:
        """Whether it is kernel memory that the verifier refuses to read directly."""
        return self in (Origin.KERNEL, Origin.KERNEL_TRACKED)


_BPF = frozenset((Origin.STACK, Origin.GLOBAL, Origin.CTX, Origin.PACKET, Origin.MAP_VALUE, Origin.RINGBUF))
_NOT_LOADED = frozenset("CONSTANTARRAY INCOMPLETEARRAY VARIABLEARRAY FUNCTIONPROTO VOID DEPENDENT INVALID".split())
_UNKNOWN = frozenset((Origin.UNKNOWN,))
_DEPTH = 16  # steps of following; deeper is unknown

_CALLS = {
    "bpf_get_current_task_btf": Origin.BTF,
    "bpf_ringbuf_reserve": Origin.RINGBUF,
    "ringbuf_reserve": Origin.RINGBUF,
    "bpf_per_cpu_ptr": Origin.BTF,
    "bpf_this_cpu_ptr": Origin.BTF,
}
_LOOKUP = re.compile(r"bpf_map_lookup_(?:percpu_)?elem\Z|bpf_(?:sk|task|inode|cgrp)_storage_get\Z")
_METHODS = frozenset(("lookup", "lookup_or_init", "lookup_or_try_init", "sk_storage_get", "inode_storage_get"))
_READ = re.compile(r"bpf_(?:probe_read|core_read)(?:_(kernel|user))?\Z")
_READ_MACROS = {"BPF_CORE_READ": Origin.KERNEL, "BPF_PROBE_READ": Origin.KERNEL, "BPF_CORE_READ_USER": Origin.USER}
# Members of kernel structures that point into user space.
_USER_MEMBERS = frozenset(
    """uptr iov_base ubuf msg_control_user set_child_tid clear_child_tid robust_list compat_robust_list rseq
    msg_name_user buf_user sival_ptr""".split()
)
# Programs by section (libbpf): what their context holds, and what their further parameters point at.
_SECTIONS = (
    (re.compile(rb"ksyscall|kretsyscall|u(?:ret)?probe|usdt"), Origin.USER),
    (re.compile(rb"k(?:ret)?probe|raw_tp(?!\.w)|raw_tracepoint(?!\.w)"), Origin.KERNEL),
    (re.compile(rb"tp_btf|fentry|fexit|fmod_ret|lsm|iter|fsession|struct_ops"), Origin.BTF),
)
_NETWORK = frozenset(("__sk_buff", "xdp_md", "sk_msg_md", "sk_reuseport_md"))
_CONTEXTS = _NETWORK | frozenset(
    """pt_regs user_pt_regs bpf_perf_event_data bpf_raw_tracepoint_args bpf_sock_ops bpf_sock_addr bpf_sock
    bpf_sysctl bpf_sockopt bpf_sk_lookup bpf_cgroup_dev_ctx bpf_nf_ctx""".split()
)
# The contexts of tracepoints whose pointers are the kernel's; those of system calls hold what user space passed.
_EVENT = re.compile(r"trace_event_raw_(?!sys_)")
_TRACE_CONTEXT = re.compile(r"trace_event_raw_|syscall_trace_|tracepoint__|bpf_iter__")


Origins = frozenset[Origin]


def origin(unit: Unit, node: Node) -> Origin:
    """Whose memory the address `node` points at; UNKNOWN in doubt."""
    found = origins(unit, node)
    return next(iter(found)) if len(found) == 1 else Origin.UNKNOWN


def origins(unit: Unit, node: Node) -> Origins:
    """All that the address `node` may point at, with UNKNOWN for each way that could not be followed."""
    return _Tracer(unit).address(node, _DEPTH) or _UNKNOWN


def memory(unit: Unit, node: Node) -> Origins:
    """In whose memory an lvalue may lie."""
    return _Tracer(unit).place(node, _DEPTH) or _UNKNOWN


def pointer(node: Node) -> Node | None:
    """The pointer that an access goes through last: `a->b` of `a->b->c.d[1]`. None if it goes through none."""
    while node.children:
        base = node.children[0]
        if node.kind == "UNARY_OPERATOR":
            return base if node.operator == "*" else None
        if node.kind == "MEMBER_REF_EXPR" and node.arrow:
            return base
        if node.kind == "ARRAY_SUBSCRIPT_EXPR" and base.bare.type.is_pointer:
            return base
        if node.kind not in ("MEMBER_REF_EXPR", "ARRAY_SUBSCRIPT_EXPR"):
            return None
        node = base.bare
    return None


def is_load(node: Node) -> bool:
    """Whether the program reads the memory of an access: not its address, no part of it, no operand of sizeof,
    typeof or a question about a field; a write that does not read (`p->m = 1`) is no load either."""
    if node.type.kind in _NOT_LOADED or is_written(node) == "=":
        return False
    outer = node.outer
    if outer is not None and (
        (outer.kind == "UNARY_OPERATOR" and outer.operator == "&")
        or (outer.kind == "MEMBER_REF_EXPR" and not outer.arrow)
    ):
        return False
    return is_evaluated(node)


def is_written(node: Node) -> str:
    """The operator that writes the memory of an access: "=", "+=", "++", …; "" for none."""
    outer = node.outer
    if outer is None or outer.kind not in ("BINARY_OPERATOR", "COMPOUND_ASSIGNMENT_OPERATOR", "UNARY_OPERATOR"):
        return ""
    target, operator = outer.children[0].bare, outer.operator
    if (target.start, target.end) != (node.start, node.end):
        return ""
    assigns = outer.kind == "COMPOUND_ASSIGNMENT_OPERATOR" or operator == "="
    return operator if assigns or "++" in operator or "--" in operator else ""


def is_evaluated(node: Node) -> bool:
    """Whether an expression is no part of an operand of sizeof, typeof or a question about a field."""
    while node.parent is not None and not node.is_statement:
        parent = node.parent
        if parent.kind == "CXX_UNARY_EXPR" or parent.name.startswith("__builtin_preserve_field_info"):
            return False
        if parent.kind == "CSTYLE_CAST_EXPR" and node is not parent.children[-1]:
            return False
        if parent.kind == "VAR_DECL" and "typeof" in parent.type.spelling and node is parent.children[0]:
            return False
        node = parent
    return True


class _Definitions:
    """What each variable of a function is set to: expressions, or None for what cannot be followed."""

    def __init__(self, function: Node) -> None:
        self.values: dict[int, list[Node | None]] = {}
        self.reads: dict[int, list[Node]] = {}
        for node in function.walk():
            if node.kind == "VAR_DECL":
                # The last child that is an expression is the initialiser, if the text has one.
                if b"=" in node.text and node.children:
                    self._set(node, node.children[-1])
                else:
                    self.values.setdefault(node.decl, [])
            elif node.kind == "BINARY_OPERATOR" and node.operator == "=":
                self._set(node.children[0].bare, node.children[1])
            elif node.kind == "COMPOUND_ASSIGNMENT_OPERATOR" and node.operator not in ("+=", "-="):
                self._set(node.children[0].bare, None)
            elif node.kind == "UNARY_OPERATOR" and node.operator == "&":
                self._taken(node)

    def _set(self, target: Node, value: Node | None) -> None:
        if target.kind in ("VAR_DECL", "DECL_REF_EXPR"):
            self.values.setdefault(target.decl, []).append(value)

    def _taken(self, node: Node) -> None:
        target, outer = node.children[0].bare, node.outer
        while outer is not None and outer.kind == "CSTYLE_CAST_EXPR":
            outer = outer.outer
        if target.kind != "DECL_REF_EXPR":
            return
        if outer is not None and outer.kind == "CALL_EXPR":
            if _READ.match(outer.name) and outer.arguments and outer.arguments[0].uncast is node:
                self.reads.setdefault(target.decl, []).append(outer)
                return
            if _LOOKUP.match(outer.name) or _map_method(outer) in ("lookup", "update", "delete", "insert"):
                return  # a map copies keys and values, and keeps no address
            if outer.name == "bpf_map_update_elem":
                return
        self._set(target, None)


class _Tracer:
    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.followed: set[int] = set()  # variables that are being followed: `p = p->next` adds nothing

    def definitions(self, function: Node) -> _Definitions:
        known: dict[tuple[Path, int], _Definitions] = self.unit.memo.setdefault("provenance", {})
        key = (function.path, function.body.start if function.body is not None else 0)
        if key not in known:
            known[key] = _Definitions(function)
        return known[key]

    # -- expressions

    def address(self, node: Node, depth: int) -> Origins:
        """Whose memory the value of an expression may point at."""
        if depth == 0 or _is_broken(node):
            return _UNKNOWN
        node = node.uncast
        if node.type.is_array:
            return self.place(node, depth)
        found = getattr(self, "_" + node.kind.lower(), None)
        result: Origins = found(node, depth - 1) if found else _UNKNOWN
        return result

    def place(self, node: Node, depth: int) -> Origins:
        """In whose memory an lvalue may lie."""
        if depth == 0 or _is_broken(node):
            return _UNKNOWN
        node = node.uncast
        if node.kind == "STRING_LITERAL":
            return _only(Origin.GLOBAL)
        if node.kind == "DECL_REF_EXPR":
            target = node.declaration
            if target is None or target.kind not in ("VAR_DECL", "PARM_DECL"):
                return _UNKNOWN
            return _only(Origin.STACK if node.is_local else Origin.GLOBAL)
        if node.kind == "MEMBER_REF_EXPR" and node.children:
            base = node.children[0]
            return self.address(base, depth - 1) if node.arrow else self.place(base, depth - 1)
        if node.kind == "ARRAY_SUBSCRIPT_EXPR":
            return self.address(node.children[0], depth - 1)
        if node.kind == "UNARY_OPERATOR" and node.operator == "*":
            return self.address(node.children[0], depth - 1)
        return _only(Origin.STACK) if node.kind == "COMPOUND_LITERAL_EXPR" else _UNKNOWN

    def _unary_operator(self, node: Node, depth: int) -> Origins:
        if node.operator == "&":
            return self.place(node.children[0], depth)
        if node.operator == "*":
            return self.loaded(node, depth)
        return self.address(node.children[0], depth) if "+" in node.operator or "-" in node.operator else _UNKNOWN

    def _binary_operator(self, node: Node, depth: int) -> Origins:
        left, right = node.children
        if node.operator in ("=", ","):
            return self.address(right, depth)
        if node.operator not in ("+", "-"):
            return _UNKNOWN
        if right.type.is_pointer and node.operator == "+":
            return self.address(right, depth)
        return self.address(left, depth)

    def _conditional_operator(self, node: Node, depth: int) -> Origins:
        return _union(self.address(c, depth) for c in node.children[1:] if not _is_null(c))

    def _member_ref_expr(self, node: Node, depth: int) -> Origins:
        return self.loaded(node, depth)

    def _array_subscript_expr(self, node: Node, depth: int) -> Origins:
        return self.loaded(node, depth)

    def _call_expr(self, node: Node, depth: int) -> Origins:
        method = _map_method(node)
        if _LOOKUP.match(node.name) or method in _METHODS:
            return _only(Origin.MAP_VALUE)
        if node.name == "bpf_get_current_task":
            return self._kernel
        if node.name.startswith("bpf_skc_to_"):
            return _only(Origin.BTF)
        known = _CALLS.get(method or node.name)
        return _only(known) if known else _UNKNOWN

    def _stmtexpr(self, node: Node, depth: int) -> Origins:
        around = self.unit.macros_around(node.path, node.start, node.end)
        macro = next((m for m in around if m.start == node.start and m.name in _READ_MACROS), None)
        if macro is None:
            return _UNKNOWN
        last = node.children[0].children[-1].bare if node.children and node.children[0].children else node
        if last.type.is_array:
            return _only(Origin.STACK)  # a copy, in the macro's own local
        member = re.findall(rb"[A-Za-z_]\w*", self.unit.sources[macro.path].code[slice(*macro.args[-1])])
        if member and member[-1].decode() in _USER_MEMBERS:
            return _only(Origin.USER)
        is_address = node.type.is_pointer and not node.type.is_void_pointer
        return _only(_READ_MACROS[macro.name]) if is_address or "USER" in macro.name else _UNKNOWN

    @property
    def _kernel(self) -> Origins:
        return _only(Origin.KERNEL_TRACKED if self.unit.dialect == BCC else Origin.KERNEL)

    def loaded(self, node: Node, depth: int) -> Origins:
        """Whose memory a pointer may point at that was read out of memory: `p->q`, `*p`, `p[i]`."""
        return _union(self._loaded(node, where, depth) for where in self.place(node, depth))

    def _loaded(self, node: Node, where: Origin, depth: int) -> Origins:
        if where is Origin.CTX:
            return self._from_context(node)
        if where.is_kernel:
            if node.name in _USER_MEMBERS:
                return _only(Origin.USER)
            # `void *` and numbers in a kernel structure may be addresses of user space.
            return _only(where) if node.type.is_pointer and not node.type.is_void_pointer else _UNKNOWN
        if where is Origin.BTF:
            return _only(where)
        if where is Origin.MAP_VALUE and _to_kernel_record(self.unit, node):
            return self._from_map(node, depth)
        return _UNKNOWN

    def _from_context(self, node: Node) -> Origins:
        base = node.children[0].uncast if node.children else node
        base = base.children[0].uncast if base.name == "args" and base.children else base
        record = base.type.pointee.name
        if record in _NETWORK:
            return _only(Origin.PACKET) if node.name in ("data", "data_end", "data_meta") else _UNKNOWN
        if record.startswith("bpf_iter__"):
            return _only(Origin.BTF)
        if record in ("pt_regs", "user_pt_regs") and _points_at_record(node):
            function = node.function
            return _UNKNOWN if function is None or _user_program(self.unit, function) else self._kernel
        if record == "bpf_raw_tracepoint_args" or _EVENT.match(record):
            return self._kernel if _to_kernel_record(self.unit, node) else _UNKNOWN
        return _UNKNOWN

    def _from_map(self, node: Node, depth: int) -> Origins:
        """A pointer to a kernel structure that lies in a map: a number for the verifier, unless it is marked.

        BCC's rewriter follows one through a map that some update fills with a tracked pointer, and through members.
        """
        if self.unit.dialect != BCC:
            return _only(Origin.BTF if _is_kept_by_kernel(node) else Origin.KERNEL)
        if node.kind != "UNARY_OPERATOR" or depth == 0:
            return _UNKNOWN
        lookup = self._lookup(node.children[0])
        for call in self.unit.map_calls:
            if call.op == "update" and call.value is not None and lookup is not None and call.map.decl == lookup:
                value = call.value.uncast
                if value.kind == "UNARY_OPERATOR" and value.operator == "&":
                    stored = self.address(value.children[0], depth - 1)
                    if stored == _only(Origin.KERNEL_TRACKED):
                        return stored
        return _UNKNOWN

    def _lookup(self, pointer: Node) -> int | None:
        """The map that a variable was looked up in."""
        pointer, function = pointer.uncast, pointer.function
        if pointer.kind != "DECL_REF_EXPR" or function is None:
            return None
        calls = [v.uncast for v in self.definitions(function).values.get(pointer.decl, []) if v is not None]
        if len(calls) != 1:
            return None
        return next((c.map.decl for c in self.unit.map_calls if c.call.start == calls[0].start), None)

    # -- variables

    def _decl_ref_expr(self, node: Node, depth: int) -> Origins:
        target, function = node.declaration, node.function
        if target is None or function is None or not node.is_local:
            return _UNKNOWN
        if node.decl in self.followed:
            return frozenset()
        # Inside the following of another variable, the result may lack what that one brings.
        known: dict[tuple[int, int], Origins] = self.unit.memo.setdefault("origins", {})
        if not self.followed and (node.decl, depth) in known:
            return known[node.decl, depth]
        self.followed.add(node.decl)
        try:
            result = self._variable(node, target, function, depth)
        finally:
            self.followed.discard(node.decl)
        if not self.followed:
            known[node.decl, depth] = result
        return result

    def _variable(self, node: Node, target: Node, function: Node, depth: int) -> Origins:
        known = self.definitions(function)
        found: list[Origins] = []
        for value in known.values.get(node.decl, []):
            if value is None:
                found.append(_UNKNOWN)
            elif not _is_null(value):
                found.append(self._kernel_record(self.address(value, depth), target))
        for read in known.reads.get(node.decl, []):
            found.append(self._kernel_record(self._read(read, depth), target))
        if target.kind == "PARM_DECL":
            found.append(self._parameter(node, target, function, depth))
        result = _union(found)
        if not target.type.is_pointer:
            return frozenset(Origin.KERNEL if o is Origin.KERNEL_TRACKED else o for o in result)
        return result

    def _kernel_record(self, found: Origins, target: Node) -> Origins:
        return _UNKNOWN if target.type.is_void_pointer and any(o.is_kernel for o in found) else found

    def _read(self, call: Node, depth: int) -> Origins:
        """A pointer that an explicit read filled in."""
        if _READ.match(call.name) is None or len(call.arguments) < 3:
            return _UNKNOWN
        if call.name.endswith("_user"):
            return _only(Origin.USER)
        sources = self.address(call.arguments[2], depth)
        kernel = all(o.is_kernel or o is Origin.BTF for o in sources)
        named = call.name.endswith("_kernel") and not any(o.is_bpf or o is Origin.USER for o in sources)
        return _only(Origin.KERNEL) if kernel or named else _UNKNOWN

    def _parameter(self, node: Node, target: Node, function: Node, depth: int) -> Origins:
        parameters = function.parameters
        index = next((i for i, p in enumerate(parameters) if p.decl == node.decl), None)
        if index is None:
            return _UNKNOWN
        if index == 0 and _is_context(target):
            return _only(Origin.CTX)
        kind = _program(self.unit, function, parameters)
        if kind is not None:
            if b"__user" in parameters[index].text:
                return _only(Origin.USER)
            # A plain `char *` or `void *` of a kernel function is often an address of user space.
            return _only(kind) if not kind.is_kernel or _points_at_record(target) else _UNKNOWN
        if not function.is_static:
            return _UNKNOWN
        calls = [c for c in self.unit.calls_of(function.name) if len(c.arguments) > index]
        return _union(self.address(call.arguments[index], depth) for call in calls) if calls else _UNKNOWN


def _is_broken(node: Node) -> bool:
    """Whether libclang could make no sense of an expression: it then keeps the parts, `p` of `p->no_such_member`."""
    while node.kind in ("UNEXPOSED_EXPR", "PAREN_EXPR", "CSTYLE_CAST_EXPR") and node.children:
        inner = node.children[-1]
        if node.kind == "UNEXPOSED_EXPR" and (inner.start, inner.end) != (node.start, node.end):
            return True
        node = inner
    return False


def _only(kind: Origin) -> Origins:
    return frozenset((kind,))


def _union(found: Iterable[Origins]) -> Origins:
    nothing: Origins = frozenset()
    return nothing.union(*found)


def _program(unit: Unit, function: Node, parameters: list[Node]) -> Origin | None:
    """What the parameters behind the context of a program point at; None for a function that is no program."""
    if unit.dialect == BCC:
        head = unit.sources[function.path].code[: function.body.start if function.body else 0]
        macro = re.search(rb"\b(\w+)\s*\([^(){};]*\)\s*\Z", head)
        if macro and macro[1] in (b"KFUNC_PROBE", b"KRETFUNC_PROBE", b"KMOD_RET", b"LSM_PROBE", b"BPF_ITER"):
            return Origin.BTF
        if function.is_static or not parameters or not _is_context(parameters[0]):
            return None
        return Origin.USER if function.name.startswith("syscall__") else Origin.KERNEL_TRACKED
    section = unit.program_section(function).lstrip(b"?")
    return next((kind for pattern, kind in _SECTIONS if pattern.match(section)), None)


def _user_program(unit: Unit, function: Node) -> bool:
    """Whether the registers of a probe hold what user space put there: system calls and uprobes."""
    section = unit.program_section(function).lstrip(b"?")
    return bool(_SECTIONS[0][0].match(section)) or "sys" in function.name or b"sys_" in section


def _map_method(call: Node) -> str:
    callee = call.callee
    return callee.name if callee is not None and callee.kind == "MEMBER_REF_EXPR" else ""


def _is_context(parameter: Node) -> bool:
    if not parameter.type.is_pointer:
        return False
    record = parameter.type.pointee.name
    return record in _CONTEXTS or bool(_TRACE_CONTEXT.match(record))


def _points_at_record(node: Node) -> bool:
    """Whether a pointer, or the cast around an integer, is to a structure."""
    outer: Node | None = node
    while outer is not None and not outer.type.is_pointer:
        if outer.parent is None or outer.parent.kind not in ("CSTYLE_CAST_EXPR", "PAREN_EXPR", "UNEXPOSED_EXPR"):
            break
        outer = outer.parent
    if outer is None or not outer.type.is_pointer:
        return False
    if outer.type.is_void_pointer and outer.outer is not None:
        outer = outer.outer  # `struct sock *sk = (void *)PT_REGS_PARM1(ctx);`
        outer = outer.children[0] if outer.kind == "BINARY_OPERATOR" and outer.operator == "=" else outer
        if outer.kind not in ("VAR_DECL", "DECL_REF_EXPR"):
            return False
    return outer.type.pointee.is_record


def _is_null(node: Node) -> bool:
    bare = node.uncast
    return bare.kind == "INTEGER_LITERAL" and bare.text in (b"0", b"NULL")


def _to_kernel_record(unit: Unit, node: Node) -> bool:
    """Whether a pointer (or the cast around a number) is to a structure that the files of the run do not declare.

    `void *` counts as one: what becomes of it, the variable that takes it tells.
    """
    outer: Node | None = node
    while outer is not None and (not outer.type.is_pointer or outer.type.is_void_pointer):
        outer = outer.parent
        if outer is None or outer.kind not in ("CSTYLE_CAST_EXPR", "PAREN_EXPR", "UNEXPOSED_EXPR"):
            return node.type.is_void_pointer
    if outer is None or not outer.type.pointee.is_record:
        return False
    where = outer.type.pointee.declared_in
    return where is not None and where not in unit.sources


def _is_kept_by_kernel(node: Node) -> bool:
    """Whether a member is marked as a pointer that the kernel looks after: `__kptr`, `__percpu_kptr`, …"""
    target = node.declaration if node.kind == "MEMBER_REF_EXPR" else None
    return target is not None and re.search(rb"kptr|btf_type_tag", target.text) is not None
