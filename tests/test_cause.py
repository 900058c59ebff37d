"""Where the proof was lost, told from a log: the lookup, the short check, the moving helper, the acquiring call."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest

from ebpffix.report.rejection import lines
from ebpffix.verify.cause import Cause, cause
from ebpffix.verify.logs import read
from ebpffix.verify.trace import parse

LOGS = Path(__file__).parent.parent / "fixtures" / "logs"


def of(text: str) -> Cause | None:
    (rejection,) = read(BytesIO(text.encode()))
    return cause(rejection.message, parse(rejection.path))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("null-check/lookup.5.10", "bpf_map_lookup_elem(&values, &key)"),
        ("null-check/lookup.6.18", "bpf_map_lookup_elem(&values, &key)"),
        ("null-check/ringbuf.6.12", "bpf_ringbuf_reserve(&events"),
        ("packet-bounds/short_check.6.18", "if ((void *)(eth + 1) > end)"),
        ("reference/reservation.6.18", "bpf_ringbuf_reserve"),
    ],
)
def test_the_line_of_the_cause(name: str, text: str) -> None:
    found = of((LOGS / f"{name}.log").read_text())
    assert found is not None
    assert text in found.source.text


@pytest.mark.parametrize("name", ["packet-bounds/no_check.6.18", "loop/endless.6.18", "program-size/states.6.18"])
def test_nothing_is_made_up(name: str) -> None:
    for path in sorted(LOGS.glob(f"{name}*.log")):
        assert of(path.read_text()) is None


STALE = """\
; void *data = (void *)(long)skb->data; @ p.c:4
0: (61) r7 = *(u32 *)(r6 +76)         ; R6=ctx() R7=pkt(r=0)
; bpf_skb_pull_data(skb, 20); @ p.c:9
1: (85) call bpf_skb_pull_data#39     ; R0=scalar()
; return *data; @ p.c:11
2: (71) r0 = *(u8 *)(r7 +0)
R7 invalid mem access 'scalar'
processed 3 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""


def test_a_stale_packet_pointer_is_a_class_of_its_own() -> None:
    (rejection,) = read(BytesIO(STALE.encode()))
    shown = "\n".join(lines(rejection, ()))
    assert "[stale-packet-pointer]" in shown
    assert "p.c:9: bpf_skb_pull_data() may have moved the packet here" in shown
    assert "unsafe-deref" not in shown


def test_another_helper_moves_nothing() -> None:
    (rejection,) = read(BytesIO(STALE.replace("bpf_skb_pull_data#39", "bpf_ktime_get_ns#5").encode()))
    shown = "\n".join(lines(rejection, ()))
    assert "[scalar-deref]" in shown
    assert "moved" not in shown
