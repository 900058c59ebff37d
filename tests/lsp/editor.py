"""An editor for tests: a client of the protocol that speaks with the real server over pipes, and holds documents as
editors do. Its methods wait; the client itself runs in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from lsprotocol import types
from pytest_lsp import LanguageClient, client_capabilities
from support import CACHE

SERVER = [sys.executable, "-P", "-c", "from ebpffix.lsp.cli import main; main()"]
_WAIT = 60.0  # seconds, on a machine that is busy, for the first headers
_LINE_END = re.compile("\r\n|\n|\r")
T = TypeVar("T")


def children(pid: int) -> list[tuple[int, str]]:
    """(number, command line) of the processes that a process started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(status.read_text().rpartition(")")[2].split()[1]) == pid:
                args = (status.parent / "cmdline").read_text().replace("\0", " ")
                found.append((int(status.parent.name), args))
    return found


class Editor:
    """One session in `folder`. `like` is an editor whose capabilities it has; `env` is put over the environment."""

    def __init__(
        self,
        folder: Path,
        *,
        like: str = "visual_studio_code",
        options: dict[str, Any] | None = None,
        env: dict[str, str] | None = None,
        encodings: list[str] | None = None,
        asks_twice: bool = True,
    ) -> None:
        self.folder = folder
        self.published: list[types.PublishDiagnosticsParams] = []
        self.messages: list[str] = []
        self.texts: dict[str, str] = {}
        self.versions: dict[str, int] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._arrived = threading.Condition()
        self.client = LanguageClient()
        self._listen()
        self.capabilities = client_capabilities(like)
        if not asks_twice:
            assert self.capabilities.text_document and self.capabilities.text_document.code_action
            self.capabilities.text_document.code_action.resolve_support = None
        if encodings:
            self.capabilities.general = types.GeneralClientCapabilities(position_encodings=encodings)
        surroundings = {**os.environ, "EBPFFIX_CACHE_DIR": str(CACHE), **(env or {})}
        self._do(self.client.start_io(*SERVER, env=surroundings, cwd=folder))
        params = types.InitializeParams(
            self.capabilities,
            root_uri=folder.as_uri(),
            workspace_folders=[types.WorkspaceFolder(folder.as_uri(), folder.name)],
            initialization_options=options,
        )
        self.server = self._do(self.client.initialize_session(params))

    def _listen(self) -> None:
        feature: Callable[[str], Callable[[Callable[[Any], None]], object]] = self.client.feature

        @feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def _(params: types.PublishDiagnosticsParams) -> None:
            self._note(lambda: self.published.append(params))

        @feature(types.WINDOW_SHOW_MESSAGE)
        def _(params: types.ShowMessageParams) -> None:
            self._note(lambda: self.messages.append(params.message))

        @feature(types.WINDOW_LOG_MESSAGE)
        def _(params: types.LogMessageParams) -> None:
            self._note(lambda: self.messages.append(params.message))

        @feature(types.CLIENT_REGISTER_CAPABILITY)
        def _(params: types.RegistrationParams) -> None:
            return None

    def _note(self, how: Callable[[], object]) -> None:
        with self._arrived:
            how()
            self._arrived.notify_all()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        running: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return running.result(_WAIT)

    def _say(self, what: Callable[[Any], object], params: object) -> None:
        """A notification, sent by the client's own thread."""

        async def said() -> None:
            what(params)

        self._do(said())

    def close_session(self) -> None:
        """As an editor ends; the server ends with it."""
        self._do(self.client.shutdown_session())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    # -- documents

    def open(self, uri: str | Path, text: str, language: str = "c") -> str:
        uri = uri.as_uri() if isinstance(uri, Path) else uri
        self.texts[uri], self.versions[uri] = text, 1
        self._say(
            self.client.text_document_did_open,
            types.DidOpenTextDocumentParams(types.TextDocumentItem(uri, language, 1, text)),
        )
        return uri

    def change(self, uri: str, text: str) -> None:
        self.texts[uri] = text
        self.versions[uri] += 1
        self._say(
            self.client.text_document_did_change,
            types.DidChangeTextDocumentParams(
                types.VersionedTextDocumentIdentifier(self.versions[uri], uri),
                [types.TextDocumentContentChangeWholeDocument(text)],
            ),
        )

    def save(self, uri: str) -> None:
        path = Path.from_uri(uri) if hasattr(Path, "from_uri") else Path(uri.removeprefix("file://"))
        path.write_bytes(self.texts[uri].encode())
        self._say(
            self.client.text_document_did_save,
            types.DidSaveTextDocumentParams(types.TextDocumentIdentifier(uri)),
        )

    def close(self, uri: str) -> None:
        del self.texts[uri], self.versions[uri]
        self._say(
            self.client.text_document_did_close,
            types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri)),
        )

    # -- what comes back

    def wait(self, until: Callable[[], T | None], seconds: float = _WAIT) -> T:
        """What `until` gives once it is something; asked whenever something arrives."""
        end = time.monotonic() + seconds
        with self._arrived:
            while (found := until()) is None:
                left = end - time.monotonic()
                assert left > 0, f"nothing came; messages: {self.messages}"
                self._arrived.wait(left)
        return found

    def diagnostics(self, uri: str) -> list[types.Diagnostic]:
        """Those of the text that the document has now."""

        def latest() -> types.PublishDiagnosticsParams | None:
            mine = [one for one in self.published if one.uri == uri]
            return mine[-1] if mine and mine[-1].version == self.versions[uri] else None

        return list(self.wait(latest).diagnostics)

    def findings(self, uri: str) -> list[tuple[str, str]]:
        """(transform, what its range holds) of the findings in the text that the document has now."""
        found = self.diagnostics(uri)
        return [(str(one.code), self.within(uri, one.range)) for one in found if one.code]

    def within(self, uri: str, span: types.Range) -> str:
        text = self.texts[uri]
        return text[self.index(text, span.start) : self.index(text, span.end)]

    def actions(
        self, uri: str, span: types.Range | None = None, only: list[str] | None = None
    ) -> list[types.CodeAction]:
        """The code actions of a range, of the whole document unless given."""
        end = self.texts[uri].count("\n") + 1
        whole = types.Range(types.Position(0, 0), types.Position(end, 0))
        params = types.CodeActionParams(
            types.TextDocumentIdentifier(uri), span or whole, types.CodeActionContext([], only)
        )
        found = self._do(self.client.text_document_code_action_async(params)) or []
        return [action for action in found if isinstance(action, types.CodeAction)]

    def resolved(self, action: types.CodeAction) -> types.CodeAction:
        return self._do(self.client.code_action_resolve_async(action))

    def hover(self, uri: str, position: types.Position) -> str:
        params = types.HoverParams(types.TextDocumentIdentifier(uri), position)
        found = self._do(self.client.text_document_hover_async(params))
        if found is None:
            return ""
        assert isinstance(found.contents, types.MarkupContent)
        return found.contents.value

    def make(self, action: types.CodeAction) -> None:
        """Make an action's edit as editors do, and tell the server of the new texts."""
        edit = (action if action.edit else self.resolved(action)).edit
        assert edit is not None, self.messages
        for one in edit.document_changes or ():
            assert isinstance(one, types.TextDocumentEdit)
            uri = one.text_document.uri
            assert one.text_document.version == self.versions[uri], "an edit of another text"
            self.change(uri, self.after(self.texts[uri], [e for e in one.edits if isinstance(e, types.TextEdit)]))
        for uri, edits in (edit.changes or {}).items():
            self.change(uri, self.after(self.texts[uri], list(edits)))

    def after(self, text: str, edits: list[types.TextEdit]) -> str:
        spans = sorted((self.index(text, e.range.start), self.index(text, e.range.end), e.new_text) for e in edits)
        assert all(a[1] < b[0] for a, b in pairwise(spans)), "edits that touch"
        for start, end, new in reversed(spans):
            text = text[:start] + new + text[end:]
        return text

    def index(self, text: str, position: types.Position) -> int:
        """The character of a position, counted by the protocol's rules alone."""
        starts = [0, *(match.end() for match in _LINE_END.finditer(text))]
        if position.line >= len(starts):
            return len(text)
        at, units = starts[position.line], 0
        while units < position.character:
            assert text[at] not in "\r\n", f"{position} is behind the end of its line"
            units += self._width(text[at])
            at += 1
        assert units == position.character, f"{position} is within a character"
        return at

    def _width(self, character: str) -> int:
        agreed = self.server.capabilities.position_encoding or "utf-16"
        encoding = str(getattr(agreed, "value", agreed))
        codec, size = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}[encoding]
        return len(character.encode(codec, "surrogatepass")) // size
