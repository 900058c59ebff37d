"""Which calls of a program may change a map's entries, also inside the functions that they lead to."""

from __future__ import annotations

from collections.abc import Collection

from ebpffix.analysis.provenance import Entries, maps
from ebpffix.fix import BCC
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.helpers import helper

# What has no body here and can reach no map: helpers and kfuncs without a map, and the compiler's own.
_HELPERS = ("bpf_", "__bpf_", "__builtin_", "__sync_", "__atomic_")


class Changes:
    """Answers for one unit; what it found it keeps."""

    def __init__(self, unit: Unit, entries: Entries) -> None:
        self.unit, self.entries = unit, entries
        self._functions = {f.decl: f for f in unit.functions}
        self._known: dict[tuple[int, frozenset[int]], bool] = {}

    def may_happen(self, node: Node, among: frozenset[int], besides: Collection[Node] = ()) -> bool:
        """Whether evaluating `node`, these calls aside, may insert into, delete from or update one of the maps `among`
        (by `Node.decl`)."""
        ours = {id(call) for call in besides} | {id(call.callee) for call in besides}
        for inner in node.find("CALL_EXPR", "DECL_REF_EXPR"):
            if id(inner) in ours:
                continue
            if inner.kind == "DECL_REF_EXPR":
                # Called, or handed on as a callback.
                function = self._functions.get(inner.decl)
                if function is not None and self._in_function(function, among):
                    return True
            elif self._by_call(inner, among):
                return True
        return False

    def _by_call(self, call: Node, among: frozenset[int]) -> bool:
        operation = self.entries.operation(call)
        if operation is not None:
            changed = maps(self.unit, operation.map) if operation.changes else frozenset()
            return changed is None or bool(changed & among)
        callee = call.callee
        if callee is None or callee.kind not in ("DECL_REF_EXPR", "MEMBER_REF_EXPR"):
            return True
        # Methods of BCC's maps that are no map operation, helpers, and what has a body here, which is looked into.
        return callee.kind == "DECL_REF_EXPR" and callee.decl not in self._functions and not _is_harmless(callee)

    def _in_function(self, function: Node, among: frozenset[int]) -> bool:
        key = function.decl, among
        if key not in self._known:
            self._known[key] = False  # for recursion: what else it does decides
            self._known[key] = function.body is not None and self.may_happen(function.body, among)
        return self._known[key]


def _is_harmless(callee: Node) -> bool:
    """Whether a function without a body here cannot reach a map of the program: helpers, and in BCC the kernel's."""
    known = helper(callee.name)
    if known is not None:
        return not known.changes_map
    return callee.name.startswith(_HELPERS) or callee.unit.dialect == BCC
