"""The log as a path: of every kernel that fixtures/logs has, cut, endless, and branching."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpffix.verify.trace import STEPS, parse

LOGS = Path(__file__).parent.parent / "fixtures" / "logs"
KERNELS = ("5.10", "6.1", "6.12", "6.18")


def log(name: str) -> str:
    return (LOGS / name).read_text()


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_null_pointer_comes_from_its_lookup(kernel: str) -> None:
    trace = parse(log(f"null-check/lookup.{kernel}.log"))
    (first, *_) = trace.chain(0)
    assert trace.steps[first].call == "bpf_map_lookup_elem"
    source = trace.steps[first].source
    assert source is not None
    assert "bpf_map_lookup_elem" in source.text


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_packet_pointer_comes_from_the_context(kernel: str) -> None:
    trace = parse(log(f"packet-bounds/short_check.{kernel}.log"))
    chain = [trace.steps[n].text for n in trace.chain(1)]
    assert chain[-1].endswith("*(u32 *)(r1 +0)")


@pytest.mark.parametrize("kernel", KERNELS[1:])  # 5.10 prints no states in front of the check
def test_the_short_check_is_found(kernel: str) -> None:
    trace = parse(log(f"packet-bounds/short_check.{kernel}.log"))
    check = trace.last_check(1)
    assert check is not None
    assert " if r" in trace.steps[check].text


def test_no_check_is_none() -> None:
    assert parse(log("packet-bounds/no_check.6.18.log")).last_check(1) is None


@pytest.mark.parametrize("path", sorted(LOGS.rglob("*.log")), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_every_question_has_an_answer(path: Path) -> None:
    trace = parse(path.read_bytes())
    trace.refs()
    trace.origin(1)
    for register in range(11):
        for position in trace.chain(register):
            assert 0 <= position < len(trace.steps)
        trace.state(register)
        trace.last_check(register)
        trace.moved_by(register)


PATHS = """\
0: R1=ctx() R10=fp0
0: (b7) r0 = 0                        ; R0=0
1: (15) if r1 == 0x0 goto pc+2        ; R1=ctx()
2: (b7) r0 = 1                        ; R0=1
3: (05) goto pc+1
5: (95) exit

from 1 to 4: R0=0 R1=0 R10=fp0
4: (b7) r0 = 2                        ; R0=2
5: (95) exit
R0 is bad
"""


def test_of_several_paths_the_last_one_is_told() -> None:
    trace = parse(PATHS)
    assert [step.number for step in trace.steps] == [0, 1, 4, 5]
    assert trace.state(0) == "2"
    assert trace.state(1) == "0"


LOOP = "0: (b7) r0 = 0\n" + "1: (07) r0 += 1\n2: (25) if r0 > 0x5 goto pc-2\n" * 3 + "3: (95) exit\n"


def test_a_loop_ends_where_it_began() -> None:
    trace = parse(LOOP)
    assert [trace.steps[n].number for n in trace.chain(0)] == [1, 0]


STACK = """\
0: (85) call bpf_get_prandom_u32#7
1: (7b) *(u64 *)(r10 -8) = r0
2: (b7) r0 = 0
3: (79) r2 = *(u64 *)(r10 -8)
4: (0f) r1 += r2
"""


def test_through_the_stack() -> None:
    trace = parse(STACK)
    assert [trace.steps[n].number for n in trace.chain(2)] == [3, 0]


FRAMES = """\
0: (bf) r6 = r1                       ; R1=ctx() R6=ctx()
1: (85) call pc+2
caller:
 R6=ctx() R10=fp0
callee:
 frame1: R1=ctx() R10=fp0
4: (b7) r0 = 7                        ; frame1: R0=7
5: (95) exit
returning from callee:
 frame1: R0=7 R1=ctx() R10=fp0
to caller at 2:
 R0=7 R6=ctx() R10=fp0
2: (bf) r1 = r0                       ; R0=7 R1=7
3: (95) exit
"""


def test_the_result_of_a_function_comes_from_inside() -> None:
    trace = parse(FRAMES)
    assert [trace.steps[n].number for n in trace.chain(1)] == [2, 5, 4]
    assert [step.frame for step in trace.steps] == [0, 0, 1, 1, 0, 0]


def test_a_moving_helper_behind_the_pointer() -> None:
    text = (
        "0: (61) r7 = *(u32 *)(r6 +76) ; R7=pkt(r=0)\n1: (85) call bpf_skb_pull_data#39\n2: (71) r1 = *(u8 *)(r7 +0)\n"
    )
    assert parse(text).moved_by(7) == 1
    assert parse(text.replace("bpf_skb_pull_data#39", "bpf_ktime_get_ns#5")).moved_by(7) is None


def test_an_acquired_reference_that_is_held() -> None:
    text = (
        "0: (85) call bpf_sk_lookup_tcp#84 ; R0=sock_or_null(id=2,ref_obj_id=2) refs=2\n"
        "1: (15) if r0 == 0x0 goto pc+1 ; R0=sock(ref_obj_id=2) refs=2\n2: (95) exit\n"
    )
    assert parse(text).refs() == [0]
    assert parse(text).origin(2) == 0


def test_a_long_log_is_bounded() -> None:
    line = "7: (07) r0 += 1                       ; R0=scalar()\n"
    trace = parse(line * (2 * STEPS + 10))
    assert trace.cut
    assert len(trace.steps) <= 2 * STEPS
    assert trace.chain(0)


@pytest.mark.parametrize("text", ["", "\0\0", "0:", "0: (", "from 3 to 4:", "; @ :9\n1: (61) r1 = *(u32 *)(r1 +0)"])
def test_anything_is_taken(text: str) -> None:
    trace = parse(text)
    trace.chain(0)
    trace.refs()
