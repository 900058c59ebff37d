"""What a process that lives long keeps between its runs: workers that are started, and results in memory.

An editor analyses a program at each key that is pressed. To start processes takes longer than that, and results of
texts that were on the way to others are nothing for the disk.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from ebpffix.run.analyse import Job, Result
from ebpffix.run.worker import Worker
from ebpffix.transform import Registered

_MOST = 1000  # results: some for each file that an editor has open


class Warm:
    """One for each process: it runs all of `transforms` that a run asks for, in as many processes as `jobs`. `cache`
    is where headers are kept."""

    def __init__(self, transforms: Mapping[str, Registered], jobs: int, cache: Path) -> None:
        self.worker = Worker(transforms, jobs, cache, precompile_from=1)
        self.results = Memory()

    def close(self) -> None:
        self.worker.close()


class Memory:
    """The last results, also those that failed: what takes too long is not tried again until its text changes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Result] = OrderedDict()

    def get(self, key: str, job: Job) -> Result | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, key: str, result: Result) -> None:
        self._kept[key] = result

    def prune(self) -> None:
        while len(self._kept) > _MOST:
            self._kept.popitem(last=False)
