"""Read a kernel field before a macro converts it.

What it does: in BCC, takes a member access of a kernel pointer out of a macro's argument. `u16 sport = ntohs(sk->f);`
becomes `u16 sport = sk->f;` and `sport = ntohs(sport);`. Elsewhere a local named after the field is read before the
statement, or `ntohs` becomes `bpf_ntohs`, which is a function in BCC, where the value may only be read in its place.

Why: BCC turns `sk->f` into a probe read, but not where it stands in a macro's argument, and `ntohs`, `be16_to_cpu`,
`min_t` and `likely` are macros there. The plain load stays, and the verifier refuses it ("R1 invalid mem access
'scalar'", which BCC reports as "Permission denied"). `READ_ONCE(sk->f)` does not even compile.

Safe where BCC's rewriter knows the pointer: an argument of the probe, a register of the context, the current task, and
what is reached from these. Safe too where it does not (a pointer that was an integer, or came out of a map, an explicit
read or a function of the file; anything in a header, where BCC rewrites nothing; an element of an array that a macro
names, `s6_addr32[1]`): there the field is read by an explicit `bpf_probe_read_kernel`.
Suggested where the read moves in front of `&&`, `||` or `?:` that guarded it (a failed probe read gives zero), and in a
header that user space includes too.
Advice where the macro's own body holds the access, for bit-fields, for a chain over a pointer that BCC does not know,
for the result of functions of the kernel's headers such as `ip_hdr(skb)`, which read kernel memory themselves, where
it is not certain whose memory it is, and where the read can be moved nowhere.

Left alone: locals, the context, packets, map values, arguments of fentry programs; `&sk->f` and `sizeof`; libbpf, where
splitting changes nothing.

Limits: a pointer whose origin the file does not tell is left alone, also one that is set from itself (`sk = sk->next`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ebpffix.edits import after, before
from ebpffix.frontend import Macro, Node, Unit
from ebpffix.frontend.node import is_pointer, pointee
from ebpffix.provenance import Origin, origin
from ebpffix.transform import BCC, Edit, Fix, Safety, Span, Transform

TRANSFORM = Transform(
    name="split-byteorder",
    pattern=1,
    dialects=(BCC,),
    triggers=(rb"->",),  # in whose argument it stands, only the preprocessor knows
    summary="kernel memory read inside a macro's argument, where BCC does not rewrite it",
)

# Conversions that are macros in BCC, and the function that does the same there.
_FUNCTIONS = {
    b"ntohs": b"bpf_ntohs", b"be16_to_cpu": b"bpf_ntohs", b"__be16_to_cpu": b"bpf_ntohs",
    b"ntohl": b"bpf_ntohl", b"be32_to_cpu": b"bpf_ntohl", b"__be32_to_cpu": b"bpf_ntohl",
    b"be64_to_cpu": b"bpf_ntohll", b"__be64_to_cpu": b"bpf_ntohll",
    b"htons": b"bpf_htons", b"cpu_to_be16": b"bpf_htons", b"__cpu_to_be16": b"bpf_htons",
    b"htonl": b"bpf_htonl", b"cpu_to_be32": b"bpf_htonl", b"__cpu_to_be32": b"bpf_htonl",
    b"cpu_to_be64": b"bpf_htonll", b"__cpu_to_be64": b"bpf_htonll",
}  # fmt: skip
# Functions of the kernel's headers that only cast their argument; others read memory.
_CASTS = frozenset(("inet_sk", "inet_csk", "tcp_sk", "udp_sk", "inet_reqsk", "inet_twsk"))
# Contexts whose fields hold addresses of kernel memory; a system call's are of user space.
_PROBED = re.compile(r"pt_regs\Z|bpf_raw_tracepoint_args\Z|tracepoint__(?!syscalls__|raw_syscalls__)")
_ACCESS = ("MEMBER_REF_EXPR", "ARRAY_SUBSCRIPT_EXPR", "UNARY_OPERATOR")
_LOOPS = ("FOR_STMT", "WHILE_STMT", "DO_STMT")
_NOT_SCALAR = ("RECORD", "CONSTANTARRAY", "INCOMPLETEARRAY", "FUNCTIONPROTO", "VOID", "DEPENDENT", "INVALID")
_TYPES = {
    "unsigned char": b"u8", "unsigned short": b"u16", "unsigned int": b"u32", "unsigned long": b"u64",
    "unsigned long long": b"u64", "signed char": b"s8", "short": b"s16", "long long": b"s64",
}  # fmt: skip
_KERNEL_TYPE = re.compile(r"(?:__)?(?:u|be|le|s)(?:8|16|32|64)\Z|__w?sum(?:16)?\Z|unsigned|short|long")
_PREFIX = re.compile(rb"(?:skc|sk|inet|ir|tw|u6)_(?=[a-z])")


# The locals put in, by function, statement and what they hold: the same field twice in a statement is read once.
_Names = dict[tuple[int, int, bytes], bytes]


class _Root(Enum):
    """What is known of the pointer that an access goes through."""

    TRACKED = "BCC rewrites a plain access"
    KERNEL = "kernel memory that BCC leaves to the program"
    HEADER = "the result of a function of the kernel's headers"


class _Place(Enum):
    """How often a part of a statement is evaluated."""

    ONCE = "always, before anything that it depends on changes"
    GUARDED = "only where a condition holds"
    FIXED = "in its place only"


def find(unit: Unit) -> Iterator[Fix]:
    names: _Names = {}
    hidden: set[tuple[Path, int]] = set()
    for read in _reads(unit):
        if read.hiding is None:
            yield read.fix(names)
        elif (read.path, read.hiding.start) not in hidden:
            hidden.add((read.path, read.hiding.start))
            yield read.hidden()


def _reads(unit: Unit) -> Iterator[_Read]:
    """The reads of kernel memory by way of macros, each once."""
    for function in unit.functions:
        done: list[tuple[int, int, bool]] = []
        for node in function.find(*_ACCESS):
            around = unit.macros_around(node.path, node.start, node.end)
            if not around or node.path not in unit.sources:
                continue
            hiding = _hiding(node, around)
            root = _pointer(node)
            if hiding is not None and hiding.name == "READ_ONCE":
                continue  # its argument is what counts
            if root is None or not _is_load(node, around) or _inside(node, done, hiding is not None):
                continue
            known = _root(unit, root)
            if known is _Root.TRACKED and _is_element_by_macro(unit, node):
                known = _Root.KERNEL
            if known is not None:
                done.append((node.start, node.end, hiding is not None))
                yield _Read(unit, function, node, root, known, tuple(around), hiding)


def _hiding(node: Node, around: list[Macro]) -> Macro | None:
    """The macro whose body holds an access; None for one that stands in arguments only."""
    for macro in around:
        if not any(a <= node.start and node.end <= b for a, b in macro.args):
            return macro
    return around[-1] if node.start == node.end else None


def _inside(node: Node, done: list[tuple[int, int, bool]], hidden: bool) -> bool:
    return any(a <= node.start and node.end <= b and hidden == h for a, b, h in done)


@dataclass(frozen=True)
class _Read:
    """A read of `node` through the pointer `root`, in the macros `around` (outermost first); `hiding` is the first of
    them whose body, not its argument, holds it."""

    unit: Unit
    function: Node
    node: Node
    root: Node
    known: _Root
    around: tuple[Macro, ...]
    hiding: Macro | None

    @property
    def path(self) -> Path:
        return self.node.path

    @property
    def start(self) -> int:
        return self.node.start

    @property
    def end(self) -> int:
        """The end of the access, with a member that is named by a macro (`sk->sk_dport`)."""
        return next((m.end for m in self.unit.macros(path=self.path) if m.start == self.node.end), self.node.end)

    @property
    def text(self) -> bytes:
        return self.unit.text(Span(self.path, self.start, self.end))

    @property
    def macro(self) -> Macro:
        return self.around[-1]

    # -- findings

    def fix(self, names: _Names) -> Fix:
        obstacle = self._obstacle()
        if obstacle:
            return self._advice(*obstacle)
        place = self._place()
        made = self._unwrapped() or self._split() or self._hoisted(names, place) or self._function()
        if made is None:
            reason = "the read can be moved in front of no statement without changing its value"
            return self._advice("read it into a local first", reason)
        cure, edits = made
        reason = ""
        if place is _Place.GUARDED and cure.startswith("read it"):
            reason = "the field is then read also where the condition before it does not hold"
        if self.path in self.unit.shared_with_user_space:
            reason = "the file is a header that user space includes too"
        return Fix(self._span, self._message(cure), Safety.SUGGESTED if reason else Safety.SAFE, edits, reason)

    def hidden(self) -> Fix:
        assert self.hiding is not None
        message = (
            f"`{self.hiding.name}` reads kernel memory in its body, where BCC does not rewrite it: make it a static "
            "inline function, or read the field first"
        )
        at = Span(self.path, self.hiding.start, self.hiding.end)
        return Fix(at, message, Safety.ADVICE, reason="the macro's definition serves other places too")

    @property
    def _span(self) -> Span:
        return Span(self.path, self.start, self.end)

    def _message(self, cure: str) -> str:
        return f"BCC does not rewrite `{_line(self.text)}` inside `{self.around[0].name}()`, a macro: {cure}"

    def _advice(self, cure: str, reason: str) -> Fix:
        return Fix(self._span, self._message(cure), Safety.ADVICE, reason=reason)

    def _obstacle(self) -> tuple[str, str] | None:
        """What to do by hand, and why, where no edit is right."""
        target = self.node.declaration
        if self.node.kind == "MEMBER_REF_EXPR" and target is not None and target.cursor.is_bitfield():
            return "read the word that holds it", "no address can be taken of a bit-field"
        if self.known is _Root.HEADER:
            cure = "compute the pointer from the fields of the structure"
            return cure, "functions of the kernel's headers read kernel memory, and BCC rewrites none of them"
        if self.known is _Root.KERNEL:
            if _pointer(self.root.uncast) is not None and _kernel_read(self.unit, self.root.uncast):
                cure = "read it link by link with `bpf_probe_read_kernel`"
                return cure, "BCC does not know the chain's first pointer"
            if not self._of_kernel_type():
                cure = "read it with `bpf_probe_read_kernel`, or `bpf_probe_read_user`"
                return cure, "the structure is the file's own, so it may lie in user space"
        return None

    def _of_kernel_type(self) -> bool:
        where = pointee(self.root.type).get_declaration().location.file
        return where is not None and Path(where.name) not in self.unit.sources

    # -- ways to mend it

    def _unwrapped(self) -> tuple[str, list[Edit]] | None:
        """`READ_ONCE(sk->f)` without READ_ONCE: the probe read that BCC makes reads once."""
        if self.macro.name != "READ_ONCE" or self.known is not _Root.TRACKED or len(self.around) > 1:
            return None
        edits = [Edit(self.path, self.macro.start, self.start, b""), Edit(self.path, self.end, self.macro.end, b"")]
        return "leave the macro out, a probe read reads once", edits

    def _split(self) -> tuple[str, list[Edit]] | None:
        """`u16 sport = sk->f; sport = ntohs(sport);`, where the conversion is all that a local is set to."""
        macro = self.macro
        if len(self.around) > 1 or macro.name.encode() not in _FUNCTIONS or not self._is_all_of_it():
            return None
        target, statement = _set_to(self.unit, self.node, macro)
        if target is None or statement is None or not self._fits(target):
            return None
        name, source = target.name.encode(), self.unit.sources[self.path]
        opening, closing = source.data[macro.start : self.start], source.data[self.end : macro.end]
        convert = name + b" = " + opening + name + closing + b";"
        if self.known is _Root.TRACKED:
            edits = [Edit(self.path, macro.start, macro.end, self.text)]
            added = after(self.unit, statement, [convert])
        elif target.kind == "VAR_DECL":
            blank = source.code[: macro.start].rfind(name, statement.start) + len(name)
            edits = [Edit(self.path, blank, macro.end, b"")]
            added = after(self.unit, statement, [self._probe_read(name) + b";", convert])
        else:
            edits = [Edit(self.path, statement.start, macro.end, self._probe_read(name))]
            added = after(self.unit, statement, [convert])
        return ("read the field first, then convert it", edits + added) if added else None

    def _is_all_of_it(self) -> bool:
        """Whether the macro's argument is the access and nothing else, comments aside."""
        code, (start, end) = self.unit.sources[self.path].code, self.macro.args[0]
        return not code[start : self.start].strip() and not code[self.end : end].strip()

    def _fits(self, target: Node) -> bool:
        """Whether a variable can hold the field before it is converted."""
        type_, field = target.type.get_canonical(), self.node.type.get_canonical()
        if type_.is_const_qualified() or type_.kind.name in ("BOOL", "POINTER", "FLOAT", "DOUBLE"):
            return False
        same = type_.get_size() == field.get_size()
        return same or (self.known is _Root.TRACKED and type_.get_size() > field.get_size())

    def _hoisted(self, names: _Names, place: _Place) -> tuple[str, list[Edit]] | None:
        statement, declared = self._statement(), _declared(self.node)
        only_here = place is _Place.GUARDED and self._function() is not None
        if place is _Place.FIXED or only_here or statement is None or declared is None:
            return None
        name = self._name(statement, names)
        lines = [declared + name + b" = " + self.text + b";"]
        if self.known is _Root.KERNEL:
            lines = [declared + name + b";", self._probe_read(name) + b";"]
        added = before(self.unit, statement, lines)
        once = self.macro if self.macro.name == "READ_ONCE" else self
        how = "read it into" if self.known is _Root.TRACKED else "read it by `bpf_probe_read_kernel` into"
        edit = Edit(self.path, once.start, once.end, name)
        return (f"{how} `{name.decode()}` first", [*added, edit]) if added else None

    def _function(self) -> tuple[str, list[Edit]] | None:
        function = _FUNCTIONS.get(self.macro.name.encode())
        if function is None or len(self.around) > 1 or self.known is not _Root.TRACKED:
            return None
        edit = Edit(self.path, self.macro.start, self.macro.start + len(self.macro.name), function)
        return f"`{function.decode()}` is a function", [edit]

    def _probe_read(self, name: bytes) -> bytes:
        address = self.root.text if self.node.kind == "UNARY_OPERATOR" else b"&" + self.text
        return b"bpf_probe_read_kernel(&" + name + b", sizeof(" + name + b"), " + address + b")"

    # -- places

    def _statement(self) -> Node | None:
        """The statement that holds the outermost macro, where others can be put in front of it."""
        statement, outer = self.node.statement, self.around[0]
        # A macro's body may have blocks of its own: up to what stands in one that a person wrote.
        while (parent := statement.parent) is not None and (
            statement.start > outer.start or statement.end < outer.end or _within(parent, outer)
        ):
            statement = parent.statement
        # Behind an else, the braces that a declaration needs would leave the lines within them badly indented.
        if parent is None or (parent.kind == "IF_STMT" and statement.kind == "IF_STMT"):
            return None
        return statement

    def _place(self) -> _Place:
        statement = self._statement()
        if statement is None:
            return _Place.FIXED
        guarded, node = False, self.node
        while node is not statement and node.parent is not None:
            parent = node.parent
            once = parent.kind == "DO_STMT" and parent.children[-1].bare.integer == 0
            if (parent.kind in _LOOPS and not once) or (
                parent.kind == "COMPOUND_STMT" and parent.text.startswith(b"{")
            ):
                return _Place.FIXED
            if parent.kind == "BINARY_OPERATOR" and node is parent.children[-1]:
                if parent.operator == ",":
                    return _Place.FIXED
                guarded |= parent.operator in ("&&", "||")
            guarded |= parent.kind == "CONDITIONAL_OPERATOR" and node is not parent.children[0]
            node, part = parent, node
        changed = _changed(part if statement.kind in ("IF_STMT", "SWITCH_STMT") else statement)
        if changed & {n.decl for n in self.node.find("DECL_REF_EXPR")}:
            return _Place.FIXED
        return _Place.GUARDED if guarded else _Place.ONCE

    def _name(self, statement: Node, names: _Names) -> bytes:
        body = self.function.body
        key = (body.start if body else 0, statement.start, b"".join(self.text.split()))
        if key not in names:
            given = {name for (function, _, _), name in names.items() if function == key[0]}
            names[key] = _free_name(self.unit, self.function, _field(self.node), given)
        return names[key]


