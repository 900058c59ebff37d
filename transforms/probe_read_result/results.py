"""Variables and members of an unsigned type that take the result of a helper that can fail.

    results(function) -> list[Result]    in the order of their first calls

A result is followed through a chain: in `n = r.len = bpf_probe_read_kernel_str(…)` both take it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ebpffix.analysis.flow import same_expression
from ebpffix.frontend import Node
from ebpffix.kernel.helpers import Helper

UNSIGNED = ("UCHAR", "USHORT", "UINT", "ULONG", "ULONGLONG")


@dataclass(frozen=True)
class Taken:
    """A call whose result is taken, and how many bytes of it arrive unsigned by way of a chain (8: all)."""

    call: Node
    helper: Helper
    bytes_left: int


@dataclass(frozen=True)
class Result:
    """What takes results: `place` is the declaration of a local variable, or the first mention of a member or of a
    variable that others see."""

    place: Node
    taken: tuple[Taken, ...]

    @property
    def is_local(self) -> bool:
        """Whether it is a variable whose type is nobody else's business."""
        return self.place.kind == "VAR_DECL"

    @property
    def is_length(self) -> bool:
        """Whether the results say how many bytes were filled in."""
        return self.taken[0].helper.fills is not None

    @property
    def name(self) -> str:
        """As the program writes it."""
        return self.place.name if self.is_local else b"".join(self.place.text.split()).decode("utf-8", "replace")

    @property
    def source(self) -> str:
        """The name of the helper."""
        return self.taken[0].call.name

    def is_named_by(self, node: Node) -> bool:
        """Whether an expression is this variable or member."""
        return node.decl == self.place.decl if self.is_local else same_expression(node, self.place)


def results(function: Node) -> list[Result]:
    """What takes results of helpers in a function, each once."""
    found: list[Result] = []
    for node in function.find("VAR_DECL", "BINARY_OPERATOR"):
        target, taken = _taker(node), _taken(node)
        if target is None or taken is None or target.type.kind not in UNSIGNED:
            continue
        known = next((i for i, one in enumerate(found) if one.is_named_by(target)), None)
        if known is None:
            found.append(Result(_place(target), (taken,)))
        else:
            found[known] = Result(found[known].place, (*found[known].taken, taken))
    return found


def _taker(node: Node) -> Node | None:
    """What a node sets, if it has a name that means the same at each mention: no element of an array."""
    target = node.assignment[0] if node.assignment is not None else None
    part = target
    while part is not None and part.kind == "MEMBER_REF_EXPR" and part.children:
        part = part.children[0].bare
    return target if part is not None and part.kind in ("VAR_DECL", "DECL_REF_EXPR") else None


def _place(target: Node) -> Node:
    variable = target.declaration if target.kind == "DECL_REF_EXPR" else target
    return variable if variable is not None and variable.kind == "VAR_DECL" and variable.is_local else target


def _taken(node: Node) -> Taken | None:
    """The call whose result an assignment or a declaration sets something to."""
    left = 8
    for value in _chain(node.assignment[1].uncast) if node.assignment is not None else ():
        if value.kind == "CALL_EXPR":
            does = value.helper
            return Taken(value, does, left) if does is not None and does.returns.may_be_error else None
        if value.type.kind in UNSIGNED:
            left = min(left, value.type.size)
    return None


def _chain(value: Node) -> Iterator[Node]:
    """The assignments of a chain, and what the last of them sets; BPF_CORE_READ_INTO is a statement expression that
    ends in the call."""
    while value.operator == "=" or (value.kind == "StmtExpr" and value.children and value.children[0].children):
        if value.operator == "=":
            yield value
        value = (value if value.operator == "=" else value.children[0]).children[-1].uncast
    yield value
