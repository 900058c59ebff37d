"""How a program gets at memory: through which pointer, whether it loads or stores."""

from __future__ import annotations

from ebpffix.frontend import Node

_NOT_LOADED = frozenset("CONSTANTARRAY INCOMPLETEARRAY VARIABLEARRAY FUNCTIONPROTO VOID DEPENDENT INVALID".split())


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
