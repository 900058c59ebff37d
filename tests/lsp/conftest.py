"""One session of an editor for all tests: to start a server costs more than most of them. Each test has a folder, and
what it leaves open is closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import git

from lsp.editor import Editor


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A session of its own takes seconds to start."""
    for item in items:
        if "start" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    running = Editor(tmp_path_factory.mktemp("workspace"))
    yield running
    running.close_session()


@pytest.fixture
def folder(session: Editor, request: pytest.FixtureRequest) -> Path:
    """A git tree in the editor's workspace."""
    number = sum(1 for _ in session.folder.iterdir())
    made = session.folder / f"{number}-{request.node.originalname}"
    made.mkdir()
    git("init", "-q", cwd=made)
    return made


@pytest.fixture
def editor(session: Editor) -> Iterator[Editor]:
    session.messages.clear()
    yield session
    for uri in list(session.texts):
        session.close(uri)


Start = Callable[..., Editor]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """start(…): a session of its own, in a folder `work`."""
    running: list[Editor] = []

    def one(**how: object) -> Editor:
        folder = tmp_path / "work"
        folder.mkdir(exist_ok=True)
        running.append(Editor(folder, **how))  # type: ignore[arg-type]
        return running[-1]

    yield one
    for editor in running:
        editor.close_session()
