"""What the rooms say in the same words, and what they ask of an argument.

no_form(call, "use …") -> Fix       advice: there is no such function, and why no edit is made
builtin(call, message) -> Fix       safe: the call by the compiler's name for it
is_literal(node), room(node)        of an argument: a string literal; the bytes of an array, 0 for anything else
"""

from __future__ import annotations

from ebpffix.analysis.extent import object_of
from ebpffix.editing.calls import LibcCall
from ebpffix.fix import Fix, Safety
from ebpffix.frontend import Node

NO_LOAD = ": the program will not load"
STEPS = "compare in a loop of a constant number of steps"


def there_is_no(call: LibcCall) -> str:
    return f"there is no {call.name} in BPF"


def no_form(call: LibcCall, reason: str) -> Fix:
    return Fix(call.node, there_is_no(call) + NO_LOAD, Safety.ADVICE, reason=reason)


def builtin(call: LibcCall, message: str) -> Fix:
    return Fix(call.node, message, Safety.SAFE, [call.renamed(b"__builtin_" + call.name.encode())])


def is_literal(node: Node) -> bool:
    return node.uncast.kind == "STRING_LITERAL"


def room(node: Node) -> int:
    array = object_of(node)
    return array.type.size if array is not None and array.type.length is not None else 0
