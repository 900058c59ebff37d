"""Zero a struct with padding before its members are set, where the kernel reads all of its bytes.

What it does: declares the object, clears it with `__builtin_memset(&x, 0, sizeof(x))`, and then sets the members in
the order in which they were written, comments kept.

Why: padding between members, spare bits of a bitfield, tail bytes, the rest of a union and members that are never set
are not written by `= { .a = x }`, by `x = (struct t){ … }`, nor by assignments alone: they hold what was on the stack.
As a map's key such an object misses on lookup, because the map compares every byte; as an event or a map's value it
carries kernel stack to user space; loaded with CAP_BPF alone the verifier of most kernels refuses it (`invalid indirect
read from stack`).

Safe when the layout is known and bytes that go to a helper were never written.
Suggested when the struct has no padding but bitfields that fill their unit (compilers and kernels of 2020 refused
them, today's take them); when every value is a constant (clang 14 and 19 copy such an object with its padding cleared,
C does not promise it); when the layout depends on names that no header declares; in a header that user space shares.
Advice where no list of assignments does the same: initialisers out of macros, `&(struct t){ … }` in a call, an #if in
the list, const members, a list that mentions its own object or may reach it through a pointer.
Left alone: structs without padding; objects that no helper reads; static, global and const objects; copies (`= *p`,
`= f()`); objects cleared by memset or filled whole by a helper first; `= {}` and `= {0}`, which clang 14 and 19 both
turn into a clearing of all bytes (tried on holes, tails, spare bits, unions and nested structs). A later
`x = (struct t){0}` is no such thing: there the padding stays as it was.

Limits: an address kept in another object, returned, or handed to a function whose body is not in the run counts as
written through; arrays of structs and memory behind pointers are not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ebpffix.editing import statements as edits
from ebpffix.editing.settle import Made, NoEdit, settle
from ebpffix.fix import BCC, LIBBPF, Edit, Fix, Safety
from ebpffix.frontend import Node, Unit
from ebpffix.transform import Cure, Transform

from . import escapes, initialiser, layout
from .escapes import Event

TRANSFORM = Transform(
    name="padded-init",
    pattern=3,
    dialects=(BCC, LIBBPF),
    triggers=escapes.TRIGGERS,
    summary="padding of a map key, map value or event that is left as it was on the stack",
    shape="padding or spare bits of a key, value or event are never written",
    safe="the object escapes with such bytes",
    suggested="bitfields that fill their unit; all values constant",
    advice="macros, compound literals in odd places",
    cures=(Cure("uninit-stack", r"\bcall \w|indirect read"),),
)

_NO_PLACE = "it stands where no statement can be put behind it"
_OLD_BITFIELDS = "compilers and kernels of 2020 refused bitfields in an initialiser, today's take them"
_CONSTANT = "all values are constants: today's clang clears the padding with them, C does not promise it"


# Where the bytes of an object are kept or handed out: lesson 3 is about these, not about a checksum over a header.
_KEPT = re.compile(r"map_|storage|output|submit|^(?:lookup|update|insert|delete|increment|push)")


def find(unit: Unit) -> Iterator[Fix]:
    for function in unit.functions:
        for declaration in function.find("VAR_DECL"):
            if _is_object(declaration):
                yield from _object(unit, declaration)
        for literal in function.find("COMPOUND_LITERAL_EXPR"):
            yield from _inline(unit, literal)


def _is_object(declaration: Node) -> bool:
    type_, parent = declaration.type, declaration.parent
    if parent is None or parent.kind != "DECL_STMT" or not type_.is_record or type_.size == 0:
        return False
    return declaration.is_local and not type_.is_const


def _object(unit: Unit, declaration: Node) -> Iterator[Fix]:
    events = escapes.events(unit, declaration)
    if not any(e.to for e in events):
        return
    value = _initial_value(declaration)
    items = _list_of(value)
    if value is None:
        if escape := _escape(events, events, 0, declaration):
            yield _unset(unit, declaration, events, *escape)
    elif items is not None:
        yield from _initialised(unit, declaration, declaration, items, events, events)
    for number, event in enumerate(events):
        assigned = _list_of(event.at.children[1]) if event.at.operator == "=" and len(event.at.children) == 2 else None
        if assigned is not None and event.bits == layout.all_bits(declaration.type) and not event.to:
            yield from _initialised(unit, declaration, event.at, assigned, events, events[number + 1 :])


def _initial_value(declaration: Node) -> Node | None:
    skipped = ("TYPE_REF", "STRUCT_DECL", "UNION_DECL")
    rest = [c for c in declaration.children if c.kind not in skipped and not c.kind.endswith("_ATTR")]
    return rest[-1] if rest else None


def _list_of(value: Node | None) -> Node | None:
    """The list of an initialiser or of a compound literal."""
    if value is None:
        return None
    value = value.bare
    if value.kind == "COMPOUND_LITERAL_EXPR":
        return next((c for c in value.children if c.kind == "INIT_LIST_EXPR"), None)
    return value if value.kind == "INIT_LIST_EXPR" else None


def _escape(events: list[Event], following: list[Event], written: int, declaration: Node) -> tuple[Event, int] | None:
    """The first escape with bits that nothing wrote, and these bits."""
    block = declaration.statement.parent or declaration
    for event in following:
        if event.to:
            known = written
            for earlier in escapes.before(events, event, block):
                if not earlier.to and (following is events or earlier in following):
                    known |= earlier.bits
            unset = event.bits & ~known
            if not event.exact:  # how much of it is read cannot be told: perhaps only the members that were set
                unset &= ~layout.data_bits(declaration.type)
            if unset:
                return event, unset
    return None


def _initialised(
    unit: Unit, declaration: Node, at: Node, items: Node, events: list[Event], following: list[Event]
) -> Iterator[Fix]:
    """An object that gets its value from a list, in its declaration or in the assignment `at`."""
    source, type_ = unit.sources.get(items.path), declaration.type
    if source is None:
        return
    opening = items.start if source.code[items.start : items.start + 1] == b"{" else -1
    if at is declaration and initialiser.is_zero(items):
        return
    bits, lines, refused = layout.zeroed_bits(type_) | layout.data_bits(type_), [], ""
    try:
        if opening < 0:
            raise NoEdit("a macro holds the initialiser")
        made = initialiser.assignments(unit, items, opening, declaration.name.encode(), type_)
        bits = made.bits
        if any(n.decl == declaration.decl for n in items.find("DECL_REF_EXPR")):
            raise NoEdit("the initialiser refers to the object itself")
        if at is not declaration and _aliased(declaration) and not initialiser.is_constant(items):
            raise NoEdit("the initialiser may read the object through a pointer to it")
        lines = [_clearing(declaration), *initialiser.lines(source, opening, made.made, source.indent(at.start))]
    except NoEdit as why:
        refused = str(why)
    found = _escape(events, following, bits, declaration)
    if found is None:
        first = next((event for event in following if _KEPT.search(event.to)), None)
        if layout.has_bitfields(type_) and not layout.all_bits(type_) & ~bits and first:
            message = f"`{declaration.name}` goes to {first.to} with bitfields set by an initialiser; zero it first"
            yield _fix(unit, declaration, at, opening, lines, message, refused, [_OLD_BITFIELDS])
        return
    message = _message(declaration, *found)
    doubts = [_CONSTANT] if at is declaration and initialiser.is_constant(items) else []
    yield _fix(unit, declaration, at, opening, lines, message, refused, doubts)


def _aliased(declaration: Node) -> bool:
    """Whether the object's address is kept anywhere, other than for the time of a call."""
    mentions = declaration.function.find("DECL_REF_EXPR") if declaration.function else ()
    for mention in mentions:
        address = mention.parent
        if mention.decl == declaration.decl and address is not None and address.operator == "&":
            while address.outer is not None and address.outer.kind == "CSTYLE_CAST_EXPR":
                address = address.outer
            if address.outer is not None and address.outer.kind != "CALL_EXPR":
                return True
    return False


