"""strlen: the result of the read that filled the buffer, or a loop that counts."""

from __future__ import annotations

from ebpffix.analysis.flow import Flow
from ebpffix.analysis.provenance import Space, prove
from ebpffix.analysis.values import taker
from ebpffix.editing.c import one_line, statements
from ebpffix.editing.calls import LibcCall
from ebpffix.editing.hoist import Place, place, takes_braces
from ebpffix.editing.settle import Made, NoEdit, first_of, settle
from ebpffix.editing.statements import before, has_comment, nth_local
from ebpffix.fix import Edit, Fix
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.helpers import helper

from .said import NO_LOAD, builtin, is_literal, room, there_is_no

_RETURNED = "the helper that read the string returns its size, with the NUL"
_BY_HAND = "count in a loop of a constant number of steps"
_MOST = 256  # bytes that a loop goes through
_LOOPS = (5, 3)  # the first kernel with loops
_LOOP = """
    unsigned int {count} = 0;
    while ({count} < sizeof({buffer}) && {buffer}[{count}])
    \t{count}++;
"""


def length(unit: Unit, call: LibcCall) -> Fix:
    if is_literal(call.arguments[0]):
        return builtin(call, "there is no libc in BPF: `strlen` of a literal is only what the compiler makes of it")
    buffer = call.arguments[0].uncast

    def made() -> Made:
        return first_of(lambda: _returned(unit, call, buffer), lambda: _counted(unit, call, buffer))

    return settle(call.node, there_is_no(call), made, NO_LOAD)


def _returned(unit: Unit, call: LibcCall, buffer: Node) -> Made:
    """The result of the only `_str` read into a local array, kept in a variable that nothing else sets."""
    function = call.node.function
    if function is None or buffer.kind != "DECL_REF_EXPR" or not room(buffer):
        raise NoEdit(_RETURNED)
    flow = Flow(function)
    here = flow.step(call.node)
    writes = [u for u in flow.changes(buffer.decl) if u.node.kind != "VAR_DECL" and not _is_strlen(u.call)]
    if flow.opaque or here is None or len(writes) != 1:
        raise NoEdit(_RETURNED)
    read, step = writes[0].call, flow.step(writes[0].node)
    does = helper(read.name) if read is not None else None
    if read is None or step is None or does is None or not does.reads_string or not flow.dominates(step, here):
        raise NoEdit(_RETURNED)
    if read.arguments[0].uncast.text.lstrip(b"&") != buffer.text:
        raise NoEdit(_RETURNED)
    variable = taker(read)
    if variable is None or variable.type.is_pointer or len(flow.changes(variable.decl)) > _sets(flow, variable):
        raise NoEdit(_RETURNED)
    edit = _in_place(unit, call, variable.name.encode() + b" - 1")
    how = f"; the read of `{one_line(buffer.text)}` returned its size"
    return Made([edit], how, "it is negative where the read failed")


def _is_strlen(call: Node | None) -> bool:
    return call is not None and call.name == "strlen"


def _sets(flow: Flow, variable: Node) -> int:
    """How often a variable is mentioned as written, where one value is all that it gets: its declaration may be apart
    from that."""
    declared = [u.node for u in flow.uses(variable.decl) if u.node.kind == "VAR_DECL"]
    return 2 if len(declared) == 1 and not declared[0].children else 1


def _in_place(unit: Unit, call: LibcCall, value: bytes) -> Edit:
    if not unit.editable(call.at.path, call.node.start, call.node.end):
        raise NoEdit("a macro's body holds it")
    if has_comment(unit, call.at.path, call.node.start, call.node.end):
        raise NoEdit("a comment in it would be lost")
    outer = call.node.outer
    alone = outer is not None and (outer.kind in ("VAR_DECL", "RETURN_STMT") or outer.operator == "=")
    return unit.edit(call.node, value if alone or value.isalnum() else b"(" + value + b")")


def _counted(unit: Unit, call: LibcCall, buffer: Node) -> Made:
    """A loop in front of the statement."""
    function, statement, proof = call.node.function, call.node.statement, prove(unit, buffer)
    if proof.is_untrusted_kernel or proof.space is Space.USER:
        raise NoEdit("read the string first: the read returns its size, with the NUL")
    simple = buffer.kind in ("DECL_REF_EXPR", "MEMBER_REF_EXPR") and buffer.type.pointee.size == 1
    if function is None or not simple or not 0 < room(buffer) <= _MOST or unit.target_kernel < _LOOPS:
        raise NoEdit(_BY_HAND)
    if not (proof.is_bpf and proof.is_certain) or proof.space in (Space.CTX, Space.PACKET):
        raise NoEdit(_BY_HAND)
    if not takes_braces(statement) or place(call.node, statement) is not Place.ONCE:
        raise NoEdit(_BY_HAND)
    if _may_be_unwritten(function, call.node, buffer):
        raise NoEdit("nothing may have been written to it yet")
    name = nth_local(unit, function, b"length", _number(unit, function, call.node))
    lines = statements(unit.source_of(call.node), _LOOP, count=name, buffer=buffer.text)
    edits = [*before(unit, statement, lines), _in_place(unit, call, name)]
    how = f"; a loop counts the letters of `{one_line(buffer.text)}`"
    return Made(edits, how, "a string without an end is as long as the array")


def _number(unit: Unit, function: Node, call: Node) -> int:
    """Which of the strlen of a function it is, from 1: each counts in a variable of its own."""
    calls = [c for c in unit.calls_of("strlen") if c.function is function and not is_literal(c.arguments[0])]
    return calls.index(call) + 1


def _may_be_unwritten(function: Node, call: Node, buffer: Node) -> bool:
    """Whether a path leads from the declaration of a local array to a place without a write of it: the verifier lets
    nobody read what the stack held before."""
    root = buffer
    while root.kind == "MEMBER_REF_EXPR" and not root.arrow and root.children:
        root = root.children[0].bare
    flow = Flow(function)
    here = flow.step(call)
    if not root.is_local or root.type.is_pointer or here is None:
        return False
    steps = [step.node for step in flow.definitions(here, root.decl)]
    return flow.opaque or any(n is not None and n.kind == "VAR_DECL" and n.initialiser is None for n in steps)
