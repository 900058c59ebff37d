"""Loading: each verdict from a real program, and nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Compile

from ebpffix.verify.load import ProgramResult, load

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


@pytest.mark.parametrize(("entries", "value", "reason"), [(1 << 20, 1 << 16, "MB"), (0, 8, "map huge cannot be made")])
def test_a_map_that_cannot_be_made(compiled: Compile, entries: int, value: int, reason: str) -> None:
    (result,) = load(compiled("big_map.bpf.c", f"-DENTRIES={entries}", f"-DVALUE={value}"))
    assert result.verdict == "untried"
    assert reason in result.reason


def test_nothing_is_pinned(compiled: Compile, tmp_path: Path) -> None:
    (result,) = load(compiled("pinned.bpf.c"))
    assert result.verdict == "accepted"
    assert not list(Path("/sys/fs/bpf").glob("ebpffix_never_pinned*"))
