"""Loading: each verdict from a real program, and nothing left behind."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import pytest
from conftest import Compile

from ebpffix.verify import CannotVerify
from ebpffix.verify.compile import Object
from ebpffix.verify.load import ProgramResult, load
from ebpffix.verify.map_faults import Map, fault

pytestmark = pytest.mark.usefixtures("verifier")


@pytest.fixture(scope="module")
def results(compiled: Compile) -> dict[str, ProgramResult]:
    return {r.name: r for r in load(compiled("verdicts.bpf.c"))}


def test_all_programs_in_order(results: dict[str, ProgramResult]) -> None:
    assert list(results) == [
        "taken", "unchecked_packet", "part_of_the_stack", "probe", "no_target", "odd_section",
    ]  # fmt: skip


def test_accepted(results: dict[str, ProgramResult]) -> None:
    assert results["taken"] == ProgramResult("taken", "xdp", "accepted", insns=2)
    assert results["probe"].verdict == "accepted"


def test_rejected_with_the_verifiers_log(results: dict[str, ProgramResult]) -> None:
    refused = results["unchecked_packet"]
    assert refused.verdict == "rejected"
    assert "invalid access to packet" in refused.log
    assert refused.reason == ""


@pytest.mark.parametrize(
    ("name", "reason"),
    [("no_target", "no_such_function_of_any_kernel"), ("odd_section", "does not know the section nobody_knows_this")],
)
def test_what_the_machine_lacks_is_no_rejection(results: dict[str, ProgramResult], name: str, reason: str) -> None:
    assert results[name].verdict == "untried"
    assert reason in results[name].reason


def test_cap_bpf_alone_refuses_what_was_never_written(compiled: Compile, results: dict[str, ProgramResult]) -> None:
    assert results["part_of_the_stack"].verdict == "accepted"
    least = {r.name: r for r in load(compiled("verdicts.bpf.c"), cap_bpf=True)}
    assert least["taken"].verdict == "accepted"
    assert least["part_of_the_stack"].verdict == "rejected"
    assert "stack" in least["part_of_the_stack"].log
    assert (least["probe"].verdict, least["probe"].insns) == ("untried", 2)
    assert "more than CAP_BPF" in least["probe"].reason


def test_a_map_too_big_for_this_machine(compiled: Compile) -> None:
    (result,) = load(compiled("big_map.bpf.c", f"-DENTRIES={1 << 20}", f"-DVALUE={1 << 16}"))
    assert result.verdict == "untried" and "MB" in result.reason


@pytest.mark.parametrize(
    ("definition", "verdict", "reason"),
    [
        ("type=2 key_size=4 value_size=8 max_entries=0", "rejected", "an array needs max_entries; it is 0 unless"),
        ("type=1 key_size=4 value_size=8", "rejected", "a hash needs max_entries; it is 0 unless"),
        ("type=1 key_size=4 max_entries=8", "rejected", "a hash needs a value; its size is 0"),
        ("type=9 value_size=4 max_entries=8", "rejected", "an LRU hash needs a key; its size is 0"),
        ("type=2 key_size=8 value_size=4 max_entries=8", "rejected", "an array needs a key of 4 bytes, not 8"),
        ("type=27", "rejected", "a ring buffer needs max_entries, its size in bytes"),
        ("type=27 max_entries=4096 value_size=4", "rejected", "a ring buffer has neither keys nor values"),
        ("type=11 key_size=8 value_size=4 max_entries=8", "rejected", "an LPM trie needs map_flags with BPF_F_NO_PRE"),
        ("type=7 key_size=4 value_size=12 max_entries=8", "rejected", "a stack trace map needs a value of whole addr"),
        ("type=22 key_size=4 value_size=4 max_entries=8", "rejected", "a queue has no keys"),
        ("type=3 key_size=4 value_size=8 max_entries=8", "rejected", "a program array needs a value of 4 bytes, not 8"),
        ("type=29 key_size=4 value_size=4 max_entries=8", "rejected", "a task storage must not have max_entries (8)"),
        ("type=4 key_size=4 value_size=4", "accepted", ""),  # libbpf fills in the number of CPUs
        ("type=27 max_entries=5000", "accepted", ""),  # and rounds this up
        (
            "type=999 key_size=4 value_size=4 max_entries=8",
            "untried",
            "its map m cannot be made here: Invalid argument",
        ),
        (
            "type=5 key_size=4 value_size=131072 max_entries=1",
            "untried",
            "its map m cannot be made here: Argument list",
        ),
    ],
)
def test_a_map_that_cannot_be_made(compiled: Compile, definition: str, verdict: str, reason: str) -> None:
    members = "".join("__uint({}, {}); ".format(*part.split("=")) for part in definition.split())
    (result,) = load(compiled("map.bpf.c", f"-DDEFINITION={members}"))
    assert result.verdict == verdict
    if verdict == "rejected":
        assert result.reason.startswith(f"no kernel makes its map m: {reason}")
        assert re.match(r"libbpf: map 'm': failed to create: Invalid argument", result.log)
    else:
        assert result.reason.startswith(reason) and not result.log


@pytest.mark.parametrize(("entries", "wrong"), [(0, True), (4096, False), (5000, True), (12288, True), (65536, False)])
def test_ring_buffer_as_the_kernel_takes_it(entries: int, wrong: bool) -> None:
    said = fault(Map(27, 0, 0, entries, 0), 4096)
    assert bool(said) == wrong and (not entries or not wrong or f"4096 times a power of two, not {entries}" in said)


def test_nothing_is_pinned(compiled: Compile, tmp_path: Path) -> None:
    (result,) = load(compiled("pinned.bpf.c"))
    assert result.verdict == "accepted"
    assert not list(Path("/sys/fs/bpf").glob("ebpffix_never_pinned*"))


def test_one_broken_object_harms_nobody(compiled: Compile) -> None:
    data = bytearray(compiled("pinned.bpf.c").data)
    types = data.index(b"\x9f\xeb\x01\x00")  # .BTF
    data[types + 8 : types + 24] = b"\xff" * 16
    (result,) = load(Object(bytes(data), frozenset()))
    assert result.verdict == "untried"
    assert "libbpf cannot open the object" in result.reason


def test_nothing_is_left_behind(compiled: Compile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = compiled("plain.bpf.c")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    load(made)
    with pytest.raises(ValueError, match="not a 64-bit ELF object"):
        load(Object(b"", frozenset()))
    assert list(tmp_path.iterdir()) == []


def test_modules_of_the_current_folder_stay_out(
    compiled: Compile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = compiled("plain.bpf.c")
    for name in ("ctypes.py", "json.py", "base64.py", "sitecustomize.py"):
        (tmp_path / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert [r.verdict for r in load(made)] == ["accepted"]
    assert not (tmp_path / "ran").exists()


def wrapped(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the loading child started through a script, in which "$PYTHON" is the interpreter."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\nPYTHON={sys.executable}\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


def test_no_libbpf(compiled: Compile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = compiled("plain.bpf.c")
    wrapped(tmp_path, """echo '{"missing": "libbpf.so.1: no such file"}'""", monkeypatch)
    with pytest.raises(CannotVerify, match="install libbpf 1") as raised:
        load(made)
    assert "no libbpf" in raised.value.reason


def test_no_privilege(compiled: Compile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = compiled("plain.bpf.c")
    wrapped(tmp_path, 'exec setpriv --bounding-set=-all --inh-caps=-all "$PYTHON" "$@"', monkeypatch)
    with pytest.raises(CannotVerify, match="CAP_BPF and CAP_PERFMON"):
        load(made)


def test_a_loader_that_dies_early(compiled: Compile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = compiled("plain.bpf.c")
    wrapped(tmp_path, "kill -9 $$", monkeypatch)
    assert [(r.verdict, r.reason) for r in load(made)] == [("untried", "the process that loads it ended early")]