# -- the tree


def _within(node: Node, macro: Macro) -> bool:
    return macro.start <= node.start and node.end <= macro.end


def _pointer(node: Node) -> Node | None:
    """The pointer that an access goes through last: `a->b` of `a->b->c.d[1]`. None if it goes through none."""
    while node.children:
        base = node.children[0]
        if node.kind == "UNARY_OPERATOR":
            return base if node.operator == "*" else None
        if node.kind == "MEMBER_REF_EXPR" and node.arrow:
            return base
        if node.kind == "ARRAY_SUBSCRIPT_EXPR" and is_pointer(base.bare.type):
            return base
        if node.kind not in ("MEMBER_REF_EXPR", "ARRAY_SUBSCRIPT_EXPR"):
            return None
        node = base.bare
    return None


def _is_load(node: Node, around: list[Macro]) -> bool:
    """Whether the program reads the memory there: no address of it, no write, nothing that is not evaluated."""
    if node.type.get_canonical().kind.name in _NOT_SCALAR:
        return False
    outer = node.outer
    if outer is not None and outer.kind in ("BINARY_OPERATOR", "COMPOUND_ASSIGNMENT_OPERATOR"):
        assigns = outer.kind != "BINARY_OPERATOR" or outer.operator == "="
        if assigns and outer.children[0].bare.start == node.start and outer.children[0].bare.end == node.end:
            return False
    if outer is not None and outer.kind == "UNARY_OPERATOR" and outer.operator not in "*!~-+":
        return outer.operator == "&" and around[-1].name == "READ_ONCE" and _evaluated(node)
    return _evaluated(node)


