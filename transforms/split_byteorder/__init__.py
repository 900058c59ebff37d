"""Read a kernel field before a macro converts it.

What it does: in BCC, takes a member access of a kernel pointer out of a macro's argument. `u16 sport = ntohs(sk->f);`
becomes `u16 sport = sk->f;` and `sport = ntohs(sport);`. Elsewhere a local named after the field is read before the
statement, or `ntohs` becomes `bpf_ntohs`, which is a function in BCC, where the value may only be read in its place.

Why: BCC turns `sk->f` into a probe read, but not where it stands in a macro's argument, and `ntohs`, `be16_to_cpu`,
`min_t` and `likely` are macros there. The plain load stays, and the verifier refuses it ("R1 invalid mem access
'scalar'", which BCC reports as "Permission denied"). `READ_ONCE(sk->f)` does not even compile.

Safe where BCC's rewriter knows the pointer: an argument of the probe, a register of the context, the current task, and
what is reached from these. A function of the kernel's headers that computes a pointer from such a one (`ip_hdr(skb)`,
`skb_shinfo(skb)`) is written out, for BCC rewrites nothing in its body. Safe too where it does not (a pointer that was
an integer, or came out of a map, an explicit read or a function of the file; anything in a header, where BCC rewrites
nothing; an element of an array that a macro names, `s6_addr32[1]`): there the field is read by an explicit
`bpf_probe_read_kernel`.
Suggested where the read moves in front of `&&`, `||` or `?:` that guarded it (a failed probe read gives zero), and in a
header that user space includes too. `tcp_sk(sk)`, which the headers of some kernels make a `container_of` that BCC
cannot compile, becomes a cast.
Advice where the macro's own body holds the access, for bit-fields, for a chain over a pointer that BCC does not know,
for the result of such functions where BCC does not know the pointer that they are given, where it is not certain whose
memory it is, and where the read can be moved nowhere.

Left alone: locals, the context, packets, map values, arguments of fentry programs; `&sk->f` and `sizeof`; libbpf, where
splitting changes nothing.

Limits: a pointer whose origin the file does not tell is left alone, also one that is set from itself (`sk = sk->next`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ebpffix.analysis.provenance import HOSTS, Proof, Space, is_evaluated, is_load, is_written, pointer, prove
from ebpffix.editing.chain import ACCESS
from ebpffix.editing.hoist import Place, place, statement_of
from ebpffix.editing.settle import Made, NoEdit, first_of
from ebpffix.editing.statements import after, before, local_name
from ebpffix.fix import BCC, Edit, Fix, Safety, Span
from ebpffix.frontend import Macro, Node, Unit
from ebpffix.transform import Cure, Transform

from .getters import NAMES, own_words
from .tracked import Root, root

# Names that read bytes through a macro's argument; libbpf has no rewriter that could miss it.
_READ_BY_A_MACRO = (
    r"(?s)\A(?!@libbpf).*(?<!\w)"
    r"(?:ntoh[sl]|hton[sl]|(?:__)?[bl]e(?:16|32|64)_to_cpup?|(?:__)?cpu_to_[bl]e(?:16|32|64))\s*\("
)

TRANSFORM = Transform(
    name="split-byteorder",
    pattern=1,
    dialects=(BCC,),
    triggers=(
        rb"->",
        rb"\b(?:%s)\s*\(" % "|".join(sorted(NAMES)).encode(),
    ),  # in whose argument it stands, only the preprocessor knows
    neighbours=HOSTS,
    user_space=True,
    summary="kernel memory read inside a macro's argument, where BCC does not rewrite it",
    imperative="read kernel memory outside of macro arguments",
    shape="`ntohs(sk->…)`, `min_t(…, t->…)`: BCC does not rewrite a macro's argument, the verifier refuses it",
    safe="split, or `bpf_ntohs` inside an expression; an explicit read where BCC does not follow the pointer",
    advice="a macro's body hides the access",
    cures=(Cure("scalar-deref", _READ_BY_A_MACRO),),
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
_TYPES = {
    "unsigned char": b"u8", "unsigned short": b"u16", "unsigned int": b"u32", "unsigned long": b"u64",
    "unsigned long long": b"u64", "signed char": b"s8", "short": b"s16", "long long": b"s64",
}  # fmt: skip
_KERNEL_TYPE = re.compile(r"(?:__)?(?:u|be|le|s)(?:8|16|32|64)\Z|__w?sum(?:16)?\Z|unsigned|short|long")
_PREFIX = re.compile(rb"(?:skc|sk|inet|ir|tw|u6)_(?=[a-z])")


# The locals put in, by function, statement and what they hold: the same field twice in a statement is read once.
_Names = dict[tuple[int, int, bytes], bytes]


def find(unit: Unit) -> Iterator[Fix]:
    yield from own_words(unit)
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
        for node in function.find(*ACCESS):
            around = unit.macros_around(node.path, node.start, node.end)
            if not around or node.path not in unit.sources:
                continue
            hiding = _hiding(node, around)
            if hiding is not None and hiding.name == "READ_ONCE":
                continue  # its argument is what counts
            through = pointer(node)
            if through is None or not _is_load(node, around) or _inside(node, done, hiding is not None):
                continue
            known = root(unit, node)
            if known is not None:
                done.append((node.start, node.end, hiding is not None))
                yield _Read(unit, function, node, through, known, tuple(around), hiding)


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
    """A read of `node` through the pointer `through`, in the macros `around` (outermost first); `hiding` is the first
    of them whose body, not its argument, holds it."""

    unit: Unit
    function: Node
    node: Node
    through: Node
    known: Root
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
        try:
            made = first_of(self._unwrapped, self._split, lambda: self._hoisted(names), self._function)
        except NoEdit:
            reason = "the read can be moved in front of no statement without changing its value"
            return self._advice("read it into a local first", reason)
        proof, doubt = self._proof, made.doubt
        if not doubt and not proof.is_certain:
            doubt = f"it is not certain: {proof.doubt}"
        safety = Safety.SUGGESTED if doubt else Safety.SAFE
        return Fix(self._span, self._message(made.how), safety, made.edits, doubt, proof.chains)

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
        if self.node.field is not None and self.node.field.is_bitfield:
            return "read the word that holds it", "no address can be taken of a bit-field"
        if self.known is Root.HEADER:
            cure = "compute the pointer from the fields of the structure"
            return cure, "functions of the kernel's headers read kernel memory, and BCC rewrites none of them"
        if self.known is Root.KERNEL:
            if root(self.unit, self.through.uncast) is not None:
                cure = "read it link by link with `bpf_probe_read_kernel`"
                return cure, "BCC does not know the chain's first pointer"
            if self._proof.space is not Space.KERNEL:
                return "read it with `bpf_probe_read_kernel`, or `bpf_probe_read_user`", self._proof.unknown
        return None

    @cached_property
    def _proof(self) -> Proof:
        return prove(self.unit, self.through)

    # -- ways to mend it

    def _unwrapped(self) -> Made:
        """`READ_ONCE(sk->f)` without READ_ONCE: the probe read that BCC makes reads once."""
        if self.macro.name != "READ_ONCE" or self.known is not Root.TRACKED or len(self.around) > 1:
            raise NoEdit("its macro does more than read it once")
        edits = [Edit(self.path, self.macro.start, self.start, b""), Edit(self.path, self.end, self.macro.end, b"")]
        return Made(edits, "leave the macro out, a probe read reads once")

    def _split(self) -> Made:
        """`u16 sport = sk->f; sport = ntohs(sport);`, where the conversion is all that a local is set to."""
        macro = self.macro
        if len(self.around) > 1 or macro.name.encode() not in _FUNCTIONS or not self._is_all_of_it():
            raise NoEdit("it is not all that a conversion converts")
        target, statement = _set_to(self.unit, self.node, macro)
        if target is None or statement is None or not self._fits(target):
            raise NoEdit("no local is set to it that could hold it")
        name, source = target.name.encode(), self.unit.sources[self.path]
        opening, closing = source.data[macro.start : self.start], source.data[self.end : macro.end]
        convert = name + b" = " + opening + name + closing + b";"
        if self.known is Root.TRACKED:
            edits = [Edit(self.path, macro.start, macro.end, self.text)]
            added = after(self.unit, statement, [convert])
        elif target.kind == "VAR_DECL":
            blank = source.code[: macro.start].rfind(name, statement.start) + len(name)
            edits = [Edit(self.path, blank, macro.end, b"")]
            added = after(self.unit, statement, [self._probe_read(name) + b";", convert])
        else:
            edits = [Edit(self.path, statement.start, macro.end, self._probe_read(name))]
            added = after(self.unit, statement, [convert])
        return Made(edits + added, "read the field first, then convert it")

    def _is_all_of_it(self) -> bool:
        """Whether the macro's argument is the access and nothing else, comments aside."""
        code, (start, end) = self.unit.sources[self.path].code, self.macro.args[0]
        return not code[start : self.start].strip() and not code[self.end : end].strip()

    def _fits(self, target: Node) -> bool:
        """Whether a variable can hold the field before it is converted."""
        type_, field = target.type, self.node.type
        if type_.is_const or type_.kind in ("BOOL", "POINTER", "FLOAT", "DOUBLE"):
            return False
        return type_.size == field.size or (self.known is Root.TRACKED and type_.size > field.size)

    def _hoisted(self, names: _Names) -> Made:
        statement, declared = statement_of(self.node, self.around[0]), _declared(self.node)
        where = place(self.node, statement)
        if where is Place.FIXED or (where is Place.GUARDED and self._has_function()):
            raise NoEdit("its value is only right in its place")
        name = self._name(statement, names)
        lines = [declared + name + b" = " + self.text + b";"]
        if self.known is Root.KERNEL:
            lines = [declared + name + b";", self._probe_read(name) + b";"]
        added = before(self.unit, statement, lines)
        once = self.macro if self.macro.name == "READ_ONCE" else self
        how = "read it into" if self.known is Root.TRACKED else "read it by `bpf_probe_read_kernel` into"
        doubt = "the field is then read also where the condition before it does not hold"
        edits = [*added, Edit(self.path, once.start, once.end, name)]
        return Made(edits, f"{how} `{name.decode()}` first", doubt if where is Place.GUARDED else "")

    def _has_function(self) -> bool:
        """Whether BCC has a function for the macro, inside of which it rewrites."""
        known = self.macro.name.encode() in _FUNCTIONS
        return known and len(self.around) == 1 and self.known is Root.TRACKED

    def _function(self) -> Made:
        if not self._has_function():
            raise NoEdit("no function does the same")
        function = _FUNCTIONS[self.macro.name.encode()]
        edit = Edit(self.path, self.macro.start, self.macro.start + len(self.macro.name), function)
        return Made([edit], f"`{function.decode()}` is a function")

    def _probe_read(self, name: bytes) -> bytes:
        address = self.through.text if self.node.kind == "UNARY_OPERATOR" else b"&" + self.text
        return b"bpf_probe_read_kernel(&" + name + b", sizeof(" + name + b"), " + address + b")"

    # -- places

    def _name(self, statement: Node, names: _Names) -> bytes:
        body = self.function.body
        key = (body.start if body else 0, statement.start, b"".join(self.text.split()))
        if key not in names:
            given = {name for (function, _, _), name in names.items() if function == key[0]}
            names[key] = local_name(self.unit, self.function, _field(self.node), given)
        return names[key]


