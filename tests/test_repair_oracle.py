"""The oracle: a repair that guts the program, changes a run that was fine, or is none, is found out."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Compile
from repair.behaviour import Case, cases
from repair.measure import run

from ebpffix.repair import oracle
from ebpffix.repair.search import Limits

BY_NAME = {str(case): case for case in cases()}
COUNT = BY_NAME["null-check/counter_by_queue"].path
ETHER = BY_NAME["packet-bound/no_check_at_all"].path


def made(compiled: Compile, path: Path, old: bytes, new: bytes) -> bytes:
    text = path.read_bytes()
    assert old in text
    data: bytes = compiled(path, overlay={path: text.replace(old, new)}).data
    return data


def test_a_repair_that_drops_the_helper_is_none(compiled: Compile) -> None:
    before = compiled(COUNT).data
    gutted = made(compiled, COUNT, b"value = bpf_map_lookup_elem(&hits, &key);", b"value = 0; if (!value) return 1;")
    assert oracle.gone(before, gutted) == ["bpf_map_lookup_elem()"]


def test_what_another_helper_of_the_family_does_is_not_gone(compiled: Compile) -> None:
    path = BY_NAME["swap/queue_update"].path
    after = made(compiled, path, b"bpf_map_update_elem(&pids, NULL, &pid", b"bpf_map_push_elem(&pids, &pid")
    assert not oracle.gone(compiled(path).data, after)


def test_a_right_repair_changes_no_run_that_was_fine(compiled: Compile, verifier: None) -> None:
    guard = b"if ((void *)(eth + 1) > data_end)\n\t\treturn XDP_PASS;\n\tif (eth->h_proto =="
    after = made(compiled, ETHER, b"if (eth->h_proto ==", guard)
    assert not oracle.differences(compiled(ETHER).data, after, "eth_type", "xdp")


def test_a_run_that_ends_otherwise_is_shown(compiled: Compile, verifier: None) -> None:
    guard = b"if ((void *)(eth + 1) > data_end)\n\t\treturn XDP_PASS;\n\tif (eth->h_proto !="
    after = made(compiled, ETHER, b"if (eth->h_proto ==", guard)
    (first, *_) = oracle.differences(compiled(ETHER).data, after, "eth_type", "xdp")
    assert "returned 2; now 1" in str(first)


def test_one_that_only_leaves_is_told_from_one_that_does_something_else(compiled: Compile, verifier: None) -> None:
    early = b"if ((void *)(eth + 2) > data_end)\n\t\treturn XDP_ABORTED;\n\tif (eth->h_proto =="
    after = made(compiled, ETHER, b"if (eth->h_proto ==", early)
    found = oracle.differences(compiled(ETHER).data, after, "eth_type", "xdp")
    assert found
    assert all(difference.left for difference in found)


LEFT = {
    "another licence than the GPL": (
        "licence/missing",
        b"SEC(",
        b'char LICENSE[] SEC("license") = "Proprietary";\nSEC(',
    ),
    "a helper that nothing stands for": (
        "swap/pid_in_xdp",
        b"bpf_probe_read(&port, sizeof(port), (void *)&key);",
        b"port = bpf_get_prandom_u32(); bpf_redirect(1, 0);",
    ),
}


@pytest.mark.parametrize("what", LEFT)
def test_what_only_its_author_can_mend_is_left(what: str, tmp_path: Path, verifier: None) -> None:
    name, old, new = LEFT[what]
    text = BY_NAME[name].path.read_bytes()
    assert old in text
    path = tmp_path / "prog.bpf.c"
    path.write_bytes(text.replace(old, new, 1))
    result = run(Case(path, "", False, True, (), ()), Limits(tries=20))
    assert result.repair.status == "stuck"
    assert not result.repair.changed