def _is_element_by_macro(unit: Unit, node: Node) -> bool:
    """Whether it is an element of an array that a macro names (`s6_addr32[1]`): BCC rewrites no such access."""
    return node.kind == "ARRAY_SUBSCRIPT_EXPR" and any(
        node.start < m.start and m.end <= node.end for m in unit.macros(path=node.path)
    )


def _evaluated(node: Node) -> bool:
    """Whether an expression is not only an operand of sizeof or typeof."""
    while node.parent is not None and not node.is_statement:
        parent = node.parent
        if parent.kind == "CXX_UNARY_EXPR":
            return False
        if parent.kind == "CSTYLE_CAST_EXPR" and node is not parent.children[-1]:
            return False
        if parent.kind == "VAR_DECL" and "typeof" in parent.type.spelling and node is parent.children[0]:
            return False
        node = parent
    return True


def _changed(part: Node) -> set[int]:
    """The variables that a part of a statement declares, writes, or hands out the address of."""
    found = set()
    for node in part.walk():
        if node.kind == "VAR_DECL":
            found.add(node.decl)
        writes = node.kind == "COMPOUND_ASSIGNMENT_OPERATOR" or (
            node.kind == "BINARY_OPERATOR" and node.operator == "="
        )
        if writes or (node.kind == "UNARY_OPERATOR" and node.operator in ("&", "++", "--", "++post", "--post")):
            found.add(node.children[0].bare.decl)
    return found


