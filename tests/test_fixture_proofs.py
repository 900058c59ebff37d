"""Every fixture by the compiler and the kernel's verifier: rejected before where it says so, accepted after, the same
code, or the same result of a test run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import Case, cases

from ebpffix.fix import BCC
from ebpffix.verify.bcc import Bcc
from ebpffix.verify.compile import Clang, CompileError, Object, compile_libbpf
from ebpffix.verify.load import ProgramResult, load, test_run
from ebpffix.verify.objects import difference, same_object
from ebpffix.verify.stated_maps import as_made, new_maps, old_maps

CASES = cases()
LIBBPF = [case for case in CASES if case.dialect != BCC]
IN_BCC = [case for case in CASES if case.dialect == BCC]
# What this kernel cannot load for want of kprobes; see docs/kernels.md.
UNTRIED = ("fentry", "fexit", "fmod_ret", "lsm", "struct_ops")
PACKET = bytes(64)


@dataclass
class Built:
    """One state of a case: what the compiler said, else what the verifier said of each program."""

    made: Object | None
    programs: Sequence[ProgramResult]
    error: str = ""

    @property
    def verdict(self) -> str:
        """One word for all programs: the worst of them, where "untried" counts only if all are."""
        if self.error:
            return "uncompilable"
        verdicts = {p.verdict for p in self.programs}
        return next((v for v in ("rejected", "accepted") if v in verdicts), "untried")

    def why(self) -> str:
        return self.error or "\n".join(f"{p.name}: {p.verdict} {p.reason}\n{p.log[-1500:]}" for p in self.programs)


def build(case: Case, files: Mapping[str, bytes], folder: Path, clang: Clang, vmlinux_dir: Path) -> Built:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    args = ["-I", str(vmlinux_dir), *filter(None, case.keys.get("args", "").split(","))]
    made = compile_libbpf(folder / case.program, clang=clang, args=args)
    if isinstance(made, CompileError):
        return Built(None, (), str(made))
    return Built(made, load(made))


def check(case: Case, before: Built, after: Built) -> None:
    expected = case.keys.get("before", "accepted")
    assert before.verdict == expected, f"before:\n{before.why()}"
    if case.fixed:
        assert after.verdict == case.keys.get("after", "accepted"), f"after:\n{after.why()}"
    if before.made and after.made:  # maps in the old form must be made as they were stated
        old, new = old_maps(before.made.data), new_maps(after.made.data)
        assert all(old.get(name, stated) == stated for name, stated in new.items())
        for program in after.programs:
            for name, made in program.maps.items():
                assert as_made(old.get(name, made), made) == made, name
    if case.transform == "map-types":
        assert [p.maps for p in before.programs] == [p.maps for p in after.programs]
    for built in (before, after):
        for program in built.programs:
            if program.verdict == "untried":
                assert program.section.lstrip("?").split("/")[0].startswith(UNTRIED), built.why()


@pytest.mark.parametrize("case", LIBBPF, ids=str)
def test_libbpf(case: Case, clang: Clang, vmlinux_dir: Path, verifier: None, tmp_path: Path) -> None:
    before = build(case, case.files, tmp_path / "before", clang, vmlinux_dir)
    after = before
    if case.fixed:
        after = build(case, {**case.files, **case.fixed}, tmp_path / "after", clang, vmlinux_dir)
    check(case, before, after)
    if case.keys.get("same-object"):
        assert before.made and after.made
        assert same_object(before.made.data, after.made.data), difference(before.made.data, after.made.data)
    if "run" in case.keys:
        _check_run(case, before, after)


def _check_run(case: Case, before: Built, after: Built) -> None:
    assert before.made and after.made
    program, _, results = case.keys["run"].partition(":")
    allowed = os.sched_getaffinity(0)
    # A per-CPU map holds what was counted on the CPU of the run: both runs go to one.
    os.sched_setaffinity(0, {min(allowed)})
    try:
        first, last = test_run(before.made, program, PACKET), test_run(after.made, program, PACKET)
    finally:
        os.sched_setaffinity(0, allowed)
    if results:
        wanted = [int(value) for value in results.split("/")]
        assert [first.retval, last.retval] == [wanted[0], wanted[-1]]
    if case.keys.get("maps") == "same":
        assert first.maps == last.maps
        assert any(first.maps.values()), "a run that leaves every map empty shows nothing"


@pytest.mark.parametrize("case", IN_BCC, ids=str)
def test_bcc(case: Case, bcc: Bcc, tmp_path: Path) -> None:
    before = _build_bcc(case, case.files, bcc, tmp_path / "before")
    after = before
    if case.fixed:
        after = _build_bcc(case, {**case.files, **case.fixed}, bcc, tmp_path / "after")
    check(case, before[0], after[0])
    if case.keys.get("same-object"):
        assert before[1] == after[1] != None  # noqa: E711 - both must have compiled


def _build_bcc(case: Case, files: Mapping[str, bytes], bcc: Bcc, folder: Path) -> tuple[Built, object]:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    checked = bcc.check(folder / case.program, files[case.program])
    if isinstance(checked, CompileError):
        return Built(None, (), str(checked)), None
    return Built(None, checked.programs), checked.parts
