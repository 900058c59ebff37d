"""The analysis of many programs in processes of their own, which may die or hang without harm to the run.

libclang can be killed by hostile input, and cannot be interrupted when it hangs. So the parent forks a few workers,
gives each one program at a time, and knows whose fault it is when one dies, stalls or meets its limits: it reports that
program, starts another worker, and goes on with the rest. Processes, not threads: what a transform does with the syntax
tree is Python, of which only one thread runs at a time.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

from ebpffix.frontend.pch import PrecompiledHeaders
from ebpffix.run import limits
from ebpffix.run.analyse import Job, Result, Status, analyse
from ebpffix.transform import Registered

_STALL = 20.0  # seconds without any use of the CPU after which a worker waits for what will not come
_LOOK = 5.0  # seconds after which the parent looks whether one does
_CPU, _CPU_BYTES = 20, 50_000  # seconds of CPU time that a program may take; bytes of source for one more
_COLLECT = 4  # programs after which a worker's memory is tidied: some 20 MB each
_STACK = 64 << 20  # bytes: libclang and a walk recurse over nested expressions

_context = multiprocessing.get_context("fork")

_Prefix = tuple[tuple[str, ...], tuple[str, ...], bytes]  # headers, arguments, and a digest of the headers' contents


@dataclass(frozen=True)
class _Task:
    """What a worker is given: a program with its precompiled header, or a header to precompile for a job."""

    job: Job
    header: Path | None = None
    precompile: bool = False

    @property
    def seconds(self) -> int:
        """The CPU time that it may take."""
        return 2 * _CPU if self.precompile else _CPU + sum(map(len, self.job.sources.values())) // _CPU_BYTES


@dataclass(frozen=True)
class _Answer:
    """What a worker says of a task. `spent`: it holds memory that does not come back, so another one must go on."""

    result: Result | Path | None
    spent: bool = False


class Worker:
    """Runs jobs. Its processes start with the first jobs and live until `close`."""

    def __init__(
        self, transforms: Mapping[str, Registered], jobs: int, cache: Path | None, precompile_from: int = 3
    ) -> None:
        self._transforms = transforms
        self._most = max(jobs, 1)
        self._memory = limits.share(self._most)
        self._headers = _Headers(PrecompiledHeaders(cache / "pch") if cache else None, precompile_from)
        self._processes: list[_Process] = []

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes, if there are any."""
        while self._processes:
            self._processes.pop().end()

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Result]]:
        """The result of each job, as they come."""
        waiting = deque(jobs)
        self._headers.plan(jobs)
        while waiting or any(process.task for process in self._processes):
            while (process := self._idle(len(waiting))) and (task := self._next(waiting)):
                process.give(task)
            for task, result in self._finished():
                if task.precompile:
                    self._headers.made(task.job, result if isinstance(result, Path) else None)
                else:
                    assert isinstance(result, Result)
                    yield task.job, result

    def _next(self, waiting: deque[Job]) -> _Task | None:
        """The first job whose precompiled header is there, or will not be; else the header that one waits for."""
        for number, job in enumerate(waiting):
            if self._headers.wanted(job):
                return _Task(job, precompile=True)
            if not self._headers.pending(job):
                del waiting[number]
                return _Task(job, self._headers.of(job))
        return None

    def _idle(self, waiting: int) -> _Process | None:
        """A process that has nothing to do, a new one if there may be more of them."""
        idle = next((process for process in self._processes if process.task is None), None)
        if idle is None and waiting and len(self._processes) < self._most:
            idle = _Process(self._serve, self._memory)
            self._processes.append(idle)
        return idle

    def _finished(self) -> Iterator[tuple[_Task, Result | Path | None]]:
        """What the next processes to finish bring; a failure where one died or was ended because it stalled."""
        busy = {process.pipe: process for process in self._processes if process.task}
        ready = wait(list(busy), timeout=_LOOK)
        for pipe, process in busy.items():
            if pipe not in ready and not process.stalls():
                continue
            task = process.task
            answer = process.take() if pipe in ready else None
            if answer is None or answer.spent:
                process.end()
                self._processes.remove(process)
            if task:
                yield task, answer.result if answer else Result(Status.FAILED, notes=[process.why(task)])

    # -- inside a process

    def _serve(self, pipe: Connection) -> None:
        gc.disable()  # a walk makes many small objects that live until its end
        gc.freeze()  # and what the parent made lives as long as the process
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 2)  # libclang prints its crashes; the parent tells of them
        start = limits.filled()
        with contextlib.suppress(EOFError, OSError):
            for number in itertools.count(1):
                task = pipe.recv()
                limits.allow(task.seconds)
                result = self._do(task)
                failed = isinstance(result, Result) and result.status is Status.FAILED
                # What libclang cannot get it asks for in large parts, so the limit itself is seldom reached.
                if failed and limits.peak() > start + self._memory // 4:
                    result = Result(Status.FAILED, notes=[_too_much(f"{self._memory >> 20} MB of memory")])
                pipe.send(_Answer(result, failed or limits.filled() > start + self._memory // 2))
                if number % _COLLECT == 0:
                    gc.collect()

    def _do(self, task: _Task) -> Result | Path | None:
        if task.precompile:
            return self._headers.build(task.job)
        try:
            return analyse(task.job, self._transforms, task.header)
        except Exception as error:
            why = f"ebpffix failed on it ({type(error).__name__}: {error}); please report this"
            return Result(Status.FAILED, notes=[why])


def _too_much(what: str) -> str:
    return f"it takes more than {what} to analyse, which is the limit; make it simpler, or `exclude` it"


class _Process:
    """One worker's process: `task` is what it does."""

    def __init__(self, serve: Callable[[Connection], None], memory: int) -> None:
        self.pipe, theirs = _context.Pipe()
        self.task: _Task | None = None
        self._used = 0
        self._since = 0.0  # the monotonic second at which `_used` was another
        self._stalls = False
        self._process = _context.Process(target=self._main, args=(serve, theirs, memory), daemon=True)
        self._process.start()
        theirs.close()

    def give(self, task: _Task) -> None:
        self.task, self._since = task, time.monotonic()
        with contextlib.suppress(OSError):  # it died: that shows when its answer is read
            self.pipe.send(task)

    def take(self) -> _Answer | None:
        """The answer; None if the process died."""
        try:
            answer: _Answer = self.pipe.recv()
        except (EOFError, OSError):
            return None
        self.task = None
        return answer

    def stalls(self) -> bool:
        """Whether it did nothing at all for long."""
        used = limits.used(self._process.pid or 0)
        if used != self._used:
            self._used, self._since = used, time.monotonic()
        self._stalls = time.monotonic() - self._since >= _STALL
        return self._stalls

    def why(self, task: _Task) -> str:
        """Why there is no answer; of a process that has ended."""
        ended = self._process.exitcode
        if ended == -signal.SIGXCPU:
            return _too_much(f"{task.seconds} s of CPU time")
        if self._stalls:
            return "libclang waits for one of its includes, which gives nothing (a pipe?); `exclude` it"
        return "libclang crashed on it; report this with the file"

    def end(self) -> None:
        self.pipe.close()
        self._process.kill()
        self._process.join()

    def _main(self, serve: Callable[[Connection], None], theirs: Connection, memory: int) -> None:
        self.pipe.close()
        limits.bound(memory)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        threading.stack_size(_STACK)  # the main thread's is not ours to choose
        thread = threading.Thread(target=serve, args=(theirs,))
        thread.start()
        thread.join()


class _Headers:
    """The precompiled headers of a run: each looked for once, and made once if as many programs as `precompile_from`
    share it."""

    def __init__(self, store: PrecompiledHeaders | None, precompile_from: int) -> None:
        self._store = store
        self._precompile_from = precompile_from
        self._users: Counter[_Prefix] = Counter()
        self._known: dict[_Prefix, Path | None] = {}
        self._pending: set[_Prefix] = set()

    @staticmethod
    def _key(job: Job) -> _Prefix:
        return job.setup.prefix, job.setup.prefix_args, job.setup.digest

    def plan(self, jobs: Sequence[Job]) -> None:
        self._users.update(map(self._key, jobs))

    def pending(self, job: Job) -> bool:
        """Whether the job's header is being made."""
        return self._key(job) in self._pending

    def wanted(self, job: Job) -> bool:
        """Whether the job's header must be made before it is parsed; who is told so makes it."""
        key = self._key(job)
        if self._store is None or not job.setup.prefix or key in self._known or key in self._pending:
            return False
        if found := self._store.find(*key):
            self._known[key] = found
        elif self._users[key] >= self._precompile_from:
            self._pending.add(key)
            return True
        return False  # asked again should more programs want it

    def build(self, job: Job) -> Path | None:
        return self._store.build(*self._key(job), job.setup.reach) if self._store else None

    def made(self, job: Job, header: Path | None) -> None:
        self._pending.discard(self._key(job))
        self._known[self._key(job)] = header

    def of(self, job: Job) -> Path | None:
        return self._known.get(self._key(job))