def _set_to(unit: Unit, node: Node, macro: Macro) -> tuple[Node | None, Node | None]:
    """The local variable that is set to the macro's value and to nothing else, and the statement that does it."""
    code = unit.sources[macro.path].code
    for outer in node.ancestors:
        declares = outer.kind == "DECL_STMT" and len(outer.children) == 1
        assigns = outer.kind == "BINARY_OPERATOR" and outer.operator == "=" and outer.is_statement
        if not declares and not assigns:
            continue
        target = outer.children[0] if declares else outer.children[0].bare
        setting = re.compile(rb"[\w\s]*\b" + target.name.encode() + rb"\s*=\s*\Z")
        written = setting.match(code[outer.start : macro.start])
        ends = re.compile(rb"\s*;").match(code, macro.end)
        if not written or not ends or (assigns and not _is_local(target)):
            return None, None
        return target, outer
    return None, None


def _is_local(name: Node) -> bool:
    target = name.declaration
    return (
        name.kind == "DECL_REF_EXPR"
        and target is not None
        and target.kind in ("VAR_DECL", "PARM_DECL")
        and target.cursor.storage_class.name not in ("STATIC", "EXTERN")
        and target.cursor.semantic_parent.kind.name != "TRANSLATION_UNIT"
    )


# -- the pointer


