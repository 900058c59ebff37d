"""Each attack gets folders of its own, and no more time than it may take."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from .support import Attack

_SECONDS = 300


@pytest.fixture
def attack(tmp_path: Path) -> Attack:
    return Attack.below(tmp_path)


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """An attack that works would else hang the tests."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"not done within {_SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
