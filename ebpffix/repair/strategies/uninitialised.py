"""A variable is read that was not set on this path.

It is set to 0 where it is declared, an object to `{}`. A run that came by here had what happened to be there.
"""

from __future__ import annotations

from collections.abc import Iterator

from ebpffix.fix import Edit, Span
from ebpffix.frontend import Node
from ebpffix.repair import locate
from ebpffix.repair.model import Candidate, Effect, Refusal, Strategy

STRATEGY = Strategy(
    "uninitialised",
    r"!read_ok|is not readable|invalid (?:indirect )?read from stack|uninit",
    "Sets a variable where it is declared",
    20,
)


def propose(refusal: Refusal) -> Iterator[Candidate]:
    """The variables without a value in the function of the refusal, those of the refused line first."""
    unit = refusal.unit
    statement = locate.statement_at(unit, refusal.step)
    function = statement.function if statement is not None else None
    if statement is None or function is None:
        return
    named = {n.decl for n in locate.own(statement) if n.kind == "DECL_REF_EXPR"}
    variables = [n for n in function.find("VAR_DECL") if n.initialiser is None and n.is_local]
    variables.sort(key=lambda n: (n.decl not in named, -n.start))
    for variable in variables:
        if edit := _set(refusal, variable):
            says = f"{variable.name} is {edit.text.decode().removeprefix(' = ')} until it is set"
            yield Candidate((edit,), Effect.EXACT, says, Span(variable.path, variable.start, variable.end))


def _set(refusal: Refusal, variable: Node) -> Edit | None:
    if not refusal.unit.editable(variable.path, variable.start, variable.end):
        return None
    is_object = variable.type.is_record or variable.type.is_array
    text = b" = {}" if is_object else b" = NULL" if _null(refusal, variable) else b" = 0"
    return Edit(variable.path, variable.end, variable.end, text)


def _null(refusal: Refusal, variable: Node) -> bool:
    return variable.type.is_pointer and b"NULL" in refusal.unit.source_of(variable).code
