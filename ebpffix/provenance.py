"""Where a pointer comes from: whose memory it points at, as far as one file can tell.

    origin(unit, node) -> Origin

`node` is an expression that stands for an address: a pointer, an array, `&x`. Local variables are followed through
their definitions (all must agree, NULL aside), parameters of programs by the program's kind, parameters of static
functions through all their callers. Whatever is in doubt is UNKNOWN.

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
from typing import Any

from ebpffix.frontend import Node, Unit
from ebpffix.frontend.node import is_pointer, pointee
from ebpffix.transform import BCC


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
_UNKNOWN = Origin.UNKNOWN
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
# Programs by section (libbpf): what their context holds, and what their further parameters point at.
_SECTIONS = (
    (re.compile(rb"ksyscall|kretsyscall|u(?:ret)?probe|usdt"), Origin.USER),
    (re.compile(rb"k(?:ret)?probe|raw_tp(?!\.w)|raw_tracepoint(?!\.w)"), Origin.KERNEL),
    (re.compile(rb"tp_btf|fentry|fexit|fmod_ret|lsm|iter|fsession"), Origin.BTF),
)
_NETWORK = frozenset(("__sk_buff", "xdp_md", "sk_msg_md", "sk_reuseport_md"))
_CONTEXTS = _NETWORK | frozenset(
    """pt_regs user_pt_regs bpf_perf_event_data bpf_raw_tracepoint_args bpf_sock_ops bpf_sock_addr bpf_sock
    bpf_sysctl bpf_sockopt bpf_sk_lookup bpf_cgroup_dev_ctx bpf_nf_ctx""".split()
)
_TRACE_CONTEXT = re.compile(r"trace_event_raw_|syscall_trace_|tracepoint__|bpf_iter__")


def origin(unit: Unit, node: Node) -> Origin:
    """Whose memory the address `node` points at; UNKNOWN in doubt."""
    return _Tracer(unit).address(node, _DEPTH)


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

    def definitions(self, function: Node) -> _Definitions:
        known: dict[tuple[Path, int], _Definitions] = self.unit.memo.setdefault("provenance", {})
        key = (function.path, function.body.start if function.body is not None else 0)
        if key not in known:
            known[key] = _Definitions(function)
        return known[key]

    # -- expressions

    def address(self, node: Node, depth: int) -> Origin:
        """Whose memory the value of an expression points at."""
        if depth == 0 or _is_broken(node):
            return _UNKNOWN
        node = node.uncast
        if node.type.get_canonical().kind.name.endswith("ARRAY"):
            return self.place(node, depth)
        found = getattr(self, "_" + node.kind.lower(), None)
        result: Origin = found(node, depth - 1) if found else _UNKNOWN
        return result

    def place(self, node: Node, depth: int) -> Origin:
        """In whose memory an lvalue lies."""
        if depth == 0 or _is_broken(node):
            return _UNKNOWN
        node = node.uncast
        if node.kind == "STRING_LITERAL":
            return Origin.GLOBAL
        if node.kind == "DECL_REF_EXPR":
            target = node.declaration
            if target is None or target.kind not in ("VAR_DECL", "PARM_DECL"):
                return _UNKNOWN
            return Origin.STACK if target.kind == "PARM_DECL" or _is_automatic(target) else Origin.GLOBAL
        if node.kind == "MEMBER_REF_EXPR" and node.children:
            base = node.children[0]
            return self.address(base, depth - 1) if node.arrow else self.place(base, depth - 1)
        if node.kind == "ARRAY_SUBSCRIPT_EXPR":
            return self.address(node.children[0], depth - 1)
        if node.kind == "UNARY_OPERATOR" and node.operator == "*":
            return self.address(node.children[0], depth - 1)
        return Origin.STACK if node.kind == "COMPOUND_LITERAL_EXPR" else _UNKNOWN

    def _unary_operator(self, node: Node, depth: int) -> Origin:
        if node.operator == "&":
            return self.place(node.children[0], depth)
        if node.operator == "*":
            return self.loaded(node, depth)
        return self.address(node.children[0], depth) if "+" in node.operator or "-" in node.operator else _UNKNOWN

    def _binary_operator(self, node: Node, depth: int) -> Origin:
        left, right = node.children
        if node.operator in ("=", ","):
            return self.address(right, depth)
        if node.operator not in ("+", "-"):
            return _UNKNOWN
        if is_pointer(right.type) and node.operator == "+":
            return self.address(right, depth)
        return self.address(left, depth)

    def _conditional_operator(self, node: Node, depth: int) -> Origin:
        return _agreed(self.address(c, depth) for c in node.children[1:] if not _is_null(c))

    def _member_ref_expr(self, node: Node, depth: int) -> Origin:
        return self.loaded(node, depth)

    def _array_subscript_expr(self, node: Node, depth: int) -> Origin:
        return self.loaded(node, depth)

    def _call_expr(self, node: Node, depth: int) -> Origin:
        method = _map_method(node)
        if _LOOKUP.match(node.name) or method in _METHODS:
            return Origin.MAP_VALUE
        if node.name == "bpf_get_current_task":
            return Origin.KERNEL_TRACKED if self.unit.dialect == BCC else Origin.KERNEL
        if node.name.startswith("bpf_skc_to_"):
            return Origin.BTF
        return _CALLS.get(method or node.name, _UNKNOWN)

    def _stmtexpr(self, node: Node, depth: int) -> Origin:
        around = self.unit.macros_around(node.path, node.start, node.end)
        return next(
            (_READ_MACROS[m.name] for m in around if m.start == node.start and m.name in _READ_MACROS), _UNKNOWN
        )

    def loaded(self, node: Node, depth: int) -> Origin:
        """Whose memory a pointer points at that was read out of memory: `p->q`, `*p`, `p[i]`."""
        where = self.place(node, depth)
        if where is Origin.CTX:
            return self._from_context(node)
        if where in (Origin.KERNEL, Origin.KERNEL_TRACKED):
            # `void *` in a kernel structure may be an address of user space.
            return _UNKNOWN if _is_void(node.type) else where
        if where is Origin.BTF:
            return where
        if where is Origin.MAP_VALUE and self.unit.dialect == BCC and node.kind == "UNARY_OPERATOR":
            return self._from_map(node.children[0], depth)
        return _UNKNOWN

    def _from_context(self, node: Node) -> Origin:
        base = node.children[0].uncast if node.children else node
        record = pointee(base.type).get_declaration().spelling
        if record in _NETWORK:
            return Origin.PACKET if node.name in ("data", "data_end", "data_meta") else _UNKNOWN
        if record.startswith("bpf_iter__"):
            return Origin.BTF
        if record in ("pt_regs", "user_pt_regs") and _points_at_record(node):
            function = node.function
            if function is None or _user_program(self.unit, function):
                return _UNKNOWN
            return Origin.KERNEL_TRACKED if self.unit.dialect == BCC else Origin.KERNEL
        return _UNKNOWN

    def _from_map(self, pointer: Node, depth: int) -> Origin:
        """A kernel pointer that BCC's rewriter follows through a map: some update stores a tracked one."""
        lookup = self._lookup(pointer)
        if lookup is None:
            return _UNKNOWN
        for call in self.unit.map_calls:
            if call.op == "update" and call.value is not None and call.map.decl == lookup and depth > 0:
                value = call.value.uncast
                if (
                    value.kind == "UNARY_OPERATOR"
                    and value.operator == "&"
                    and self.address(value.children[0], depth - 1) is Origin.KERNEL_TRACKED
                ):
                    return Origin.KERNEL_TRACKED
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

    def _decl_ref_expr(self, node: Node, depth: int) -> Origin:
        target, function = node.declaration, node.function
        if target is None or function is None or target.kind not in ("VAR_DECL", "PARM_DECL"):
            return _UNKNOWN
        if target.kind == "VAR_DECL" and not _is_automatic(target):
            return _UNKNOWN
        known = self.definitions(function)
        found: list[Origin] = []
        for value in known.values.get(node.decl, []):
            if value is None:
                return _UNKNOWN
            if not _is_null(value):
                found.append(self._kernel_record(self.address(value, depth), target))
        for read in known.reads.get(node.decl, []):
            found.append(self._kernel_record(self._read(read, depth), target))
        if target.kind == "PARM_DECL":
            found.append(self._parameter(node, target, function, depth))
        result = _agreed(found)
        if result is Origin.KERNEL_TRACKED and not is_pointer(target.type):
            return Origin.KERNEL
        return result

    def _kernel_record(self, found: Origin, target: Node) -> Origin:
        return _UNKNOWN if found.is_kernel and _is_void(target.type) else found

    def _read(self, call: Node, depth: int) -> Origin:
        """A pointer that an explicit read filled in."""
        if _READ.match(call.name) is None or len(call.arguments) < 3:
            return _UNKNOWN
        if call.name.endswith("_user"):
            return Origin.USER
        source = self.address(call.arguments[2], depth)
        sure = source.is_kernel or source is Origin.BTF or call.name.endswith("_kernel")
        return Origin.KERNEL if sure and not source.is_bpf and source is not Origin.USER else _UNKNOWN

    def _parameter(self, node: Node, target: Node, function: Node, depth: int) -> Origin:
        parameters = [p for p in function.children if p.kind == "PARM_DECL"]
        index = next((i for i, p in enumerate(parameters) if p.decl == node.decl), None)
        if index is None:
            return _UNKNOWN
        if index == 0 and _is_context(target):
            return Origin.CTX
        kind = _program(self.unit, function, parameters)
        if kind is not None:
            if b"__user" in parameters[index].text:
                return Origin.USER
            # A plain `char *` or `void *` of a kernel function is often an address of user space.
            return kind if not kind.is_kernel or _points_at_record(target) else _UNKNOWN
        if not _is_static(function):
            return _UNKNOWN
        passed = []
        for call in self.unit.calls:
            if call.name == function.name and len(call.arguments) > index:
                passed.append(self.address(call.arguments[index], depth))
        return _agreed(passed)