def _root(unit: Unit, pointer: Node) -> _Root | None:
    """What is known of a pointer; None where reading through it is right as it is, or its origin is not known."""
    found = origin(unit, pointer)
    if found is Origin.UNKNOWN:
        return _refused(unit, pointer, 8)
    if not found.is_kernel:
        return None
    tracked = found is Origin.KERNEL_TRACKED and pointer.path == unit.path and not _behind_its_callers(unit, pointer)
    return _Root.TRACKED if tracked else _Root.KERNEL


def _kernel_read(unit: Unit, node: Node) -> bool:
    """Whether an expression loads from kernel memory itself."""
    inner = _pointer(node)
    return inner is not None and _root(unit, inner) is not None


def _behind_its_callers(unit: Unit, node: Node) -> bool:
    """Whether a static function is defined behind a call of it: BCC then looks for its body in vain."""
    function = node.function
    if function is None or function.cursor.storage_class.name != "STATIC":
        return False
    return any(c.path == function.path and c.start < function.start for c in unit.calls_of(function.name))


def _refused(unit: Unit, pointer: Node, depth: int) -> _Root | None:
    """The same for a pointer that is a plain number for the verifier on every way, so that no access through it loads:
    cast from an integer argument, loaded out of a map or out of kernel memory, returned by a function."""
    node = pointer.uncast
    found = origin(unit, node)
    if found is not Origin.UNKNOWN or depth == 0:
        return _Root.KERNEL if found.is_kernel else None
    if node.kind == "CALL_EXPR":
        return _returned(unit, node, depth)
    if node.kind == "DECL_REF_EXPR":
        return _variable(unit, node, depth)
    if node.kind == "CONDITIONAL_OPERATOR":
        return _all(_refused(unit, c, depth - 1) for c in node.children[1:])
    if node.kind == "BINARY_OPERATOR" and node.operator in ("+", "-"):
        return _refused(unit, node.children[0], depth - 1)
    inner = _pointer(node) if node.kind in _ACCESS else None
    if inner is None:
        return None
    where, record = origin(unit, inner), pointee(inner.type).get_declaration().spelling
    if where is Origin.MAP_VALUE or (where is Origin.CTX and _PROBED.match(record)):
        return _Root.KERNEL
    return _refused(unit, inner, depth - 1)


