"""The language server: what an editor asks as questions to the session, and its answers in the protocol's words."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from lsprotocol import types
from pygls.lsp.server import LanguageServer

from ebpffix import __version__
from ebpffix.fix import Edit, Safety
from ebpffix.lsp import answers
from ebpffix.lsp.documents import Document
from ebpffix.lsp.messages import Finding, Made, Make, Mended, Silence
from ebpffix.lsp.session import Session, edits_now
from ebpffix.shown import visible
from ebpffix.sources.files import HOSTS

_QUICK = types.CodeActionKind.QuickFix
_ENDINGS = ",".join(ending.removeprefix(".") for ending in (".c", ".h", *HOSTS))
_WATCHED = (
    f"**/*.{{{_ENDINGS}}}",
    "**/{ebpffix.toml,pyproject.toml,compile_commands.json,Makefile,CMakeLists.txt,meson.build}",
)


class Server(LanguageServer):
    """Documents come whole with each change (they are small), so that there is one text and no other."""

    def __init__(self) -> None:
        super().__init__("ebpffix", __version__, text_document_sync_kind=types.TextDocumentSyncKind.Full)
        self.session = Session(self._show, self.tell)

    def _show(self, document: Document) -> None:
        params = types.PublishDiagnosticsParams(document.uri, answers.diagnostics(document), document.version)
        self.text_document_publish_diagnostics(params)

    def tell(self, line: str, is_problem: bool = True) -> None:
        """To the user's eyes, or to the log."""
        if is_problem:
            self.window_show_message(types.ShowMessageParams(types.MessageType.Warning, f"ebpffix: {visible(line)}"))
        else:
            self.window_log_message(types.LogMessageParams(types.MessageType.Info, visible(line)))

    # -- what the client can

    def can_resolve(self) -> bool:
        """Whether the edit of an action may come when it is chosen."""
        actions = _of(self.client_capabilities, "text_document", "code_action")
        return "edit" in (_of(actions, "resolve_support", "properties") or ())

    def can_watch(self) -> bool:
        watching = _of(self.client_capabilities, "workspace", "did_change_watched_files")
        return bool(_of(watching, "dynamic_registration"))

    def edit(self, edits: Iterable[tuple[Document, Iterable[Edit]]]) -> types.WorkspaceEdit:
        """Edits of documents as they are now; a client that has other texts by then does not take them."""
        made = {document: document.text.edits(of) for document, of in edits}
        if _of(self.client_capabilities, "workspace", "workspace_edit", "document_changes"):
            return types.WorkspaceEdit(
                document_changes=[
                    types.TextDocumentEdit(
                        types.OptionalVersionedTextDocumentIdentifier(document.uri, document.version), list(of)
                    )
                    for document, of in made.items()
                ]
            )
        return types.WorkspaceEdit(changes={document.uri: of for document, of in made.items()})


def _of(value: Any, *names: str) -> Any:
    for name in names:
        value = getattr(value, name, None)
    return value


