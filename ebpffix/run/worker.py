"""The analysis of many programs in processes of their own, which may die or hang without harm to the run.

libclang can be killed by hostile input, and cannot be interrupted when it hangs. So the parent forks a few workers,
gives each one program at a time, and knows whose fault it is when a worker dies or stalls: it reports that program,
starts another worker, and goes on with the rest. Processes, not threads: what a transform does with the syntax tree is
Python, of which only one thread runs at a time.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import multiprocessing
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

from ebpffix.frontend.pch import PrecompiledHeaders
from ebpffix.run.analyse import Job, Result, Status, analyse
from ebpffix.transform import Registered

_STALL = 60.0  # seconds after which a worker counts as hung
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


class Worker:
    """Runs jobs. Its processes start with the first jobs and live until `close`."""

    def __init__(
        self, transforms: Mapping[str, Registered], jobs: int, cache: Path | None, precompile_from: int = 3
    ) -> None:
        self._transforms = transforms
        self._most = max(jobs, 1)
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

    def run(self, jobs: Sequence[Job], progress: Callable[[], object] = lambda: None) -> Iterator[tuple[Job, Result]]:
        """The result of each job, as they come. `progress` is called once a job."""
        waiting = deque(jobs)
        self._headers.plan(jobs)
        while waiting or any(process.task for process in self._processes):
            while (process := self._idle(len(waiting))) and (task := self._next(waiting)):
                process.give(task)
            for task, result in self._finished():
                if task.precompile:
                    self._headers.made(task.job, result if isinstance(result, Path) else None)
                else:
                    progress()
                    why = "libclang crashed or hung on it; report this with the file"
                    yield task.job, result if isinstance(result, Result) else Result(Status.FAILED, notes=[why])

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
            idle = _Process(self._serve)
            self._processes.append(idle)
        return idle

    def _finished(self) -> Iterator[tuple[_Task, Result | Path | None]]:
        """What the next processes to finish bring: None where one died or was ended because it stalled."""
        busy = {process.pipe: process for process in self._processes if process.task}
        ready = wait(list(busy), timeout=_STALL)
        now = time.monotonic()
        for pipe, process in busy.items():
            if pipe not in ready and now - process.since < _STALL:
                continue
            task, result = process.task, None
            if pipe in ready:
                with contextlib.suppress(EOFError, OSError):
                    result = process.take()
            if process.task:
                process.end()
                self._processes.remove(process)
            if task:
                yield task, result

    # -- inside a process

    def _serve(self, pipe: Connection) -> None:
        gc.disable()  # a walk makes many small objects that live until its end
        gc.freeze()  # and what the parent made lives as long as the process
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 2)  # libclang prints its crashes; the parent tells of them
        with contextlib.suppress(EOFError, OSError):
            for number in itertools.count(1):
                pipe.send(self._do(pipe.recv()))
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


class _Process:
    """One worker's process: `task` is what it does, since the monotonic second `since`."""

    def __init__(self, serve: Callable[[Connection], None]) -> None:
        self.pipe, theirs = _context.Pipe()
        self.task: _Task | None = None
        self.since = 0.0
        self._process = _context.Process(target=self._main, args=(serve, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def give(self, task: _Task) -> None:
        self.task, self.since = task, time.monotonic()
        with contextlib.suppress(OSError):  # it died: that shows when its answer is read
            self.pipe.send(task)

    def take(self) -> Result | Path | None:
        """The answer. EOFError or OSError if the process died."""
        result: Result | Path | None = self.pipe.recv()
        self.task = None
        return result

    def end(self) -> None:
        self.pipe.close()
        self._process.kill()
        self._process.join()

    def _main(self, serve: Callable[[Connection], None], theirs: Connection) -> None:
        self.pipe.close()
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