def _returned(unit: Unit, call: Node, depth: int) -> _Root | None:
    target = call.declaration
    function = next((f for f in unit.functions if f.decl == call.decl), None)
    if function is not None:
        returns = [r.children[0] for r in function.find("RETURN_STMT") if r.children]
        return _all(_refused(unit, value, depth - 1) for value in returns if not _is_zero(value))
    if target is None or target.kind != "FUNCTION_DECL" or not call.arguments:
        return None
    given = _root(unit, call.arguments[0]) if depth else None
    if given is None or call.name in _CASTS:
        return _Root.KERNEL if given else None
    return _Root.HEADER if is_pointer(call.type) else None


def _variable(unit: Unit, node: Node, depth: int) -> _Root | None:
    target, function = node.declaration, node.function
    if target is None or function is None or not _is_local(node):
        return None
    values = []
    for other in function.find("VAR_DECL", "BINARY_OPERATOR", "UNARY_OPERATOR"):
        if other.kind == "VAR_DECL" and other.decl == node.decl and b"=" in other.text and other.children:
            values.append(other.children[-1])
        elif other.kind == "BINARY_OPERATOR" and other.operator == "=" and other.children[0].bare.decl == node.decl:
            values.append(other.children[1])
        elif other.kind == "UNARY_OPERATOR" and other.operator == "&" and other.children[0].bare.decl == node.decl:
            return None
    found = [_refused(unit, value, depth - 1) for value in values if not _is_zero(value)]
    if target.kind == "PARM_DECL":
        parameters = [p.decl for p in function.children if p.kind == "PARM_DECL"]
        index = parameters.index(node.decl)
        if function.cursor.storage_class.name == "STATIC":
            calls = [c for c in unit.calls_of(function.name) if len(c.arguments) > index]
            found.append(_all(_refused(unit, c.arguments[index], depth - 1) for c in calls))
        else:
            # Whatever a kprobe has behind its context is an integer for the verifier.
            found.append(_Root.KERNEL if index > 0 and _of_probe(function) else None)
    return _all(found)


