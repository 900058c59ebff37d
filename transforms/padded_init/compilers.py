"""What clang itself does about an object's bytes: when it clears all of them, and how large a clearing it can make.

Measured with clang 14 and 19 for the BPF target, which do the same, and read in clang's CodeGen (CGExprAgg.cpp,
`CheckAggExprForMemSetUse`; CGDecl.cpp, `emitStoresForConstant`). C promises none of it.
"""

from __future__ import annotations

from ebpffix.editing.settle import NoEdit
from ebpffix.frontend import Node, Type
from ebpffix.kernel.inline_copy import is_inline

from .initialiser import is_constant, value_of

_SMALL = 16  # bytes; up to these the members are stored one by one
_CONSTANT = "all values are constants: today's clang clears the padding with them, C does not promise it"
_MOSTLY_ZERO = (
    f"most of it is zero, and today's clang then clears all of an object of more than {_SMALL} bytes; "
    "C does not promise it"
)


def clears(items: Node, type_: Type, *, declared: bool) -> str:
    """Why clang clears what a list leaves out, padding too, as a doubt in words; "" where it does not. `declared`: the
    list stands in the object's declaration, not in an assignment."""
    if is_constant(items):
        return _CONSTANT if declared else ""
    return _MOSTLY_ZERO if type_.size > _SMALL and 4 * _not_zero(items) <= type_.size else ""


def _not_zero(value: Node) -> int:
    """The bytes of the values that are not plainly 0, as clang counts them: of a bitfield those of its type, and of a 0
    that is converted those of the type that it becomes."""
    while value.kind == "PAREN_EXPR":
        value = value.children[0]
    if value.kind == "INIT_LIST_EXPR":
        return sum(_not_zero(value_of(item)) for item in value.children)
    return 0 if value.kind == "INTEGER_LITERAL" and value.integer == 0 else value.type.size


def clearing(name: bytes, type_: Type, *, pointer: bool = False) -> bytes:
    """The statement that clears an object, or what a pointer of this name points at. NoEdit where it is too large."""
    if not is_inline(type_.size):
        raise NoEdit(
            f"it has {type_.size} bytes, more than clang clears at once; clear it in pieces of 1024 bytes, with "
            '`asm volatile("" ::: "memory")` between them'
        )
    return b"__builtin_memset(%s, 0, sizeof(%s));" % ((name, b"*" + name) if pointer else (b"&" + name, name))
