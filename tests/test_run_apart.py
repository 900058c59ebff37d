"""Work in processes of its own: what dies, raises, hangs or takes too much costs nobody else."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import partial

from ebpffix.run.apart import each


def died() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 1


def raised() -> int:
    raise ValueError("no")


def hung() -> int:
    time.sleep(60)
    return 2


def took_all_memory() -> int:
    return len(bytearray(1 << 40))


def deep() -> int:
    def down(n: int) -> int:
        return 0 if n == 0 else 1 + down(n - 1)

    return down(900)


def test_the_others_go_on() -> None:
    began = time.monotonic()
    work: list[Callable[[], int]] = [died, lambda: 7, raised, hung, took_all_memory, deep, lambda: 8]
    assert list(each(work, 3, 3)) == [None, 7, None, None, None, 900, 8]
    assert time.monotonic() - began < 30


def test_the_order_is_that_of_the_work() -> None:
    def slow(number: int) -> int:
        time.sleep(0.3 * (number == 0))
        return number

    assert list(each([partial(slow, n) for n in range(5)], 5, 10)) == list(range(5))


def test_no_work_is_no_result() -> None:
    assert list(each([], 2, 1)) == []
