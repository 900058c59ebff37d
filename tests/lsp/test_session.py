"""The session itself, where an analysis or the editor's side goes wrong: the next text is looked at all the same."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ebpffix.lsp.documents import Document
from ebpffix.lsp.messages import Bug, Looked, Seen, Update
from ebpffix.lsp.session import Session


class _Desk:
    """Answers in place of the process: with a mistake of ours for texts that say so."""

    is_new = False

    def ask(self, question: object) -> object:
        assert isinstance(question, Update)
        if any(b"BUG" in one.data for one in question.opened):
            return Bug("this is a bug")
        return Looked(tuple(Seen(one.path, one.generation) for one in question.opened))


def test_a_mistake_of_ours_is_told_once_and_costs_one_text(tmp_path: Path) -> None:
    shown: list[int] = []
    told: list[str] = []

    def show(document: Document) -> None:
        if b"UNSHOWN" in document.text.data:
            raise ValueError("cannot be shown")
        shown.append(document.version)

    async def session() -> None:
        one = Session(show, lambda line, _: told.append(line))
        one._desk = _Desk()  # type: ignore[assignment]
        one.start()
        uri = (tmp_path / "a.c").as_uri()
        one.open(uri, "c", 1, "first")
        for version, text in enumerate(["BUG", "BUG too", "UNSHOWN", "UNSHOWN too", "last"], 2):
            await asyncio.sleep(0.1)
            one.change(uri, version, text)
        await asyncio.wait_for(one.seen(one.documents[uri]), 10)
        for task in one._tasks:
            task.cancel()

    asyncio.run(session())
    assert (shown[0], shown[-1]) == (1, 6) and not {2, 3, 4, 5} & set(shown)
    assert len([line for line in told if "this is a bug" in line]) == len(told) == 2
