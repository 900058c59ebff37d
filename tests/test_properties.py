"""What holds for all fixes of all transforms, whatever they are about: over a tree of many fixtures at once.

That a second run finds nothing, and that the diff is what is written, `test_cli.py` tries over all of them.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support import CACHE, UNSAFE, Case, cases, ebpffix, findings, fresh_cache, git

from ebpffix.fix import apply

# How many fixtures: more where there is time.
MANY = int(os.environ.get("EBPFFIX_EXAMPLES", "60"))
ALONE = [case for case in cases() if len(case.files) == 1 and "args" not in case.keys and "kernel" not in case.keys]
CHOSEN = random.Random(12).sample(ALONE, min(MANY, len(ALONE)))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fixtures of all transforms in one git tree, each in a folder of its own."""
    root = tmp_path_factory.mktemp("all") / "tree"
    for case in CHOSEN:
        folder = root / case.transform / case.name
        folder.mkdir(parents=True)
        (folder / case.program).write_bytes(case.files[case.program])
    (root / "notes.txt").write_bytes(b"not C\r\n\xff")
    git("init", "-q", ".", cwd=root)
    git("add", ".", cwd=root)
    return root


def run(root: Path, *args: str, cache: Path = CACHE) -> str:
    done = ebpffix("--unsafe-fixes", *args, cwd=root, env={"EBPFFIX_CACHE_DIR": str(cache)})
    assert done.code in (0, 1), done.err
    return done.out


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file() and ".git" not in p.parts}


@pytest.fixture(scope="module")
def applied(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same tree with all fixes made."""
    root = shutil.copytree(tree, tmp_path_factory.mktemp("applied") / "tree")
    run(root, "--apply")
    return root


def test_what_no_edit_of_the_report_names_stays(tree: Path, applied: Path) -> None:
    """The edits of the report, made by nobody of ours, give what --apply wrote; no other file is touched."""
    report = json.loads(run(tree, "--output-format", "json").encode("latin-1"))
    expected = contents(tree)
    edits: dict[str, list[dict[str, Any]]] = {}
    for found in report["findings"]:
        for edit in found["edits"]:
            edits.setdefault(edit["path"], []).append(edit)
    encodings = {file["path"]: "latin-1" if file["encoding"] == "latin-1" else "utf-8" for file in report["files"]}
    for path, changes in edits.items():
        unique = {(e["start"], e["end"], e["text"]): None for e in changes}
        for start, end, text in reversed(sorted(unique, key=lambda e: e[:2])):  # noqa: C413 - of equals the last first
            expected[path] = expected[path][:start] + text.encode(encodings[path]) + expected[path][end:]
    written = contents(applied)
    assert [path for path in written if written[path] != expected[path]] == []


@pytest.mark.slow
def test_how_it_is_run_changes_nothing(tree: Path, tmp_path: Path) -> None:
    """Jobs, a cache or none, full or empty, and the order in which files are given."""
    names = [str(path) for path in sorted(contents(tree)) if path.endswith(".c")]
    mixed = random.Random(1).sample(names, len(names))
    fresh = fresh_cache(tmp_path)
    told = [
        run(tree, "--output-format", "json", *args, cache=cache)
        for args, cache in (
            (("--jobs", "1", "--no-cache"), CACHE),
            (("--jobs", "3"), fresh),
            (("--jobs", "1", *mixed), fresh),
            (("--jobs", "2", "--no-cache", *mixed), CACHE),
        )
    ]
    first = json.loads(told[0])
    for text in told[1:]:
        report = json.loads(text)
        assert report["findings"] == first["findings"]
        assert report["files"] == first["files"]


SEVERAL = [case for case in ALONE if len(case.expect) > 1]


def all_at_once(case: Case) -> bytes:
    return case.fixed.get(case.program, case.files[case.program])


def one_by_one(case: Case, choose: Sequence[int]) -> bytes:
    """A program after its fixes were made one at a time, which one next being what `choose` says."""
    text = case.files[case.program]
    for turn in range(40):
        fixes = [f for f in findings(text, case.transform, dialect=case.dialect) if f.safety in UNSAFE]
        if not fixes:
            return text
        text = apply(text, fixes[choose[turn % len(choose)] % len(fixes)].edits)
    raise AssertionError("the fixes of one program do not come to an end")


# Where they do not. Lines that several fixes put at one place stand in the order in which the fixes are made:
GAPS = {
    *("missing-kernel-struct/" + name for name in ("bcc-public-header", "bcc-public-header-crlf", "bcc-two-structs")),
    *("padded-init/" + name for name in ("attributes", "crlf", "declarators", "events", "events-bcc", "mostly-zero")),
    "padded-init/field-by-field-bcc",
    *("split-byteorder/" + name for name in ("conversions", "initialiser", "multi-line")),
    # One fix less is found, or another form, once the others are made.
    *("builtin-memcpy/byte-loops", "legacy-map/forms", "split-byteorder/several-in-one", "unsafe-deref/bitfields"),
}


def known(case: Case) -> Any:
    gap = [pytest.mark.xfail(reason="the order shows", strict=True)] if str(case) in GAPS else []
    return pytest.param(case, marks=gap, id=str(case))


@pytest.mark.slow
@pytest.mark.parametrize("case", list(map(known, SEVERAL)))
def test_fixes_one_by_one_end_in_the_same_text(case: Case) -> None:
    before = case.files[case.program]
    for choose in ([0], [1, 0], [2]):
        assert named(one_by_one(case, choose), before) == named(all_at_once(case), before), choose


def named(text: bytes, before: bytes) -> bytes:
    """A text without the numbers behind new names: a fix takes another where a name is in use, as it is or is not yet
    by the fix of a block around it."""
    old = set(re.findall(rb"\w+", before))
    return re.sub(rb"\b([A-Za-z_]\w*?)\d+\b", lambda match: match[0] if match[0] in old else match[1], text)
