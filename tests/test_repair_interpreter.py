"""The checked interpreter: it agrees with the kernel on what the kernel runs, and faults where it would not let it."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Compile
from repair.behaviour import cases
from repair.generated import compare

from ebpffix.repair import image, interpreter

CASES = {str(case): case for case in cases()}
FRAME = bytes.fromhex("0102030405060a0b0c0d0e0f0800") + bytes(20)


def test_generated_programs_agree(tmp_path: Path, verifier: None) -> None:
    tally = compare(50, 7, tmp_path)
    assert not tally.differing
    assert tally.agreed > 100


FAULTS = (
    ("packet-bound/no_check_at_all", "eth_type", FRAME[:10], "outside of the packet"),
    ("null-check/initialiser", "limit", FRAME, "NULL"),
    ("index-bound/stack_array", "pick", b"\x09" + FRAME, "outside of the stack|never written"),
    ("index-bound/array_in_map_value", "slot", b"\xff" + FRAME, "outside of the map value"),
)


@pytest.mark.parametrize(("name", "program", "packet", "words"), FAULTS, ids=lambda v: v if isinstance(v, str) else "")
def test_faults(name: str, program: str, packet: bytes, words: str, compiled: Compile) -> None:
    made = image.read(compiled(CASES[name].path).data)
    maps = {info.name: {bytes(info.key): bytes(info.value)} for info in made.maps.values()} if "index" in name else {}
    with pytest.raises(interpreter.Fault, match=words):
        interpreter.run(made, "xdp", program, packet, maps)


def test_what_is_fine_is_run(compiled: Compile) -> None:
    made = image.read(compiled(CASES["packet-bound/no_check_at_all"].path).data)
    assert interpreter.run(made, "xdp", "eth_type", FRAME).retval == 2


def test_what_is_not_known_is_said(compiled: Compile) -> None:
    made = image.read(compiled(CASES["release/never_released"].path).data)
    with pytest.raises(interpreter.Unsupported, match="bpf_sk_lookup_tcp"):
        interpreter.run(made, "xdp", "has_listener", FRAME)
