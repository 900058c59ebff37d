"""BPF_PROG_TEST_RUN: what a program answers, what it leaves in packets and maps."""

from __future__ import annotations

import os
import struct

import pytest
from conftest import Compile

from ebpffix.verify.compile import Object
from ebpffix.verify.load import test_run as run

pytestmark = pytest.mark.usefixtures("verifier")

XDP_DROP, XDP_PASS = 1, 2
KEY = struct.pack("=B3xI", 6, 80)


@pytest.fixture(scope="module")
def runs(compiled: Compile) -> Object:
    return compiled("runs.bpf.c", "-DCLEARED=")


def test_a_padded_keys_miss_becomes_a_hit(runs: Object, compiled: Compile) -> None:
    entry = {"seen": {KEY: struct.pack("=Q", 41)}}
    before = run(runs, "lookup_padded", bytes(64), maps=entry)
    after = run(compiled("runs.bpf.c", "-DCLEARED= = {}"), "lookup_padded", bytes(64), maps=entry)
    assert (before.retval, before.maps["seen"]) == (XDP_DROP, entry["seen"])
    assert (after.retval, after.maps["seen"]) == (XDP_PASS, {KEY: struct.pack("=Q", 42)})


def test_repeat_and_the_values_of_all_cpus(runs: Object) -> None:
    result = run(runs, "lookup_padded", bytes(64), repeat=5)
    (value,) = result.maps["hits"].values()
    assert len(value) % 8 == 0 and len(value) // 8 >= (os.cpu_count() or 1)
    assert sum(n for (n,) in struct.iter_unpack("=I4x", value)) == 5


def test_packet_after(runs: Object) -> None:
    packet = bytes(range(64))
    result = run(runs, "change_packet", packet)
    assert (result.retval, result.data_out) == (3, b"\x7f" + packet[1:])


def test_context_of_a_raw_tracepoint(runs: Object) -> None:
    result = run(runs, "first_argument", struct.pack("=QQ", 7, 8))
    assert (7,) in struct.iter_unpack("=I4x", result.maps["hits"][bytes(4)])


@pytest.mark.parametrize(
    ("program", "maps", "why"),
    [
        ("not_runnable", {}, "not_runnable cannot be run here"),
        ("no_such", {}, "no such program"),
        ("lookup_padded", {"no_such": {b"": b""}}, "no map no_such"),
        ("lookup_padded", {"seen": {b"short": b""}}, "map seen: keys have 8 bytes and values 8, not 5 and 0"),
    ],
)
def test_why_it_was_not_run(runs: Object, program: str, maps: dict[str, dict[bytes, bytes]], why: str) -> None:
    with pytest.raises(RuntimeError, match=why):
        run(runs, program, bytes(64), maps=maps)
