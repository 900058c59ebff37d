"""One editor's session: which documents are open, what is known of them, and the work that brings it up to date.

Nothing here waits for the engine: questions go to processes, and what comes back is shown only if it is about the text
that the editor has by then.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ebpffix.lsp.documents import Document, folder_of, path_of
from ebpffix.lsp.messages import Bug, Load, Loaded, Looked, Made, Mend, Mended, Seen, Update
from ebpffix.lsp.process import Died, Process
from ebpffix.lsp.text import Text

_BURST = 0.02  # seconds in which changes are one: of a paste, of one key in many documents
_QUIET = 1.0  # seconds without a change after which the disk is looked at again
_SPARED = 20  # times as long as that look took last it is not repeated: in a large tree it takes seconds
_PATIENCE = 5.0  # seconds that an editor may wait for the fixes of the text that it has now


class Session:
    """`show` is told of each document for which something else is to be shown, `tell` of lines for the user; true is
    for what stops the analysis."""

    def __init__(self, show: Callable[[Document], None], tell: Callable[[str, bool], None]) -> None:
        self.folders: list[Path] = []
        self.encoding = "utf-16"
        self.verifies = False
        self.documents: dict[str, Document] = {}
        self._show = show
        self._tell = tell
        self._desk = Process("desk")
        self._bench = Process("bench")
        self._generations = itertools.count(1)
        self._changed: set[str] = set()
        self._closed: set[Path] = set()
        self._fresh = False
        self._wake = asyncio.Event()
        self._looked = asyncio.Condition()
        self._one = asyncio.Lock()  # question to the desk
        self._again = 0.0  # the monotonic second from which on the disk may be looked at again
        self._is_stale = False  # something changed since it was
        self._told: set[str] = set()  # of what the kernel, or its absence, says
        self._problems: set[str] = set()  # that were told, and are still there
        self._fatal: set[Path] = set()  # files with whose text the desk died
        self._tasks: set[asyncio.Task[None]] = set()
        self._loading: dict[Path, asyncio.Task[None]] = {}

    # -- what the editor says

    def start(self) -> None:
        self._spawn(self._work())

    def open(self, uri: str, language: str, version: int, text: str) -> None:
        path = path_of(uri, language, self.folders)
        if path is None:
            return
        made = Text(text, self.encoding)
        generation = self._generation(path, made)
        self.documents[uri] = Document(uri, path, folder_of(path, self.folders), version, generation, made)
        self._closed.discard(path)
        self._note(uri)

    def change(self, uri: str, version: int, text: str) -> None:
        if document := self.documents.get(uri):
            document.version = version
            document.text = Text(text, self.encoding)
            document.generation = self._generation(document.path, document.text)
            self._fatal.discard(document.path)
            self._note(uri)

    def _generation(self, path: Path, text: Text) -> int:
        """A new one, unless the same file is open under another name with the same text."""
        others = (
            one.generation for one in self._with_path(path) if one.text is not text and one.text.data == text.data
        )
        return next(others, None) or next(self._generations)

    def close(self, uri: str) -> None:
        document = self.documents.pop(uri, None)
        if document is None:
            return
        document.seen = document.loaded = None
        self._show(document)
        other = self._with_path(document.path)
        if other:
            self._note(other[0].uri)  # the same file under another name
        else:
            self._closed.add(document.path)
            self._wake.set()

    def save(self, uri: str) -> None:
        """The file on the disk is the document now, until the next change."""
        document = self.documents.get(uri)
        if document is None:
            return
        self.look_again()
        if self.verifies and document.uri.startswith("file:"):
            path = document.path
            if (running := self._loading.get(path)) and not running.done():
                running.cancel()
                self._bench.stop()  # a search for a repair takes long, and is about a text of before
            self._loading[path] = self._spawn(self._load(path, document.folder))

    def look_again(self) -> None:
        """The disk may be another."""
        self._fresh = True
        self._wake.set()

    def _note(self, uri: str) -> None:
        self._changed.add(uri)
        self._wake.set()

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._bench.stop()
        await asyncio.to_thread(self._desk.close)
        await asyncio.to_thread(self._bench.close)

    # -- the work

    async def _work(self) -> None:
        while True:
            try:
                quiet = max(_QUIET, self._again - time.monotonic()) if self._is_stale else None
                await asyncio.wait_for(self._wake.wait(), quiet)
            except TimeoutError:
                self._fresh = True
            self._wake.clear()
            await asyncio.sleep(_BURST)
            await self._look()

    async def _look(self) -> None:
        """Ask about all that changed, and show what comes."""
        fresh = self._fresh and time.monotonic() >= self._again
        uris, closed = self._changed, tuple(self._closed)
        self._changed, self._closed, self._fresh = set(), set(), False
        async with self._one:
            if self._desk.is_new:
                uris, fresh = set(self.documents), True
            opened = {d.path: d.opened for uri in uris if (d := self.documents.get(uri)) and d.path not in self._fatal}
            self._is_stale = not fresh and bool(self.documents)
            if not (opened or closed or (fresh and self.documents)):
                return
            began = time.monotonic()
            answer = await self._ask(self._desk, Update(tuple(opened.values()), closed, fresh))
        took = time.monotonic() - began
        if isinstance(answer, Looked):
            for line in answer.said:
                self._tell(line, False)
            if fresh:
                self._problems &= set(answer.problems)
            self._once(answer.problems, self._problems)
            self._take(answer.seen)
        elif answer is None:  # it died: of one of these, which are left alone until they change
            self._fatal |= opened.keys()
            self._tell("the analysis ended early; what changed last is looked at again when it changes", True)
            self._note_all()
        if fresh:
            self._again = time.monotonic() + _SPARED * took
        async with self._looked:
            self._looked.notify_all()

    def _note_all(self) -> None:
        self._changed |= {uri for uri, document in self.documents.items() if document.path not in self._fatal}
        if self._changed:
            self._wake.set()

    def _take(self, seen: Iterable[Seen]) -> None:
        for one in seen:
            for document in self._with_path(one.path):
                if document.generation == one.generation and document.seen != one:
                    document.seen = one
                    self._show(document)

    def _with_path(self, path: Path) -> list[Document]:
        return [document for document in self.documents.values() if document.path == path]

    async def _ask(self, process: Process, question: object) -> Any:
        """The answer; None, and a line for the user, where there is none."""
        try:
            answer = await asyncio.to_thread(process.ask, question)
        except Died:
            return None
        if isinstance(answer, Bug):
            self._tell(answer.text, True)
        return answer

    async def seen(self, document: Document) -> Seen | None:
        """What is in a document as it is now; None if that is not known soon."""
        try:
            async with asyncio.timeout(_PATIENCE), self._looked:
                await self._looked.wait_for(lambda: document.is_seen)
        except TimeoutError:
            return None
        return document.seen

    async def ask(self, question: object) -> Made:
        """Ask the desk for edits."""
        async with self._one:
            if self._desk.is_new:
                return Made(refused="the analysis starts anew; ask again")
            answer = await self._ask(self._desk, question)
        return answer if isinstance(answer, Made) else Made(refused="there is no answer")

    def document_of(self, path: Path, generation: int | None = None) -> Document | None:
        """The document that a file is open as; with a generation only if it still has that text."""
        found = self._with_path(path)
        return next((one for one in found if generation is None or one.generation == generation), None)

    # -- what the kernel says

    async def _load(self, path: Path, folder: Path) -> None:
        answer = await self._ask(self._bench, Load(path, folder))
        if not isinstance(answer, Loaded):
            return
        self._once(answer.said, self._told)
        self._take_loaded(answer)
        if answer.refusals:
            mended = await self._ask(self._bench, Mend(path, folder))
            if isinstance(mended, Mended) and mended.edits:
                for document in self._with_path(path):
                    document.mended = [mended]

    def _take_loaded(self, loaded: Loaded) -> None:
        for document in self._with_path(loaded.path):
            document.loaded, document.mended = loaded, []
            self._show(document)

    def _once(self, lines: Iterable[str], told: set[str]) -> None:
        for line in lines:
            if line not in told:
                told.add(line)
                self._tell(line, True)


def edits_now(session: Session, mended: Mended) -> Sequence[Document]:
    """The documents that a repair edits, if all of them hold what it was found for; else none."""
    found = [session.document_of(path) for path in mended.edits]
    documents = [one for one in found if one is not None]
    as_then = all(one.text.data == mended.before[one.path] for one in documents)
    return documents if as_then and len(documents) == len(found) else ()