def _is_broken(node: Node) -> bool:
    """Whether libclang could make no sense of an expression: it then keeps the parts, `p` of `p->no_such_member`."""
    while node.kind in ("UNEXPOSED_EXPR", "PAREN_EXPR", "CSTYLE_CAST_EXPR") and node.children:
        inner = node.children[-1]
        if node.kind == "UNEXPOSED_EXPR" and (inner.start, inner.end) != (node.start, node.end):
            return True
        node = inner
    return False


def _agreed(found: Iterable[Origin]) -> Origin:
    kinds = set(found)
    return kinds.pop() if len(kinds) == 1 else _UNKNOWN


def _program(unit: Unit, function: Node, parameters: list[Node]) -> Origin | None:
    """What the parameters behind the context of a program point at; None for a function that is no program."""
    if unit.dialect == BCC:
        head = unit.sources[function.path].code[: function.body.start if function.body else 0]
        macro = re.search(rb"\b(\w+)\s*\([^(){};]*\)\s*\Z", head)
        if macro and macro[1] in (b"KFUNC_PROBE", b"KRETFUNC_PROBE", b"KMOD_RET", b"LSM_PROBE", b"BPF_ITER"):
            return Origin.BTF
        if _is_static(function) or not parameters or not _is_context(parameters[0]):
            return None
        return Origin.USER if function.name.startswith("syscall__") else Origin.KERNEL_TRACKED
    section = unit.program_section(function)
    return next((kind for pattern, kind in _SECTIONS if pattern.match(section)), None)


