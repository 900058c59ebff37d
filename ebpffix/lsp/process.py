"""A process of the server: it is asked one thing at a time, and may die without harm.

What analyses is not the process that talks to the editor: there nothing waits, and here nothing runs beside, so that
workers can be forked. The package of the current folder is not looked at (-P): it may be a stranger's.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any

_PATIENCE = 5.0  # seconds for a process to remove what it made


class Died(Exception):
    """It ended before it answered."""


class Process:
    """Starts with the first question, and again with the next one after it died. `role` is one of `child.ROLES`."""

    def __init__(self, role: str) -> None:
        self._role = role
        self._one = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    @property
    def is_new(self) -> bool:
        """Whether the next question starts it: it knows nothing then."""
        return self._pipe is None

    def ask(self, question: object) -> Any:
        """What it says; the caller waits. Died where it does not."""
        with self._one:
            if self._pipe is None:
                self._start()
            assert self._pipe is not None
            try:
                self._pipe.send(question)
                return self._pipe.recv()
            except (EOFError, OSError):
                self._end()
                raise Died from None

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "ebpffix.lsp.child", self._role, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # standard output is the editor's
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # a Ctrl-C is for the server
            )
        self._pipe = Connection(ours.detach())

    def stop(self) -> None:
        """End it in the middle of its work; who waits for an answer is told that it died."""
        if self._child:
            self._child.terminate()

    def close(self) -> None:
        """Let it end by itself: it has things to remove."""
        child = self._child
        if self._one.acquire(timeout=2):
            try:
                self._end()
            finally:
                self._one.release()
        elif child:
            child.kill()

    def _end(self) -> None:
        if self._pipe:
            self._pipe.close()
        if self._child:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(_PATIENCE)
            self._child.kill()
            self._child.wait()
        self._child = self._pipe = None
