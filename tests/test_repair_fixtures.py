"""The programs of fixtures/repair are refused by this kernel, each for the reason that its spec gives."""

from __future__ import annotations

import pytest
from conftest import Compile
from repair.behaviour import Case, cases, refused

CASES = cases()


def test_every_fourth_was_set_aside() -> None:
    assert [str(c) for c in CASES if c.held_out] == [str(c) for c in CASES[3::4]]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_refused(case: Case, compiled: Compile, verifier: None) -> None:
    assert refused(case, compiled(case.path))
