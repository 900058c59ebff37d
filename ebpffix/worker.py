"""The analysis of many programs in a process of its own, which may die or hang without harm to the run.

libclang can be killed by hostile input, and a thread that hangs in it cannot be stopped. So threads analyse inside one
forked worker; when it dies or stalls, the parent starts another, tries what was in progress one at a time, reports the
program that did it, and goes on with the rest.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from ebpffix.analyse import Job, Result, Status, analyse
from ebpffix.frontend.pch import PrecompiledHeaders
from ebpffix.transform import Registered

_STALL = 60.0  # seconds without one finished program after which the worker counts as hung

_context = multiprocessing.get_context("fork")


class Worker:
    """Runs jobs. The process starts with the first one and lives until `close`."""

    def __init__(
        self, transforms: Mapping[str, Registered], jobs: int, cache: Path | None, precompile_from: int = 3
    ) -> None:
        self._precompile_from = precompile_from
        self._transforms = transforms
        self._threads = max(jobs, 1)
        self._cache = cache
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process, if there is one."""
        if self._pipe:
            self._pipe.close()
        if self._process:
            self._process.kill()
            self._process.join()
        self._process = self._pipe = None

    def run(self, jobs: Sequence[Job], progress: Callable[[], object] = lambda: None) -> Iterator[tuple[Job, Result]]:
        """The result of each job, as they come. `progress` is called once a job."""
        suspects: list[Job] = []
        yield from self._round(jobs, self._threads, suspects, progress)
        for job in suspects:
            guilty: list[Job] = []
            yield from self._round([job], 1, guilty, progress)
            if guilty:
                progress()
                why = "libclang crashed or hung on it; report this with the file"
                yield job, Result(Status.FAILED, notes=[why])

    def _round(
        self, jobs: Sequence[Job], threads: int, suspects: list[Job], progress: Callable[[], object]
    ) -> Iterator[tuple[Job, Result]]:
        waiting = dict(enumerate(jobs))
        while waiting:
            pipe = self._start()
            begun: set[int] = set()
            try:
                pipe.send((threads, list(waiting.items())))
                while waiting:
                    if not pipe.poll(_STALL):
                        raise EOFError
                    number, result = pipe.recv()
                    if result is None:
                        begun.add(number)
                        continue
                    begun.discard(number)
                    progress()
                    yield waiting.pop(number), result
            except (EOFError, OSError):
                self.close()
                # Before any began, the precompiled header did it: not a program's fault, but each is tried alone.
                for number in begun or set(waiting):
                    suspects.append(waiting.pop(number))
                if threads == 1 and not begun:
                    return

    def _start(self) -> Connection:
        if self._pipe is None:
            self._pipe, theirs = _context.Pipe()
            self._process = _context.Process(target=self._serve, args=(theirs, self._pipe), daemon=True)
            self._process.start()
            theirs.close()
        return self._pipe

    # -- inside the worker

    def _serve(self, pipe: Connection, parents: Connection) -> None:
        parents.close()
        gc.disable()  # a walk makes many small objects that live until its end
        threading.stack_size(64 << 20)  # libclang recurses over nested expressions
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 2)  # libclang prints its crashes; the parent tells of them
        prefixes = _Prefixes(PrecompiledHeaders(self._cache / "pch") if self._cache else None, self._precompile_from)
        with contextlib.suppress(EOFError, OSError):
            while True:
                threads, batch = pipe.recv()
                self._batch(pipe, threads, batch, prefixes)
                gc.collect()

    def _batch(self, pipe: Connection, threads: int, batch: list[tuple[int, Job]], prefixes: _Prefixes) -> None:
        prefixes.plan([job for _, job in batch])
        todo: queue.SimpleQueue[tuple[int, Job]] = queue.SimpleQueue()
        for item in batch:
            todo.put(item)
        sending = threading.Lock()

        def work() -> None:
            while True:
                try:
                    number, job = todo.get_nowait()
                except queue.Empty:
                    return
                header = prefixes.header(job)
                with sending:
                    pipe.send((number, None))
                try:
                    result = analyse(job, self._transforms, header)
                except Exception as error:  # a thread that ended here would look like a hang
                    why = f"it could not be analysed ({type(error).__name__}: {error}); please report this"
                    result = Result(Status.FAILED, notes=[why])
                with sending:
                    pipe.send((number, result))

        crew = [threading.Thread(target=work, daemon=True) for _ in range(min(threads, len(batch)))]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()


class _Prefixes:
    """The precompiled headers of a run: each made once, by the first thread that needs it while others wait, if as many
    programs as `precompile_from` share it."""

    def __init__(self, store: PrecompiledHeaders | None, precompile_from: int) -> None:
        self._store = store
        self._precompile_from = precompile_from
        self._users: Counter[object] = Counter()
        self._locks: dict[object, threading.Lock] = {}
        self._made: dict[object, Path | None] = {}

    @staticmethod
    def _key(job: Job) -> tuple[tuple[str, ...], tuple[str, ...], bytes]:
        return job.setup.prefix, job.setup.prefix_args, job.setup.digest

    def plan(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._users[self._key(job)] += 1
            self._locks.setdefault(self._key(job), threading.Lock())

    def header(self, job: Job) -> Path | None:
        if self._store is None or not job.setup.prefix:
            return None
        key = self._key(job)
        with self._locks[key]:
            if key not in self._made:
                prefix, args, digest = key
                found = self._store.find(prefix, args, digest)
                if found is None and self._users[key] >= self._precompile_from:
                    found = self._store.build(prefix, args, digest)
                elif found is None:
                    return None  # asked again should more programs want it
                self._made[key] = found
            return self._made[key]
