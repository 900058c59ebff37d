"""Every fixture: the text that comes out, that it is stable, and that what must not change does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import SAFE, UNSAFE, Case, analyse_files, cases

from ebpffix.fix import Fix, apply

CASES = cases()


def _analyse(case: Case, files: dict[Path, bytes]) -> list[Fix]:
    defines = tuple(a.removeprefix("-D") for a in case.keys.get("args", "").split(",") if a)
    major, _, minor = case.keys.get("kernel", "5.10").partition(".")
    result = analyse_files(
        case.folder / case.program,
        files,
        (case.transform,),
        case.dialect,
        defines=defines,
        kernel=(int(major), int(minor)),
    )
    # What does not compile cannot be wholly understood; all else must be.
    allowed = ("analysed", "partial") if case.keys.get("before") == "uncompilable" else ("analysed",)
    assert result.status in allowed, result.notes
    return sorted((fix for _, fix in result.findings), key=lambda f: (str(f.at.path), f.at.start, f.at.end))


def _rewrite(case: Case, files: dict[Path, bytes]) -> tuple[list[Fix], dict[Path, bytes]]:
    """The first pass' findings, and the files when nothing more is found."""
    wanted = UNSAFE if "suggested" in case.expect else SAFE
    first: list[Fix] | None = None
    for _ in range(10):
        found = _analyse(case, files)
        first = found if first is None else first
        edits: dict[Path, set[object]] = {}
        for fix in found:
            if fix.safety in wanted and not any(_overlaps(e, edits) for e in fix.edits):
                for edit in fix.edits:
                    edits.setdefault(edit.path, set()).add(edit)
        if not edits:
            break
        files = files | {path: apply(files[path], sorted(of)) for path, of in edits.items()}  # type: ignore[type-var]
    else:
        pytest.fail("no end after 10 passes")
    return first, files


def _overlaps(edit, taken):  # type: ignore[no-untyped-def]
    others = taken.get(edit.path, ())
    return edit not in others and any(edit.start < o.end and o.start < edit.end for o in others)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_text(case: Case) -> None:
    files = {case.folder / name: data for name, data in case.files.items()}
    first, result = _rewrite(case, files)
    said = [str(fix.safety) for fix in first]
    assert said == case.expect, [f"{fix.safety}: {fix.message} ({fix.reason})" for fix in first]
    for name, before in case.files.items():
        assert result[case.folder / name].decode("latin-1") == case.fixed.get(name, before).decode("latin-1")


@pytest.mark.parametrize("case", [c for c in CASES if c.fixed], ids=str)
def test_fixed_form_is_left_alone(case: Case) -> None:
    files = {case.folder / name: case.fixed.get(name, data) for name, data in case.files.items()}
    wanted = UNSAFE if "suggested" in case.expect else SAFE
    assert not [f.message for f in _analyse(case, files) if f.safety in wanted]


def test_there_are_fixtures() -> None:
    assert CASES
