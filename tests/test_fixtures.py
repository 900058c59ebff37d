"""Every fixture: what is found and said, the text that comes out, and that what must not change does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import Case, advice, cases

from ebpffix.fix import Safety
from ebpffix.run.engine import Report

CASES = cases()


def checked(case: Case, report: Report) -> None:
    """What does not compile cannot be wholly understood; all else must be."""
    allowed = ("analysed", "partial") if case.keys.get("before") == "uncompilable" else ("analysed",)
    assert not report.errors
    for file in report.files:
        # A header or a form without a pattern is not even parsed.
        assert file.status in (*allowed, "skipped"), file.notes


@pytest.mark.parametrize("case", CASES, ids=str)
def test_text(case: Case, tmp_path: Path) -> None:
    report = case.run(case.files, tmp_path)
    checked(case, report)
    assert not report.dropped
    made = [one.fix for one in report.findings if one.fix.safety is not Safety.ADVICE]
    assert [fix.safety for fix in made] == case.expect, [f"{f.safety}: {f.message} ({f.reason})" for f in made]
    said = advice(report, tmp_path)
    assert [place[:2] for place in said] == [place[:2] for place in case.advice], said
    for (*_, message), (*_, begins) in zip(said, case.advice, strict=True):
        assert message.startswith(begins)
    for name, before in case.files.items():
        after = report.changed.get(tmp_path / "tree" / name, before)
        assert after.decode("latin-1") == case.fixed.get(name, before).decode("latin-1")


@pytest.mark.parametrize("case", [c for c in CASES if c.fixed], ids=str)
def test_fixed_form_is_left_alone(case: Case, tmp_path: Path) -> None:
    report = case.run({**case.files, **case.fixed}, tmp_path)
    checked(case, report)
    assert not report.changed and not report.dropped


def test_there_are_fixtures() -> None:
    assert CASES