# -- the tree


def _is_load(node: Node, around: list[Macro]) -> bool:
    """Whether the program reads a number or a pointer there, and does not write it; READ_ONCE reads by an address."""
    if node.type.is_record or is_written(node):
        return False
    outer = node.outer
    if around[-1].name == "READ_ONCE" and outer is not None and outer.operator == "&":
        return is_evaluated(node)
    return is_load(node)


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
        if not written or not ends or (assigns and not target.is_local):
            return None, None
        return target, outer
    return None, None


# -- the new local


def _declared(node: Node) -> bytes:
    """The type of a field in front of a local's name, as BCC programs spell it. NoEdit for what has no simple name."""
    type_ = node.type
    spelled = re.sub(r"\b(?:const|volatile)\s+", "", type_.spelling).strip()
    known = _TYPES.get(re.sub(r"\b(?:const|volatile)\s+", "", type_.canonical.spelling))
    if known and _KERNEL_TYPE.match(spelled):
        return known + b" "
    if "(" in spelled:  # a pointer to a function, or an enum without a name
        raise NoEdit("its type has no simple name")
    return spelled.encode() + (b"" if spelled.endswith("*") else b" ")


def _field(node: Node) -> bytes:
    """What a local that holds an access is called: the member, without what all members of its structure begin with."""
    while node.kind in ("ARRAY_SUBSCRIPT_EXPR", "UNARY_OPERATOR") and node.children:
        node = node.children[0].uncast
    return _PREFIX.sub(b"", node.name.encode()) or b"value"


def _line(text: bytes) -> str:
    return " ".join(text.decode(errors="replace").split())
