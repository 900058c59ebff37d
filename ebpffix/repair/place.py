"""Where a guard goes, what it does when it fails, and how it is written.

The failing branch returns what the function's own guards return, else what this type of program returns to let things
pass. `guard()` writes `if (…) return …;` in front of a statement, `guard_behind()` behind one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress

from ebpffix.editing import statements
from ebpffix.editing.settle import NoEdit
from ebpffix.editing.statements import in_block, indent_step
from ebpffix.fix import BCC, Edit
from ebpffix.frontend import Node, Unit

# What a program returns so that nothing is dropped, denied or redirected; by the beginning of its section.
_PASSING = (
    (r"xdp", ("XDP_PASS", "2")),
    (r"tc|tcx|classifier|action|netkit", ("TC_ACT_OK", "0")),
    (r"sk_skb|sk_msg|sk_reuseport|sk_lookup|flow_dissector", ("SK_PASS", "1")),
    (r"cgroup|sockops", ("1",)),
    (r"lwt", ("BPF_OK", "0")),
    (r"netfilter", ("NF_ACCEPT", "1")),
)
# Of <linux/bpf.h>, which every program of these types has.
_ENUMERATORS = frozenset((b"XDP_PASS", b"SK_PASS", b"BPF_OK"))
_GUARDS = re.compile(rb"end\b|![ \t]*\w|NULL|<[ \t]*0|>=?[ \t]*(?:sizeof|[A-Z])")


_LOOPS = ("FOR_STMT", "WHILE_STMT", "DO_STMT")


def failing_value(unit: Unit, function: Node) -> bytes | None:
    """What a guard in this function returns: b"" in a function without a value, None where nothing fits."""
    result = function.type.result
    if result.is_void:
        return b""
    if common := _usual(unit, function):
        return common
    if result.is_pointer:
        return b"NULL" if _known(unit, b"NULL") else b"0"
    section = unit.program_section(function).decode(errors="replace")
    if not section and unit.dialect == BCC and not unit.mentions(function):
        return b"0"  # a program that the host attaches
    if not section:
        return None if result.is_record else _own_failure(function)
    for pattern, values in _PASSING:
        if re.match(pattern, section):
            return next(v.encode() for v in values if not v.isidentifier() or _known(unit, v.encode()))
    return b"0"


def _own_failure(function: Node) -> bytes:
    """Of a function that a program calls: -1 where it can be told from a result, else 0."""
    return b"-1" if function.type.result.kind in ("INT", "LONG", "LONGLONG") else b"0"


def _usual(unit: Unit, function: Node) -> bytes:
    """The constant that the function's guards, which test a pointer or a limit, return most often."""
    guards: Counter[bytes] = Counter()
    for node in function.find("IF_STMT"):
        body = node.body
        returns = [body] if body is not None and body.kind == "RETURN_STMT" else []
        if body is not None and body.kind == "COMPOUND_STMT" and body.children:
            returns = [body.children[-1]] if body.children[-1].kind == "RETURN_STMT" else []
        for each in returns:
            if value := _constant(unit, each):
                guards[value] += bool(_GUARDS.search(unit.text(node.children[0])))
    value, count = next(iter(guards.most_common(1)), (b"", 0))
    return value if count else b""


def _constant(unit: Unit, node: Node) -> bytes:
    """The text of what a return statement returns, if that is constant."""
    if not node.children or node.children[0].constant is None:
        return b""
    text = unit.source_of(node).data[node.start : node.end]
    match = re.fullmatch(rb"return\b\s*\(?([^;()]*?)\)?\s*;?", text)
    return match[1] if match else b""


def _known(unit: Unit, name: bytes) -> bool:
    """Whether the program can use a macro or an enumerator of this name."""
    if name in _ENUMERATORS:
        return True
    header = b"pkt_cls.h" if name.startswith(b"TC_") else b""
    return any(re.search(rb"\b%s\b" % name, s.code) or (header and header in s.data) for s in unit.sources.values())


def leave(unit: Unit, node: Node, value: bytes | None = None) -> bytes | None:
    """The statement that leaves the function of `node`: `return …;`; None where nothing fits."""
    function = node.function
    if function is None:
        return None
    value = failing_value(unit, function) if value is None else value
    if value is None:
        return None
    return b"return " + value + b";" if value else b"return;"


def leaving(unit: Unit, statement: Node) -> Iterator[bytes]:
    """What a guard in front of a statement can do when it fails, the usual first."""
    if action := leave(unit, statement):
        yield action
    if any(n.kind in _LOOPS for n in statement.ancestors):
        yield b"break;"


def before(unit: Unit, statement: Node, lines: Sequence[bytes]) -> list[Edit]:
    """Statements in front of another; no edits where they cannot stand there, for another candidate may do."""
    with suppress(NoEdit):
        return statements.before(unit, statement, lines)
    return []


def after(unit: Unit, statement: Node, lines: Sequence[bytes]) -> list[Edit]:
    """The same behind a statement."""
    with suppress(NoEdit):
        return statements.after(unit, statement, lines)
    return []


def guard(unit: Unit, statement: Node, condition: bytes, action: bytes) -> list[Edit]:
    """`if (condition) action` in front of a statement, on two lines, in the file's indentation."""
    return before(unit, statement, _lines(unit, statement, condition, [action]))


def guard_behind(unit: Unit, statement: Node, condition: bytes, action: bytes) -> list[Edit]:
    """The same behind a statement."""
    return after(unit, statement, _lines(unit, statement, condition, [action]))


def _lines(unit: Unit, statement: Node, condition: bytes, actions: Sequence[bytes]) -> list[bytes]:
    step = indent_step(unit.source_of(statement))
    if len(actions) == 1:
        return [b"if (" + condition + b")", step + actions[0]]
    return [b"if (" + condition + b") {", *(step + action for action in actions), b"}"]


def condition_part(node: Node, statement: Node) -> Node | None:
    """The part of an `if`'s condition that holds an expression, in front of which another condition can be put with
    `&&`: the operand of an `&&`, else the whole; None where the expression is in no such condition."""
    if statement.kind != "IF_STMT":
        return None
    part = node
    while part.parent is not None and part.parent is not statement:
        if part.parent.operator == "&&":
            return part
        if part.parent.kind == "StmtExpr" or part.is_statement:
            return None
        part = part.parent
    return part if part is statement.children[0] else None


def standing(statement: Node) -> Node:
    """The nearest statement from this one upward that others can be put in front of: not behind an else, not the first
    behind a case."""
    node = statement
    while not in_block(node) and node.parent is not None and node.parent.kind in ("IF_STMT",):
        if node is node.parent.body or node.kind != "IF_STMT":
            break
        node = node.parent.statement
    return node


def step(unit: Unit, node: Node) -> bytes:
    """One level of indentation in the file of a node."""
    return indent_step(unit.source_of(node))
