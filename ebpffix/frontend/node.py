"""Node: one place in the syntax tree, with its bytes.

A thin view of a libclang cursor, made only where a transform looks: children, extent and type are asked for once, on
first use. Kinds are libclang's names ("CALL_EXPR"), so its documentation applies.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ebpffix.fix import BCC
from ebpffix.frontend import clang
from ebpffix.frontend.owner import Owner
from ebpffix.frontend.type import Field, Type, field_of
from ebpffix.kernel.helpers import Helper, helper, method

# Kinds that mean nothing to a reader of C: parentheses, and the conversions that the compiler adds.
_MEMBER = re.compile(rb"\s*(->|\.)\s*(\w+)")
_TRANSPARENT = frozenset(("PAREN_EXPR", "UNEXPOSED_EXPR"))
_WRITES = ("=", "++", "--", "++post", "--post")
LOOPS = ("FOR_STMT", "WHILE_STMT", "DO_STMT")


class Node:
    """One place in the tree. `start` and `end` are byte offsets (0-based, end exclusive) in `path`, where a person
    wrote it. For `match`: `case Node("BINARY_OPERATOR", "=", [target, value])`.
    """

    __match_args__ = ("kind", "operator", "operands")

    __slots__ = (
        "_at",
        "_body",
        "_children",
        "_cursor",
        "_decl",
        "_extent",
        "_past",
        "_tree",
        "_type",
        "kind",
        "parent",
        "unit",
    )

    def __init__(self, unit: Owner, cursor: Any, parent: Node | None) -> None:
        self.unit = unit
        cursor._tu = unit.tu  # what cindex sets in its own walk, and its types and references need
        self._cursor = cursor
        self.parent = parent
        self.kind = clang.kind_name(cursor)  # libclang's name for it, such as "CALL_EXPR"
        self._children: list[Node] | None = None
        # All nodes of the declaration in source order, and the part of them that is this node and what is below it.
        self._tree: list[Node] = []
        self._at = self._past = 0
        self._body: Node | None = None
        self._decl: int | None = None
        self._type: Type | None = None
        self._extent: tuple[Path | None, int, int] | None = None

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name!r} {self.start}-{self.end}>"

    @property
    def name(self) -> str:
        """The spelling: of a declaration, a reference, a member, a call's function; "" where there is none."""
        return self.unit.called(self._cursor.spelling or "")

    @property
    def children(self) -> list[Node]:
        return self._grow() if self._children is None else self._children

    def _grow(self) -> list[Node]:
        """Make all nodes below a declaration; its children. A translation unit's children grow when they are asked."""
        self._children = made = []
        if self.kind == "TRANSLATION_UNIT":
            made += [Node(self.unit, cursor, self) for cursor in clang.children(self._cursor)]
            return made
        tree, above, keys, last = [self], [self], [bytes(self._cursor)], self
        for cursor, parent in clang.below(self._cursor):
            key = bytes(parent)
            if key != keys[-1]:  # no sibling of the last one, but below it or past its family
                above.append(last)
                keys.append(bytes(last._cursor))
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
            self._extent = self.unit.extent(self._cursor)
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

    # -- declarations

    @property
    def type(self) -> Type:
        """The type of the expression or declaration."""
        if self._type is None:
            self._type = Type(self.unit, self._cursor.type)
        return self._type

    @property
    def decl(self) -> int:
        """An identity for what is declared or referred to: equal for two references to one object; 0 for none."""
        if self._decl is None:
            target = self._declared()
            self._decl = 0 if target is None else target.canonical.data[0] or 0
        return self._decl

    def _declared(self) -> Any | None:
        return self._cursor if self._cursor.kind.is_declaration() else self._cursor.referenced

    @property
    def declaration(self) -> Node | None:
        """The declaration that this node refers to (for a call: the function or the member), as a node of its own
        without a parent; None if there is none."""
        target = self._cursor.referenced
        return Node(self.unit, target, None) if target is not None else None

    @property
    def definition(self) -> Node | None:
        """The definition of what is declared, referred to or called, be it in a header outside of the run, as a node of
        its own without a parent; None where there is none."""
        target = self._declared()
        found = target.get_definition() if target is not None else None
        return Node(self.unit, found, None) if found is not None else None

    @property
    def macro_word(self) -> str:
        """The one name that the macro of an expansion stands for; "" where it stands for anything else."""
        return clang.macro_word(self._cursor)

    @property
    def printed(self) -> str:
        """A declaration in libclang's words: macros expanded, attributes spelled out, without a body."""
        return clang.declared(self._cursor)

    @property
    def is_definition(self) -> bool:
        return bool(self._cursor.is_definition())

    @property
    def is_static(self) -> bool:
        """Whether a function or variable is declared `static`."""
        return bool(self._cursor.storage_class.name == "STATIC")

    @property
    def is_extern(self) -> bool:
        """Whether a function or variable is declared `extern`."""
        return bool(self._cursor.storage_class.name == "EXTERN")

    @property
    def is_local(self) -> bool:
        """Whether it declares or names a parameter or a variable on the stack: one that belongs to one call of its
        function, so that nobody else can write it unless its address is handed out."""
        target = self._declared() if self.kind in ("DECL_REF_EXPR", "VAR_DECL", "PARM_DECL") else None
        if target is None or target.kind.name not in ("VAR_DECL", "PARM_DECL"):
            return False
        owner = target.semantic_parent
        is_global = owner is None or owner.kind.is_translation_unit()
        return not is_global and target.storage_class.name not in ("STATIC", "EXTERN")

    @property
    def is_global(self) -> bool:
        """Whether it declares or names a variable outside of functions."""
        target = self._declared() if self.kind in ("DECL_REF_EXPR", "VAR_DECL") else None
        if target is None or target.kind.name != "VAR_DECL":
            return False
        owner = target.semantic_parent
        return owner is not None and bool(owner.kind.is_translation_unit())

    @property
    def parameters(self) -> list[Node]:
        """Of a function: its parameters."""
        return [c for c in self.children if c.kind == "PARM_DECL"] if self.kind == "FUNCTION_DECL" else []

    def parameter_index(self, decl: int) -> int | None:
        """Of a function: which of its parameters has this `decl`, from 0; None for none."""
        return next((index for index, parameter in enumerate(self.parameters) if parameter.decl == decl), None)

    @property
    def initialiser(self) -> Node | None:
        """Of a variable's declaration: the expression that it is set to; None without one."""
        found = clang.initialiser(self._cursor) if self.kind == "VAR_DECL" else None
        return next((c for c in self.children if c._cursor == found), None) if found is not None else None

    @property
    def field(self) -> Field | None:
        """Of a member access: the member, its offset in bits counted from the struct that declares it."""
        target = self._cursor.referenced if self.kind == "MEMBER_REF_EXPR" else None
        return field_of(self.unit, target) if target is not None and target.kind.name == "FIELD_DECL" else None

    # -- expressions

    @property
    def operator(self) -> str:
        """The operator of a unary or binary expression as C spells it ("=", "->" is a member, not an operator), with
        "++post"/"--post" for the forms behind their operand; "" elsewhere."""
        if self.kind in ("BINARY_OPERATOR", "COMPOUND_ASSIGNMENT_OPERATOR"):
            return clang.binary_operator(self._cursor)
        if self.kind == "UNARY_OPERATOR":
            return clang.unary_operator(self._cursor)
        return ""

    @property
    def operands(self) -> list[Node]:
        """The children of an expression, each bare."""
        return [child.bare for child in self.children]

    @property
    def integer(self) -> int | None:
        """The value of an integer literal or an enumerator, also where a macro hides it; None for all else."""
        target = self._cursor.referenced if self.kind == "DECL_REF_EXPR" else None
        is_enumerator = target is not None and target.kind.name == "ENUM_CONSTANT_DECL"
        return clang.integer(self._cursor) if self.kind == "INTEGER_LITERAL" or is_enumerator else None

    @property
    def constant(self) -> int | None:
        """The value of an integer expression whose value the compiler knows; None for any other."""
        return clang.integer(self._cursor)

    @property
    def bare(self) -> Node:
        """This expression without parentheses and implicit conversions around it."""
        node = self
        while node.kind in _TRANSPARENT and len(node.children) == 1 and not (node.unit.errors and node.is_lost):
            node = node.children[0]
        return node

    @property
    def owner(self) -> tuple[str, int, bool] | None:
        """Of a member that is accessed or initialised: (the structure it belongs to by name, that of the one around an
        anonymous one; an identity for the very structure or union that declares it; whether that is a union)."""
        target = self._cursor.referenced if self.kind in ("MEMBER_REF_EXPR", "MEMBER_REF") else None
        parent = target.semantic_parent if target is not None else None
        if parent is None:
            return None
        named = parent
        while not re.fullmatch(r"[$\w]+", named.spelling or "") and named.semantic_parent is not None:
            named = named.semantic_parent
        name = named.spelling if named.kind.name in ("STRUCT_DECL", "UNION_DECL") else ""
        return self.unit.called(str(name)), parent.canonical.data[0] or 0, bool(parent.kind.name == "UNION_DECL")

    @property
    def is_lost(self) -> bool:
        """Whether clang made no sense of an expression, and kept only a part of it: `p` of `p->no_such_member`."""
        if self.kind != "UNEXPOSED_EXPR" or len(self.children) != 1:
            return False
        inner = self.children[0]
        if (self.start, self.end) != (inner.start, inner.end):
            return True
        # In a macro's body both stand where it is expanded.
        return self.type.kind == "DEPENDENT" and not inner.is_lost

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

    @property
    def outer_uncast(self) -> Node | None:
        """The nearest node above that is no parenthesis and no conversion, implicit or explicit."""
        node = self.outer
        while node is not None and node.kind == "CSTYLE_CAST_EXPR":
            node = node.outer
        return node

    @property
    def address_of(self) -> Node | None:
        """The `x` of `&x`, casts around it aside, bare; None for any other expression."""
        node = self.uncast
        return node.children[0].bare if node.kind == "UNARY_OPERATOR" and node.operator == "&" else None

    @property
    def assignment(self) -> tuple[Node, Node] | None:
        """Of `x = value` and of a declaration with a value: what is set (`x`, bare; the declaration) and the value as
        written. None for all else, also for `x += value`."""
        if self.kind == "BINARY_OPERATOR" and self.operator == "=":
            return self.children[0].bare, self.children[1]
        value = self.initialiser
        return (self, value) if value is not None else None

    @property
    def written(self) -> Node | None:
        """What an assignment, a compound one (`x += 1`), `++` or `--` writes, bare; None for all other expressions."""
        writes = self.kind == "COMPOUND_ASSIGNMENT_OPERATOR" or self.operator in _WRITES
        return self.children[0].bare if writes else None

    @property
    def arrow(self) -> bool:
        """Of a member access: whether it is `p->m`."""
        return self.kind == "MEMBER_REF_EXPR" and bool(self.children) and self.children[0].type.is_pointer

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
    def method(self) -> str:
        """Of a call `m.lookup(…)`: the member's name; "" for all else."""
        callee = self.callee
        return callee.name if callee is not None and callee.kind == "MEMBER_REF_EXPR" else ""

    @property
    def helper(self) -> Helper | None:
        """What is known of the function that a call calls: a helper, or a method of BCC's maps."""
        if self.kind != "CALL_EXPR":
            return None
        called = self.method
        if called:
            return method(called) if self.unit.dialect == BCC else None
        return helper(self.name)

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

    def enclosing(self, *kinds: str) -> Node | None:
        """The nearest node above of one of these kinds."""
        return next((n for n in self.ancestors if n.kind in kinds), None)

    @property
    def function(self) -> Node | None:
        """The function definition around this node."""
        return self.enclosing("FUNCTION_DECL")

    @property
    def from_macro_body(self) -> bool:
        """Whether its text stands in a macro's body, so that no edit of it is possible where it is used."""
        return not self.unit.editable(self.path, self.start, self.end)