def _message(declaration: Node, escape: Event, unset: int) -> str:
    what = layout.describe(declaration.type, unset)
    return f"`{declaration.name}` goes to {escape.to} with bytes never written ({what}); zero it first"


def _clearing(declaration: Node) -> bytes:
    name = declaration.name.encode()
    return b"__builtin_memset(&" + name + b", 0, sizeof(" + name + b"));"


def _unset(unit: Unit, declaration: Node, events: list[Event], escape: Event, unset: int) -> Fix:
    """An object declared without a value: cleared behind the declarations that it stands among."""
    statement = declaration.statement

    def made() -> list[Edit]:
        if any(e.at.statement is statement for e in events):
            raise NoEdit("the declaration itself uses the object")
        if _in_switch(statement):
            raise NoEdit("it is declared in a switch, where a jump would pass by the clearing")
        return edits.after(unit, _last_declaration(statement, declaration), [_clearing(declaration)])

    return _judged(unit, declaration, declaration, _message(declaration, escape, unset), made, [])


def _in_switch(statement: Node) -> bool:
    block = statement.parent
    return block is not None and block.parent is not None and block.parent.kind == "SWITCH_STMT"


def _last_declaration(statement: Node, declaration: Node, *, quiet: bool = False) -> Node:
    """The last of the declarations that follow one without a gap and do not mention the object; `quiet`: and whose
    values do not depend on anything that the object's initialiser may do."""
    siblings = statement.parent.children if statement.parent else [statement]
    last = statement
    for sibling in siblings[siblings.index(statement) + 1 :]:
        mentions = any(n.decl == declaration.decl for n in sibling.find("DECL_REF_EXPR"))
        if sibling.kind != "DECL_STMT" or mentions or sibling.from_macro_body:
            break
        if quiet and not initialiser.is_constant(sibling):
            break
        last = sibling
    return last


