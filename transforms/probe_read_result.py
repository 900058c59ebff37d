"""Keep the error of a probe read: its result is signed.

What it does: a local of an unsigned type that takes the result of a probe read, and is then tested as if errors were
small, becomes `int` (`long` if it is 64 bits wide): `u32 len = bpf_probe_read_kernel_str(…); if (len > 3)`.

Why: on failure the result is negative, -EFAULT mostly. In a `u32` that is 4294967282, so `len > 3` holds, `len < 0`
never does, and a buffer is used that nobody filled. With `int` and `> 0` an error is an error.

The same goes for every helper that returns a negative error, where a test is `< 0` or `>= 0`.

Safe where the variable is only compared, and one test can never hold (`len < 0`) or always holds (`len >= 0`): then the
test says what was meant.
Suggested where it is compared with a small number (`len > 3`), or used further, as a size or an index, or set to other
values too: the verifier must then see a bound on both sides, `if (len > 0 && len < sizeof(buf))`.
Advice where it is declared together with others behind it, or is a parameter.

Left alone: a comparison with the buffer's size or more (`len > sizeof(buf)`), or one that only small values pass
(`len < sizeof(buf)`), which a large unsigned value fails on purpose, unless it leaves the small ones (`if (len <= 1)
break;`) and goes on with the large; a test for zero of a read that gives no length;
results that are not tested; members and globals.

Limits: a bound that is no constant (`len > max`) counts as one on purpose.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ebpffix.analysis.flow import Flow
from ebpffix.editing.statements import has_comment, in_block
from ebpffix.fix import BCC, LIBBPF, Edit, Fix, Safety, Span
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.helpers import Returns
from ebpffix.transform import Cure, Transform

TRANSFORM = Transform(
    name="probe-read-result",
    pattern=6,
    dialects=(BCC, LIBBPF),
    triggers=(
        rb"=\s*(?:\([\w\s]+\)\s*)?(?:bpf_(?!map_lookup|get_current|ktime|get_prandom|get_smp)\w+\s*\(|BPF_(?:CORE|PROBE)_READ)",
        rb"=\s*\w+\s*\.\s*perf_submit",
    ),
    summary="result of a probe read in an unsigned variable, where an error looks like a length",
    imperative="keep the result of a probe read in a signed variable",
    shape="an unsigned variable hides the error of a probe read, or of another helper",
    safe="tested `< 0` only",
    suggested="otherwise",
    advice="used as an index",
    cures=(Cure("unclamped-index"),),
)

_UNSIGNED = ("UCHAR", "USHORT", "UINT", "ULONG", "ULONGLONG")
_TYPE = re.compile(
    rb"(?:unsigned(?:\s+(?:char|short|int|long))*|size_t|_*u(?:8|16|32|64)|uint(?:8|16|32|64)?(?:_t)?)\b"
)
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


@dataclass
class _Result:
    """A variable that takes results: what is done with it."""

    declaration: Node
    reads: list[Node] = field(default_factory=list)  # the calls
    dead: list[Node] = field(default_factory=list)  # tests that cannot see an error
    small: list[Node] = field(default_factory=list)  # tests that an error passes like a length
    bounds: list[Node] = field(default_factory=list)  # tests that an error fails, for it is large
    others: list[Node] = field(default_factory=list)  # uses as a value, other assignments


def find(unit: Unit) -> Iterator[Fix]:
    for function in unit.functions:
        results: dict[int, _Result] = {}
        for node in function.find("VAR_DECL", "BINARY_OPERATOR"):
            target, read = _taken(node)
            if target is not None and read is not None and target.type.kind in _UNSIGNED:
                results.setdefault(target.decl, _Result(target)).reads.append(read)
        if results:
            _judge(function, results)
        for result in results.values():
            if result.dead or (result.small and not result.bounds):
                yield _fix(unit, function, result)


def _taken(node: Node) -> tuple[Node | None, Node | None]:
    """The local that a node sets to the result of a probe read, and the call."""
    target: Node | None
    if node.assignment is None:
        return None, None
    target, value = node.assignment
    if target.kind == "DECL_REF_EXPR":
        target = target.declaration
    if target is None or not target.is_local or target.kind != "VAR_DECL":
        return None, None
    read = _call(value.uncast)
    return (target, read) if read is not None else (None, None)


def _call(value: Node) -> Node | None:
    """The call of a helper that can fail whose result an expression is, through a chain of assignments too;
    BPF_CORE_READ_INTO is a statement expression that ends in one."""
    while value.operator == "=" or (value.kind == "StmtExpr" and value.children and value.children[0].children):
        value = (value if value.operator == "=" else value.children[0]).children[-1].uncast
    does = value.helper
    return value if does is not None and does.returns in (Returns.ERROR, Returns.LENGTH) else None


def _gives_length(read: Node) -> bool:
    return read.helper is not None and read.helper.reads_string


def _judge(function: Node, results: dict[int, _Result]) -> None:
    flow = Flow(function)
    for node in function.find("DECL_REF_EXPR"):
        result = results.get(node.decl)
        if result is None:
            continue
        inner, outer = _without_casts(node)
        if outer is None:
            continue
        is_first = bool(outer.children) and (outer.children[0].bare.start, outer.children[0].bare.end) == inner
        if outer.kind == "BINARY_OPERATOR" and outer.operator == "=" and is_first:
            if _call(outer.children[1].uncast) is None:
                result.others.append(outer)
        elif outer.kind == "BINARY_OPERATOR" and outer.operator in _MIRRORED:
            operator = outer.operator if is_first else _MIRRORED[outer.operator]
            if not _sees_a_read(flow, outer, result):
                result.others.append(outer)
                continue
            _compared(result, outer, operator, outer.children[1] if is_first else outer.children[0])
        elif _is_truth(outer):
            if _gives_length(result.reads[0]):
                result.small.append(outer)
        else:
            result.others.append(outer)


def _sees_a_read(flow: Flow, test: Node, result: _Result) -> bool:
    """Whether what a test looks at can be the result of a read, and not only another value of the variable."""
    step = flow.step(test)
    reads = {flow.step(read) for read in result.reads}
    return step is None or flow.opaque or step in reads or bool(flow.definitions(step, result.declaration.decl) & reads)


def _leaves(test: Node) -> bool:
    """Whether a test is the condition of an `if` that goes away where it holds: the other side is what is kept."""
    outer = test.outer
    if outer is None or outer.kind != "IF_STMT" or len(outer.children) != 2 or outer.children[0].bare is not test:
        return False
    body = outer.children[1]
    last = body.children[-1] if body.kind == "COMPOUND_STMT" and body.children else body
    return last.kind in ("RETURN_STMT", "BREAK_STMT", "CONTINUE_STMT", "GOTO_STMT")


def _without_casts(node: Node) -> tuple[tuple[int, int], Node | None]:
    """The span of an expression with casts around it, and what uses it."""
    span, outer = (node.start, node.end), node.outer
    while outer is not None and outer.kind == "CSTYLE_CAST_EXPR":
        span, outer = (outer.start, outer.end), outer.outer
    return span, outer


def _is_truth(outer: Node) -> bool:
    return outer.kind in ("IF_STMT", "WHILE_STMT") or (
        outer.kind in ("UNARY_OPERATOR", "BINARY_OPERATOR") and outer.operator in ("!", "&&", "||")
    )


def _compared(result: _Result, test: Node, operator: str, other: Node) -> None:
    value = _constant(other)
    size = _constant(result.reads[0].arguments[1]) if len(result.reads[0].arguments) > 1 else None
    if value == 0 and operator in ("<", ">=", "<="):
        result.dead.append(test)
    elif operator in ("==", "!="):
        if (value == 0 or (value == 1 and _leaves(test))) and _gives_length(result.reads[0]):
            result.small.append(test)
    elif operator in ("<", "<=") and not (_gives_length(result.reads[0]) and value is not None and _leaves(test)):
        result.bounds.append(test)
    elif value is not None and (size is None or value < size - 1) and value < 64:
        if _gives_length(result.reads[0]):  # `> 0` says of other helpers that they failed
            result.small.append(test)
    else:
        result.bounds.append(test)


def _constant(node: Node) -> int | None:
    """The value of a literal, or of `sizeof` something."""
    bare = node.uncast
    if bare.kind == "CXX_UNARY_EXPR" and bare.children:
        return bare.children[0].bare.type.size
    return bare.integer


def _fix(unit: Unit, function: Node, result: _Result) -> Fix:
    name, test = result.declaration.name, (result.dead or result.small)[0]
    said = b" ".join(test.text.split()).decode("utf-8", "replace") if test.kind == "BINARY_OPERATOR" else name
    wide = result.declaration.type.size == 8
    better = b"long" if wide else b"int"
    why = "never sees an error" if result.dead else "takes an error for a length"
    if result.dead and ">=" in test.operator:
        why = "holds for an error too"
    message = f"`{name}` is unsigned, so `{said}` {why} of `{result.reads[0].name}`: make it `{better.decode()}`"
    at = Span(test.path, test.start, test.end)
    edit = _retyped(unit, function, result.declaration, better)
    if edit is None:
        return Fix(at, message, Safety.ADVICE, reason="its declaration declares others too, or stands in a macro")
    reason = ""
    if not result.dead:
        reason = "an error takes the other branch then"
    if result.others:
        reason = "it is used as a number too; as an index or a size it must be bounded on both sides"
    return Fix(at, message, Safety.SUGGESTED if reason else Safety.SAFE, [edit], reason)


def _retyped(unit: Unit, function: Node, target: Node, better: bytes) -> Edit | None:
    """The declaration of a variable with a better type: alone, or the last of several, which then stands alone."""
    statement = next((s for s in function.find("DECL_STMT") if any(c.decl == target.decl for c in s.children)), None)
    if statement is None or statement.path not in unit.sources:
        return None
    source, name = unit.sources[statement.path], re.escape(target.name.encode())
    variables = [c for c in statement.children if c.kind == "VAR_DECL"]
    if len(variables) == 1:
        match = re.compile(rb"(?:const\s+)?(" + _TYPE.pattern + rb")\s+" + name + rb"\b").match(
            source.code, statement.start
        )
        text = better
    else:
        before = variables[-2].end
        match = re.compile(rb"(\s*,\s*)" + name + rb"\b").match(source.code, before)
        text = b";" + source.newline + source.indent(statement.start) + better + b" "
        if variables[-1].decl != target.decl or not in_block(statement) or not _TYPE.match(statement.text):
            return None
    if (
        not match
        or not unit.editable(statement.path, *match.span(1))
        or has_comment(unit, statement.path, *match.span(1))
    ):
        return None
    return Edit(statement.path, *match.span(1), text)
