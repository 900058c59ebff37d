"""BCC: each function by itself, nothing attached, what a host program puts in is no compile error of the file."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from conftest import PROGRAMS

from ebpffix.verify import CannotVerify
from ebpffix.verify.bcc import Bcc, Checked
from ebpffix.verify.bcc import _merged as merge
from ebpffix.verify.compile import CompileError
from ebpffix.verify.load import ProgramResult

PATH = PROGRAMS / "bcc.c"
TEXT = PATH.read_bytes()


@pytest.fixture(scope="module")
def checked(bcc: Bcc) -> Checked:
    result = bcc.check(PATH, TEXT)
    assert isinstance(result, Checked), str(result)
    return result


def by_name(result: Checked) -> dict[str, ProgramResult]:
    return {p.name: p for p in result.programs}


def test_each_function_by_itself(checked: Checked) -> None:
    found = by_name(checked)
    # Some versions of BCC name the module in between: kfunc__vmlinux__do_exit.
    assert {n.replace("vmlinux__", ""): (p.section, p.verdict) for n, p in found.items()} == {
        "kprobe__do_exit": ("kprobe", "accepted"),
        "hidden_read": ("kprobe", "rejected"),
        "pass_all": ("xdp", "accepted"),
        "part_of_the_stack": ("tc", "accepted"),
        "kfunc__do_exit": ("fentry", "untried"),
    }
    assert "invalid mem access" in found["hidden_read"].log
    assert found["pass_all"].insns == 2


def test_cap_bpf_alone(bcc: Bcc) -> None:
    result = bcc.check(PATH, TEXT, cap_bpf=True)
    assert isinstance(result, Checked)
    found = by_name(result)
    assert found["pass_all"].verdict == "accepted"
    assert found["part_of_the_stack"].verdict == "rejected"
    assert "more than CAP_BPF" in found["hidden_read"].reason


def test_same(bcc: Bcc, checked: Checked) -> None:
    renamed = bcc.check(PATH, TEXT.replace(b"one", b"uno") + b"\n// the end\n", load=False)
    assert isinstance(renamed, Checked) and checked.same(renamed)
    assert {p.reason for p in renamed.programs} == {"not loaded"}


@pytest.mark.parametrize(("old", "new"), [(b"u64 one = 1", b"u64 one = 2"), (b"u64, 64)", b"u64, 65)")])
def test_not_same(bcc: Bcc, checked: Checked, old: bytes, new: bytes) -> None:
    other = bcc.check(PATH, TEXT.replace(old, new), load=False)
    assert isinstance(other, Checked) and not checked.same(other)


def test_compile_error_names_the_files_own_line(bcc: Bcc) -> None:
    result = bcc.check(PATH, TEXT.replace(b"return XDP_PASS", b"return passed"), load=False)
    assert isinstance(result, CompileError)
    line = TEXT[: TEXT.index(b"return XDP_PASS")].count(b"\n") + 1
    assert f"{PATH}:{line}:9: error: use of undeclared identifier 'passed'" in str(result)


@pytest.mark.parametrize("text", ["FILTER_PID", "##PID##", "if (pid == %(pid)s)"])
def test_what_the_host_program_puts_in(bcc: Bcc, text: str) -> None:
    changed = TEXT.replace(b"\tseen.delete(&pid);", f"\t{text}\n\tseen.delete(&pid);".encode())
    result = bcc.check(PATH, changed, load=False)
    assert isinstance(result, CompileError)
    assert result.lines[0].endswith("stands for text that the host program puts in")
    assert f"{PATH}:12: " in result.lines[0]


def test_one_that_kills_the_compiler_costs_only_itself(bcc: Bcc) -> None:
    # Deep nesting overruns the parser's stack, or clang's limit on it.
    deep = b"int x(void *ctx) { return " + b"(" * 100_000 + b"1" + b")" * 100_000 + b"; }"
    assert isinstance(bcc.check(PATH, deep, load=False), CompileError)
    assert isinstance(bcc.check(Path("x.c"), b"int x(void *ctx) { return 0; }"), Checked)


def test_time_is_bounded(bcc: Bcc) -> None:
    result = bcc.check(PATH, TEXT, timeout=0.05)
    assert isinstance(result, CompileError)
    assert "not done within 0.05 s" in str(result)


def test_a_child_that_died_is_started_again(bcc: Bcc) -> None:
    text = b"int x(void *ctx) { return 0; }"
    assert bcc._child is not None
    os.kill(bcc._child.pid, signal.SIGKILL)
    found = [bcc.check(Path("x.c"), text, load=False) for _ in range(2)]
    assert isinstance(found[-1], Checked)


def test_headers_of_two_packages_are_merged_once(tmp_path: Path) -> None:
    common, machine = tmp_path / "linux-headers-1-common", tmp_path / "linux-headers-1-amd64"
    for name in ("include/linux/kconfig.h", "include/generated/autoconf.h"):
        part = machine if "generated" in name else common
        (part / name).parent.mkdir(parents=True)
        (part / name).write_text(name)
    for part in (common, machine):
        (part / "arch/x86").mkdir(parents=True)
    merged = merge(common, machine, tmp_path / "cache/merged")
    assert (merged / "include/linux/kconfig.h").exists() and (merged / "include/generated/autoconf.h").exists()
    assert merge(common, machine, tmp_path / "cache/merged") == merged
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["merged"]


def test_no_bcc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebpffix.verify.bcc.kernel_headers", lambda cache: cache)
    with pytest.raises(CannotVerify, match="python3-bpfcc"):
        Bcc(tmp_path, python="/nowhere/python3")
    script = tmp_path / "python3"
    script.write_text("""#!/bin/sh\necho '{"missing": "No module named bcc"}'\n""")
    script.chmod(0o755)
    with pytest.raises(CannotVerify, match=r"no BCC \(No module named bcc\)"):
        Bcc(tmp_path, python=str(script))
