"""A piece of work in a process of its own: what it costs when it hangs, dies or eats memory. No kernel needed."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from ebpffix.verify.child import Answer, Failed, apart

MEMORY = 4 << 30


def test_answer_and_what_it_said() -> None:
    def work() -> Answer:
        os.write(2, b"a warning\n")
        return {"errno": 0}

    assert apart(work, 5, MEMORY) == {"errno": 0, "said": "a warning\n"}


def test_a_reason() -> None:
    def work() -> Answer:
        raise Failed("no such program")

    assert apart(work, 5, MEMORY)["failed"] == "no such program"


def test_time_is_bounded() -> None:
    started = time.monotonic()

    def work() -> Answer:
        time.sleep(60)
        return {}

    assert apart(work, 0.2, MEMORY)["failed"] == "not done within 0.2 s"
    assert time.monotonic() - started < 10


def test_a_crash_is_told() -> None:
    def work() -> Answer:
        os.kill(os.getpid(), signal.SIGKILL)
        return {}

    assert apart(work, 5, MEMORY)["failed"] == "the loader ended with signal 9"


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_memory_is_bounded() -> None:
    def work() -> Answer:
        return {"size": len(bytearray(MEMORY))}

    assert "the loader ended with" in apart(work, 5, MEMORY)["failed"]


def test_a_long_answer() -> None:
    assert len(apart(lambda: {"log": "x" * (8 << 20)}, 20, MEMORY)["log"]) == 8 << 20
