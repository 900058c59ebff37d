"""One way to say no: NoEdit, and what becomes of it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from ebpffix.editing.settle import Made, NoEdit, first_of, settle
from ebpffix.fix import Edit, Safety, Span

AT = Span(Path("/p.c"), 1, 2)
EDIT = Edit(Path("/p.c"), 1, 2, b"x")


def _no() -> Made:
    raise NoEdit("a comment in it would be lost")


def test_edits_without_a_doubt_are_safe() -> None:
    fix = settle(AT, "it is wrong", lambda: Made([EDIT], "; the fix mends it"), "; mend it by hand")
    assert (fix.safety, fix.message, fix.edits, fix.reason) == (
        Safety.SAFE, "it is wrong; the fix mends it", [EDIT], "",
    )  # fmt: skip


def test_a_doubt_makes_them_suggested() -> None:
    fix = settle(AT, "it is wrong", lambda: Made([EDIT], doubt="user space may read it"))
    assert (fix.safety, fix.message, fix.reason) == (Safety.SUGGESTED, "it is wrong", "user space may read it")


def test_no_edit_is_advice_with_its_reason() -> None:
    fix = settle(AT, "it is wrong", _no, "; mend it by hand")
    assert (fix.safety, fix.message, fix.edits) == (Safety.ADVICE, "it is wrong; mend it by hand", [])
    assert fix.reason == "a comment in it would be lost"


def test_the_first_way_that_works_is_taken() -> None:
    made = Made([EDIT])
    assert first_of(_no, lambda: made) is made
    with pytest.raises(NoEdit, match="would be lost"):
        first_of(lambda: _say("first"), _no)


def _say(reason: str) -> Made:
    raise NoEdit(reason)


def test_no_function_of_editing_says_no_by_none() -> None:
    """An edit, or the text for one, is made or NoEdit is raised; None would lose the reason."""
    for file in (Path(__file__).parent.parent / "ebpffix" / "editing").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and node.returns is not None:
                said = ast.unparse(node.returns)
                assert "None" not in said or not ("Edit" in said or "bytes" in said), f"{file.name}: {node.name}"