def _fix(
    unit: Unit, declaration: Node, at: Node, opening: int, lines: list[bytes], message: str, refused: str,
    doubts: list[str],
) -> Fix:  # fmt: skip
    def made() -> list[Edit]:
        if refused:
            raise NoEdit(refused)
        return _replaced(unit, at, lines) if at is not declaration else _moved(unit, declaration, opening, lines)

    return _judged(unit, declaration, at, message, made, doubts)


def _moved(unit: Unit, declaration: Node, opening: int, lines: list[bytes]) -> list[Edit]:
    """The list taken out of the declaration, and its lines put behind it."""
    source, statement = unit.source_of(declaration), declaration.statement
    end = initialiser.closing(source, opening)
    sign = source.code.rfind(b"=", declaration.start, opening)
    start = len(source.code[:sign].rstrip())
    others = [c for c in statement.children if c is not declaration and c.start >= end]
    overtaken = any(n.kind == "CALL_EXPR" or _reads(n, declaration) for c in others for n in c.walk())
    if sign < 0 or overtaken or edits.has_comment(unit, declaration.path, start, opening) or _in_switch(statement):
        raise NoEdit(_NO_PLACE)
    placed = edits.after(unit, _last_declaration(statement, declaration, quiet=True), lines)
    if not unit.editable(declaration.path, start, end):
        raise NoEdit("a macro holds the initialiser")
    if not placed[0].text.startswith((b"\n", b"\r\n")) and any(b"//" in line for line in lines):
        raise NoEdit("a comment to the end of the line would swallow what stands behind it")
    return [Edit(declaration.path, start, end, b""), *placed]


def _reads(node: Node, declaration: Node) -> bool:
    """Whether a node is a mention of an object that does more than take its address."""
    parent = node.parent
    address = parent is not None and parent.kind == "UNARY_OPERATOR" and parent.operator == "&"
    return node.decl == declaration.decl and not address


def _replaced(unit: Unit, assignment: Node, lines: list[bytes]) -> list[Edit]:
    """The assignment of a compound literal, as the lines."""
    source, start = unit.source_of(assignment), assignment.start
    semicolon = re.compile(rb"\s*;").match(source.code, assignment.end)
    end = semicolon.end() if semicolon else 0
    if not assignment.is_statement or not edits.in_block(assignment) or not unit.editable(assignment.path, start, end):
        raise NoEdit(_NO_PLACE)
    return [Edit(assignment.path, start, end, (source.newline + source.indent(start)).join(lines))]


def _judged(
    unit: Unit, declaration: Node, at: Node, message: str, make: Callable[[], list[Edit]], doubts: list[str]
) -> Fix:
    if not unit.layout_known(declaration.type):
        doubts = [*doubts, "its layout depends on names that no header declares"]
    return settle(at, message, lambda: Made(make(), doubt="; ".join(doubts)))


def _inline(unit: Unit, literal: Node) -> Iterator[Fix]:
    """A compound literal whose address goes straight to a helper: it has no name to clear it by."""
    if not literal.type.is_record or literal.type.size == 0:
        return
    items = _list_of(literal)
    if items is None or literal.path not in unit.sources:
        return
    unset = layout.all_bits(literal.type) & ~layout.data_bits(literal.type)
    for event in escapes.literal_events(unit, literal):
        if event.to and event.bits & unset:
            what = layout.describe(literal.type, event.bits & unset)
            message = f"an unnamed object goes to {event.to} with bytes never written ({what}); zero a named one first"
            yield Fix(literal, message, Safety.ADVICE, reason="a compound literal in a call has no name to clear it by")
            return
