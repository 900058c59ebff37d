"""What runs in a process of the server: `python -P -m ebpffix.lsp.child ROLE DESCRIPTOR`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection
from typing import Any

from ebpffix.lsp.messages import Bug

Answer = Callable[[Any], object]


def _desk() -> AbstractContextManager[Answer]:
    from ebpffix.lsp.desk import Desk

    return Desk()


def _bench() -> AbstractContextManager[Answer]:
    from ebpffix.lsp.bench import Bench

    return Bench()


ROLES = {"desk": _desk, "bench": _bench}


def main(role: str, descriptor: str) -> None:
    """Answer until the server is gone."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))  # so that what was made is removed
    pipe = Connection(int(descriptor))
    with ROLES[role]() as answer:
        while True:
            try:
                question = pipe.recv()
            except (EOFError, OSError):
                return
            try:
                said = answer(question)
            except Exception as error:
                at = error.__traceback__
                while at and at.tb_next:
                    at = at.tb_next
                where = f" at {at.tb_frame.f_globals.get('__name__')}:{at.tb_lineno}" if at else ""
                said = Bug(f"this is a bug in ebpffix ({type(error).__name__}: {error}{where}); please report it")
            pipe.send(said)


if __name__ == "__main__":
    main(*sys.argv[1:])
