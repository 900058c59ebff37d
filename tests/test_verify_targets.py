"""Each verdict once more, by the compiler and the verifier: real programs, real fixes, without touching the files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import PROGRAMS

from ebpffix.verify.bcc import Bcc
from ebpffix.verify.compile import Clang
from ebpffix.verify.proof import Proof, Target, Verdict, prove
from ebpffix.verify.targets import LEAST, BccTarget, LibbpfTarget

LIBBPF, HEADER, BCC = PROGRAMS / "fixes.bpf.c", PROGRAMS / "fixes.h", PROGRAMS / "bcc.c"


@dataclass(frozen=True)
class Swap:
    path: Path
    old: str
    new: str


def proven(target: Target, *fixes: Swap) -> list[Proof]:
    def build(chosen: Sequence[Swap]) -> dict[Path, bytes]:
        files: dict[Path, bytes] = {}
        for fix in chosen:
            text = files.get(fix.path) or fix.path.read_bytes()
            assert fix.old.encode() in text
            files[fix.path] = text.replace(fix.old.encode(), fix.new.encode())
        return files

    return prove(fixes, [target], build, lambda fix: {fix.path})


@pytest.fixture
def target(verifier: None, clang: Clang, vmlinux_dir: Path) -> LibbpfTarget:
    return LibbpfTarget(LIBBPF, clang, ["-I", str(vmlinux_dir)])


SAME = Swap(LIBBPF, "memset(&id", "__builtin_memset(&id")
FIXED = Swap(LIBBPF, "return task->pid", "return BPF_CORE_READ(task, pid)")
ACCEPTED = Swap(LIBBPF, "\tbpf_map_update_elem(&counts, &id, seen, BPF_EXIST);\n", "")
REJECTED = Swap(LIBBPF, "task->tgid", "BPF_CORE_READ(task, tgid)")
WORSE = Swap(LIBBPF, "if (!seen) {", "if (0) {")
UNTRIED = Swap(LIBBPF, "code != 0", "code == 0")


@pytest.mark.parametrize(
    ("fix", "verdict", "programs"),
    [
        (SAME, "same-object", []),
        (FIXED, "fixed", ["leave"]),
        (ACCEPTED, "still-accepted", ["count"]),
        (REJECTED, "still-rejected", ["leave_twice"]),
        (WORSE, "worse", ["count"]),
        (UNTRIED, "untried", ["traced"]),
        (Swap(HEADER, "STEP 1", "STEP 2"), "still-accepted", ["count"]),
        (Swap(HEADER, "STEP 1", "STEP"), "worse", ["count", "leave", "leave_twice", "traced"]),
    ],
)
def test_each_verdict(target: LibbpfTarget, fix: Swap, verdict: Verdict, programs: list[str]) -> None:
    text = fix.path.read_bytes()
    (proof,) = proven(target, fix)
    assert (proof.verdict, sorted(p.name for p in proof.programs)) == (verdict, programs)
    assert fix.path.read_bytes() == text


def test_all_at_once(target: LibbpfTarget) -> None:
    fixes = SAME, FIXED, ACCEPTED, REJECTED, WORSE, UNTRIED
    found = proven(target, *fixes)
    assert [p.verdict for p in found] == [
        "same-object", "fixed", "still-accepted", "still-rejected", "worse", "untried",
    ]  # fmt: skip
    (count,) = found[2].programs
    assert count.insns_before is not None and count.insns_after is not None
    assert count.insns_after < count.insns_before
    assert "invalid mem access" in found[1].programs[0].log
    assert "map_value_or_null" in found[4].programs[0].log
    assert "fentry/do_exit" in found[5].reason


def test_cap_bpf_shows_what_root_does_not(verifier: None, clang: Clang, vmlinux_dir: Path) -> None:
    path = PROGRAMS / "verdicts.bpf.c"
    fix = Swap(path, "\trecord.value =", "\trecord.never_set = 0;\n\trecord.value =")
    args = ["-I", str(vmlinux_dir)]
    assert [p.verdict for p in proven(LibbpfTarget(path, clang, args), fix)] == ["still-accepted"]
    (proof,) = proven(LibbpfTarget(path, clang, args, cap_bpf=True), fix)
    assert proof.verdict == "fixed"
    assert [(p.name, p.before, p.after) for p in proof.programs] == [
        ("part_of_the_stack", "accepted", "accepted"),
        ("part_of_the_stack" + LEAST, "rejected", "accepted"),
    ]


def test_bcc(bcc: Bcc) -> None:
    fixes = (
        Swap(BCC, "\tu32 pid = min_t(int, task->pid, 7);", "\tu32 pid = task->pid;\n\tpid = min_t(int, pid, 7);"),
        Swap(BCC, "u64, 64)", "u64, 0x40)"),
    )
    assert [p.verdict for p in proven(BccTarget(BCC, bcc), *fixes)] == ["fixed", "same-object"]


def test_bcc_waiting_for_its_host_program(bcc: Bcc, tmp_path: Path) -> None:
    path = tmp_path / "hosted.c"
    path.write_bytes(BCC.read_bytes().replace(b"\tseen.delete(&pid);", b"\tFILTER_PID\n\tseen.delete(&pid);"))
    (proof,) = proven(BccTarget(path, bcc), Swap(path, "u64 one = 1;", "u64 one = 2;"))
    assert proof.verdict == "untried"
    assert "FILTER_PID stands for text that the host program puts in" in proof.reason