def _of_probe(function: Node) -> bool:
    first = next((p for p in function.children if p.kind == "PARM_DECL"), None)
    return first is not None and pointee(first.type).get_declaration().spelling == "pt_regs"


def _all(found: Iterable[_Root | None]) -> _Root | None:
    kinds = list(found)
    if not kinds or None in kinds:
        return None
    return _Root.HEADER if _Root.HEADER in kinds else _Root.KERNEL


def _is_zero(node: Node) -> bool:
    return node.uncast.integer == 0


# -- the new local


def _declared(node: Node) -> bytes | None:
    """The type of a field in front of a local's name, as BCC programs spell it; None for what has no simple name."""
    type_ = node.type
    spelled = re.sub(r"\b(?:const|volatile)\s+", "", type_.spelling).strip()
    known = _TYPES.get(re.sub(r"\b(?:const|volatile)\s+", "", type_.get_canonical().spelling))
    if known and _KERNEL_TYPE.match(spelled):
        return known + b" "
    if "(" in spelled:  # a pointer to a function, or an enum without a name
        return None
    return spelled.encode() + (b"" if spelled.endswith("*") else b" ")


def _field(node: Node) -> bytes:
    """What a local that holds an access is called: the member, without what all members of its structure begin with."""
    while node.kind in ("ARRAY_SUBSCRIPT_EXPR", "UNARY_OPERATOR") and node.children:
        node = node.children[0].uncast
    return _PREFIX.sub(b"", node.name.encode()) or b"value"


def _free_name(unit: Unit, function: Node, wanted: bytes, given: set[bytes]) -> bytes:
    """`wanted`, or with a number behind it, so that no variable, function, type or macro is called so."""
    source, body = unit.source_of(function), function.body
    end = body.end if body is not None else function.end
    taken = set(re.findall(rb"(?<![\w.])(?<!->)[A-Za-z_]\w*", source.code[function.start : end])) | given
    taken |= {d.name.encode() for d in unit.declarations}
    taken |= {m.name.encode() for m in unit.root.children if m.kind == "MACRO_DEFINITION"}
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = wanted + b"%d" % number
    return name


def _line(text: bytes) -> str:
    return " ".join(text.decode(errors="replace").split())
