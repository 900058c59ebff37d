"""Work in processes of its own, which may die or hang without harm to the run."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from ebpffix.run import limits

_STACK = 64 << 20  # bytes: libclang and a walk recurse over nested expressions
_context = multiprocessing.get_context("fork")
R = TypeVar("R")


def each(work: Sequence[Callable[[], R]], most: int, seconds: float) -> Iterator[R | None]:
    """What each piece of work returns, in order; None for one that died, raised, or took longer than `seconds` of wall
    time. No more than `most` run at once."""
    results: dict[int, R | None] = {}
    running: dict[Any, tuple[int, multiprocessing.process.BaseProcess, float]] = {}
    waiting = list(enumerate(work))[::-1]
    try:
        for number in range(len(work)):
            while number not in results:
                while waiting and len(running) < most:
                    place, piece = waiting.pop()
                    ours, theirs = _context.Pipe(duplex=False)
                    process = _context.Process(target=_do, args=(piece, theirs, limits.share(most)), daemon=False)
                    process.start()
                    theirs.close()
                    running[ours] = place, process, time.monotonic() + seconds
                ready: list[Any] = wait(list(running), timeout=1.0)
                for pipe in ready:
                    place, child, _ = running.pop(pipe)
                    results[place] = None
                    with contextlib.suppress(EOFError, OSError):
                        results[place] = pipe.recv()
                    child.kill()
                    child.join()
                for late, (place, child, end) in list(running.items()):
                    if time.monotonic() > end:
                        results[place] = None
                        del running[late]
                        child.kill()
                        child.join()
            yield results.pop(number)
    finally:
        for _, child, _ in running.values():
            child.kill()
            child.join()


def _do(piece: Callable[[], R], pipe: Connection, memory: int) -> None:
    """In the process: with limits, a stack for deep recursion, and without the words of a libclang that dies."""
    limits.bound(memory)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)

    def work() -> None:
        with contextlib.suppress(Exception):
            pipe.send(piece())

    threading.stack_size(_STACK)  # the main thread's is not ours to choose
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
