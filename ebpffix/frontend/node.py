"""Node: one place in the syntax tree, with its bytes.

A thin view of a libclang cursor, made only where a transform looks: children, extent and type are asked for once, on
first use. Kinds are libclang's names ("CALL_EXPR"), so its documentation applies.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ebpffix.frontend import clang

if TYPE_CHECKING:
    from ebpffix.frontend.unit import Unit

# Kinds that mean nothing to a reader of C: parentheses, and the conversions that the compiler adds.
_MEMBER = re.compile(rb"\s*(->|\.)\s*(\w+)")
_TRANSPARENT = frozenset(("PAREN_EXPR", "UNEXPOSED_EXPR"))


class Node:
    """One cursor. `start` and `end` are byte offsets (0-based, end exclusive) in `path`, where a person wrote it."""

    __slots__ = ("_at", "_body", "_children", "_decl", "_extent", "_past", "_tree", "cursor", "kind", "parent", "unit")

    def __init__(self, unit: Unit, cursor: Any, parent: Node | None) -> None:
        self.unit = unit
        cursor._tu = unit.tu  # what cindex sets in its own walk, and its types and references need
        self.cursor = cursor
        self.parent = parent
        self.kind = clang.kind_name(cursor)  # libclang's name for it, such as "CALL_EXPR"
        self._children: list[Node] | None = None
        # All nodes of the declaration in source order, and the part of them that is this node and what is below it.
        self._tree: list[Node] = []
        self._at = self._past = 0
        self._body: Node | None = None
        self._decl: int | None = None
        self._extent: tuple[Path | None, int, int] | None = None

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name!r} {self.start}-{self.end}>"

    @property
    def name(self) -> str:
        """The spelling: of a declaration, a reference, a member, a call's function; "" where there is none."""
        return self.cursor.spelling or ""

    @property
    def children(self) -> list[Node]:
        return self._grow() if self._children is None else self._children

    def _grow(self) -> list[Node]:
        """Make all nodes below a declaration; its children. A translation unit's children grow when they are asked."""
        self._children = made = []
        if self.kind == "TRANSLATION_UNIT":
            made += [Node(self.unit, cursor, self) for cursor in clang.children(self.cursor)]
            return made
        tree, above, keys, last = [self], [self], [bytes(self.cursor)], self
        for cursor, parent in clang.below(self.cursor):
            key = bytes(parent)
            if key != keys[-1]:  # no sibling of the last one, but below it or past its family
                above.append(last)
                keys.append(bytes(last.cursor))
                while key != keys[-1] and len(keys) > 1:
                    keys.pop()
                    above.pop()._past = len(tree)
            last = Node(self.unit, cursor, above[-1])
            last._children, last._tree, last._at = [], tree, len(tree)
            above[-1].children.append(last)
            tree.append(last)
            last._past = len(tree)
        self._tree = tree
        for node in above:
            node._past = len(tree)
        return made

    def walk(self) -> Iterator[Node]:
        """This node and all below it, in source order."""
        if self._children is None:
            self._grow()
        if self._tree:
            return iter(self._tree[self._at : self._past])
        return itertools.chain((self,), *(child.walk() for child in self.children))

    def find(self, *kinds: str) -> Iterator[Node]:
        """The nodes of these kinds among this node and all below it, in source order."""
        return (node for node in self.walk() if node.kind in kinds)

    @property
    def ancestors(self) -> Iterator[Node]:
        """The nodes above this one, nearest first."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent

    # -- place

    def _locate(self) -> tuple[Path | None, int, int]:
        if self._extent is None:
            self._extent = self.unit.extent(self.cursor)
        return self._extent

    @property
    def path(self) -> Path:
        """The file in which it was written; an empty path for what stands in no file (builtins, command line)."""
        return self._locate()[0] or Path()

    @property
    def start(self) -> int:
        return self._locate()[1]

    @property
    def end(self) -> int:
        return self._locate()[2]

    @property
    def text(self) -> bytes:
        """The bytes of the file from `start` to `end`; empty for a file outside the run."""
        return self.unit.text(self)

    # -- meaning

    @property
    def type(self) -> Any:
        """The cindex.Type of the expression or declaration, typedefs and qualifiers kept."""
        return self.cursor.type

    @property
    def decl(self) -> int:
        """An identity for what is declared or referred to: equal for two references to one object; 0 for none."""
        if self._decl is None:
            target = self.cursor if self.cursor.kind.is_declaration() else self.cursor.referenced
            self._decl = 0 if target is None else target.canonical.data[0] or 0
        return self._decl

    @property
    def declaration(self) -> Node | None:
        """The declaration that this node refers to (for a call: the function or the member), as a node of its own
        without a parent; None if there is none."""
        target = self.cursor.referenced
        return Node(self.unit, target, None) if target is not None else None

    @property
    def operator(self) -> str:
        """The operator of a unary or binary expression as C spells it ("=", "->" is a member, not an operator), with
        "++post"/"--post" for the forms behind their operand; "" elsewhere."""
        if self.kind in ("BINARY_OPERATOR", "COMPOUND_ASSIGNMENT_OPERATOR"):
            return clang.binary_operator(self.cursor)
        if self.kind == "UNARY_OPERATOR":
            return clang.unary_operator(self.cursor)
        return ""

    @property
    def initialiser(self) -> Node | None:
        """Of a variable's declaration: the expression that it is set to; None without one."""
        found = clang.initialiser(self.cursor) if self.kind == "VAR_DECL" else None
        return next((c for c in self.children if c.cursor == found), None) if found is not None else None

    @property
    def integer(self) -> int | None:
        """The value of an integer literal or an enumerator, also where a macro hides it; None for all else."""
        target = self.cursor.referenced if self.kind == "DECL_REF_EXPR" else None
        is_enumerator = target is not None and target.kind.name == "ENUM_CONSTANT_DECL"
        return clang.integer(self.cursor) if self.kind == "INTEGER_LITERAL" or is_enumerator else None

    @property
    def constant(self) -> int | None:
        """The value of an integer expression whose value the compiler knows; None for any other."""
        return clang.integer(self.cursor)

    @property
    def bare(self) -> Node:
        """This expression without parentheses and implicit conversions around it."""
        node = self
        while node.kind in _TRANSPARENT and len(node.children) == 1 and not (node.unit.errors and node.is_lost):
            node = node.children[0]
        return node

    @property
    def is_lost(self) -> bool:
        """Whether clang made no sense of an expression, and kept only a part of it: `p` of `p->no_such_member`."""
        if self.kind != "UNEXPOSED_EXPR" or len(self.children) != 1:
            return False
        inner = self.children[0]
        if (self.start, self.end) != (inner.start, inner.end):
            return True
        # In a macro's body both stand where it is expanded.
        return bool(self.type.kind.name == "DEPENDENT") and not inner.is_lost

    @property
    def lost_member(self) -> tuple[Node, bool, str] | None:
        """Of a member that clang does not know, for the structure is only declared: (the expression before it, whether
        `->` leads to it, its name)."""
        if not self.unit.errors or not (self.is_lost or (self.kind == "MEMBER_REF_EXPR" and not self.name)):
            return None
        source, inner = self.unit.sources.get(self.path), self.children[0] if self.children else None
        if source is None or inner is None or inner.path != self.path:
            return None
        match = _MEMBER.fullmatch(source.code, inner.end, self.end)
        return (inner, match[1] == b"->", match[2].decode()) if match else None

    @property
    def uncast(self) -> Node:
        """This expression without parentheses, implicit conversions and explicit casts around it."""
        node = self.bare
        while node.kind == "CSTYLE_CAST_EXPR":
            node = node.children[-1].bare
        return node

    @property
    def outer(self) -> Node | None:
        """The nearest node above that is no parenthesis and no implicit conversion."""
        node = self.parent
        while node is not None and node.kind in _TRANSPARENT:
            node = node.parent
        return node

    # -- calls

    @property
    def callee(self) -> Node | None:
        """Of a call: the expression that is called, bare."""
        return self.children[0].bare if self.kind == "CALL_EXPR" and self.children else None

    @property
    def arguments(self) -> list[Node]:
        """Of a call: its arguments, as written."""
        return self.children[1:] if self.kind == "CALL_EXPR" else []

    @property
    def arrow(self) -> bool:
        """Of a member access: whether it is `p->m`."""
        return self.kind == "MEMBER_REF_EXPR" and bool(self.children) and is_pointer(self.children[0].type)

    # -- statements

    @property
    def statement(self) -> Node:
        """The nearest node, from this one on upward, that stands as a statement of its own: in a block, as the body
        of if/else/for/while/do/switch, or behind a label."""
        node = self
        while node.parent is not None and not node.is_statement:
            node = node.parent
        return node

    @property
    def is_statement(self) -> bool:
        parent = self.parent
        if parent is None:
            return False
        if parent.kind in ("COMPOUND_STMT",):
            return True
        if parent.kind in ("IF_STMT", "FOR_STMT", "WHILE_STMT", "SWITCH_STMT"):
            return self is parent.body or (parent.kind == "IF_STMT" and self in parent.children[1:])
        if parent.kind == "DO_STMT":
            return self is parent.children[0]
        if parent.kind in ("CASE_STMT", "DEFAULT_STMT", "LABEL_STMT"):
            return self is parent.children[-1]
        return False

    @property
    def body(self) -> Node | None:
        """Of a function definition, a loop or a switch: its body; of an if: what is done when it holds."""
        if self.kind == "FUNCTION_DECL":  # asked for all the time
            if self._body is None:
                self._body = next((c for c in reversed(self.children) if c.kind == "COMPOUND_STMT"), None)
            return self._body
        if self.kind == "IF_STMT":
            return self.children[1] if len(self.children) > 1 else None
        if self.kind in ("FOR_STMT", "WHILE_STMT", "SWITCH_STMT"):
            return self.children[-1]
        return self.children[0] if self.kind == "DO_STMT" else None

    @property
    def function(self) -> Node | None:
        """The function definition around this node."""
        return next((n for n in self.ancestors if n.kind == "FUNCTION_DECL"), None)

    @property
    def from_macro_body(self) -> bool:
        """Whether its text stands in a macro's body, so that no edit of it is possible where it is used."""
        return not self.unit.editable(self.path, self.start, self.end)


def is_pointer(type_: Any) -> bool:
    """Whether a cindex.Type is a pointer (an array is none)."""
    return bool(type_.get_canonical().kind.name == "POINTER")


def pointee(type_: Any) -> Any:
    """What a pointer or array type points at, typedefs resolved; the type itself if it is neither."""
    canonical = type_.get_canonical()
    if canonical.kind.name == "POINTER":
        return canonical.get_pointee()
    if canonical.kind.name.endswith("ARRAY"):
        return canonical.element_type
    return canonical
