"""A sample of the refused programs is repaired, and behaves as its spec asks; tests/repair/measure.py runs all."""

from __future__ import annotations

import pytest
from repair.behaviour import cases
from repair.measure import run

# One of each strategy; the programs that were set aside are never among them.
SAMPLE = (
    "argument-form/key_by_value",
    "entry-signature/kretprobe_result",
    "helper-length/load_bytes_of_skb_len",
    "index-bound/array_in_map_value",
    "licence/missing",
    "null-check/in_helper_function",
    "object-size/value_declared_pointer",
    "packet-bound/udp_payload_byte",
    "probe-read/kprobe_argument",
    "release/never_released",
    "return-value/from_map",
    "several/three_headers",
    "stale-pointer/pull_data",
    "swap/queue_update",
)
BY_NAME = {str(case): case for case in cases()}


@pytest.mark.parametrize("name", SAMPLE)
def test_repaired(name: str, verifier: None) -> None:
    result = run(BY_NAME[name])
    assert not BY_NAME[name].held_out
    assert result.repair.status == "repaired", result.repair.found and result.repair.found.left
    assert not result.wrong