def _user_program(unit: Unit, function: Node) -> bool:
    """Whether the registers of a probe hold what user space put there: system calls and uprobes."""
    section = unit.program_section(function)
    return bool(_SECTIONS[0][0].match(section)) or "sys" in function.name or b"sys_" in section


def _map_method(call: Node) -> str:
    callee = call.callee
    return callee.name if callee is not None and callee.kind == "MEMBER_REF_EXPR" else ""


def _is_automatic(declaration: Node) -> bool:
    name = declaration.cursor.storage_class.name
    parent = declaration.cursor.semantic_parent
    return name not in ("STATIC", "EXTERN") and parent is not None and parent.kind.name != "TRANSLATION_UNIT"


def _is_static(function: Node) -> bool:
    return bool(function.cursor.storage_class.name == "STATIC")


def _is_context(parameter: Node) -> bool:
    if not is_pointer(parameter.type):
        return False
    record = pointee(parameter.type).get_declaration().spelling
    return record in _CONTEXTS or bool(_TRACE_CONTEXT.match(record))


def _is_void(type_: Any) -> bool:
    return is_pointer(type_) and bool(pointee(type_).get_canonical().kind.name == "VOID")


def _points_at_record(node: Node) -> bool:
    """Whether a pointer, or the cast around an integer, is to a structure."""
    outer: Node | None = node
    while outer is not None and not is_pointer(outer.type):
        if outer.parent is None or outer.parent.kind not in ("CSTYLE_CAST_EXPR", "PAREN_EXPR", "UNEXPOSED_EXPR"):
            break
        outer = outer.parent
    return (
        outer is not None and is_pointer(outer.type) and bool(pointee(outer.type).get_canonical().kind.name == "RECORD")
    )


def _is_null(node: Node) -> bool:
    bare = node.uncast
    return bare.kind == "INTEGER_LITERAL" and bare.text in (b"0", b"NULL")