def make() -> Server:
    """The server, with all that it answers."""
    server = Server()
    session = server.session

    @server.feature(types.INITIALIZE)
    def _(params: types.InitializeParams) -> None:
        folders = [one.uri for one in params.workspace_folders or ()] or [params.root_uri or ""]
        session.folders = [path for uri in folders if (path := _folder(uri))]
        session.encoding = str(getattr(server.workspace.position_encoding, "value", server.workspace.position_encoding))
        options = params.initialization_options
        session.verifies = isinstance(options, Mapping) and options.get("verify") is True

    @server.feature(types.INITIALIZED)
    async def _(_: types.InitializedParams) -> None:
        session.start()
        if server.can_watch():
            watchers = [types.FileSystemWatcher(pattern) for pattern in _WATCHED]
            options = types.DidChangeWatchedFilesRegistrationOptions(watchers)
            what = types.Registration("files", types.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)
            with contextlib.suppress(Exception):  # a client that says no is asked nothing more
                await server.client_register_capability_async(types.RegistrationParams([what]))

    @server.feature(types.SHUTDOWN)
    async def _(_: None) -> None:
        await session.end()

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def _(params: types.DidOpenTextDocumentParams) -> None:
        one = params.text_document
        session.open(one.uri, str(one.language_id), one.version, one.text)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def _(params: types.DidChangeTextDocumentParams) -> None:
        one = params.text_document
        session.change(one.uri, one.version, server.workspace.get_text_document(one.uri).source)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def _(params: types.DidCloseTextDocumentParams) -> None:
        session.close(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def _(params: types.DidSaveTextDocumentParams) -> None:
        session.save(params.text_document.uri)

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def _(_: types.DidChangeWatchedFilesParams) -> None:
        session.look_again()

    @server.feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    def _(_: types.DidChangeWorkspaceFoldersParams) -> None:
        folders = (_folder(one.uri) for one in server.workspace.folders.values())
        session.folders = [folder for folder in folders if folder]
        session.look_again()

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    async def _(params: types.HoverParams) -> types.Hover | None:
        document = session.documents.get(params.text_document.uri)
        if document is None or await session.seen(document) is None:
            return None
        formats = _of(server.client_capabilities, "text_document", "hover", "content_format") or ()
        markdown = types.MarkupKind.Markdown in formats
        await asyncio.to_thread(answers.known)  # imports them all, once
        return answers.hover(document, params.position, markdown=markdown)

    options = types.CodeActionOptions([_QUICK, answers.FIX_ALL], resolve_provider=True)

    @server.feature(types.TEXT_DOCUMENT_CODE_ACTION, options)
    async def _(params: types.CodeActionParams) -> list[types.CodeAction]:
        document = session.documents.get(params.text_document.uri)
        if document is None or await session.seen(document) is None:
            return []
        only = [str(getattr(kind, "value", kind)) for kind in params.context.only] if params.context.only else None
        found = list(_actions(server, document, params.range, only))
        if not server.can_resolve():
            found = [action if action.edit else await _resolved(server, action) for action in found]
        return [action for action in found if action.edit or action.data]

    @server.feature(types.CODE_ACTION_RESOLVE)
    async def _(action: types.CodeAction) -> types.CodeAction:
        return await _resolved(server, action)

    return server


def _folder(uri: str) -> Path | None:
    parts = urlsplit(uri)
    return Path(unquote(parts.path, errors="surrogateescape")) if parts.scheme == "file" and parts.path else None


# -- code actions


def _actions(
    server: Server, document: Document, span: types.Range, only: list[str] | None
) -> Iterator[types.CodeAction]:
    assert document.seen
    if answers.wants(only, _QUICK.value):
        for finding in answers.at(document, span):
            yield from _of_finding(server, document, finding)
        for mended in document.mended:
            yield from _repairs(server, document, mended)
    if answers.wants(only, answers.FIX_ALL) and document.seen.fix_all:
        edit = server.edit([(document, document.seen.fix_all)])
        yield types.CodeAction("ebpffix: make all safe fixes in this file", answers.FIX_ALL, edit=edit)


def _of_finding(server: Server, document: Document, finding: Finding) -> Iterator[types.CodeAction]:
    diagnostic = answers.of_finding(document, finding)
    asked = {"uri": document.uri, "generation": document.generation, "finding": _number(document, finding)}
    if finding.edits:
        doubt = "" if finding.safety is Safety.SAFE else " (suggested)"
        action = types.CodeAction(visible(f"{finding.transform}: {finding.becomes}{doubt}"), _QUICK, [diagnostic])
        documents = [(server.session.document_of(path), edits) for path, edits in finding.edits.items()]
        if finding.is_made and all(one for one, _ in documents):
            action.edit = server.edit((one, edits) for one, edits in documents if one)
            action.is_preferred = finding.safety is Safety.SAFE or None
        else:
            action.data = {**asked, "what": "make"}
        yield action
    title = f"{finding.transform}: leave this as it is (// ebpffix: ignore)"
    yield types.CodeAction(title, _QUICK, [diagnostic], data={**asked, "what": "silence"})


def _number(document: Document, finding: Finding) -> int:
    return document.seen.findings.index(finding) if document.seen else 0


def _repairs(server: Server, document: Document, mended: Mended) -> Iterator[types.CodeAction]:
    documents = edits_now(server.session, mended)
    if documents:
        title = visible(f"Repair: {'; '.join(mended.steps)}")
        found = [diagnostic for diagnostic, _ in answers.refusals(document)]
        edit = server.edit((one, mended.edits[one.path]) for one in documents)
        yield types.CodeAction(title, _QUICK, found, edit=edit)


async def _resolved(server: Server, action: types.CodeAction) -> types.CodeAction:
    """The action with its edit, or without one and with a word why."""
    made = await _made(server, action.data)
    found = [(server.session.document_of(path, made.generations[path]), edits) for path, edits in made.edits.items()]
    action.data = None
    if made.refused:
        server.tell(f"{action.title}: not made: {made.refused}")
    elif all(one for one, _ in found):
        action.edit = server.edit((one, edits) for one, edits in found if one)
    return action


async def _made(server: Server, data: Any) -> Made:
    if not isinstance(data, Mapping):
        return Made()
    document = server.session.documents.get(str(data.get("uri")))
    number = data.get("finding")
    if document is None or document.seen is None or document.generation != data.get("generation"):
        return Made(refused="the text is another by now")
    if not isinstance(number, int) or not 0 <= number < len(document.seen.findings):
        return Made()
    identity = document.seen.findings[number].identity
    kind = Make if data.get("what") == "make" else Silence
    return await server.session.ask(kind(document.path, identity))
