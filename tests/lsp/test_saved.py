"""With `verify`: a file that was saved is compiled and loaded, and what the kernel refuses stands at its line."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from lsprotocol import types
from support import PROGRAM

from lsp.conftest import Start
from lsp.editor import Editor, children

ACCEPTED = PROGRAM.decode().replace("\tbpf_map_update_elem(&counts, &key, seen, BPF_ANY);\n", "")
REFUSED = ACCEPTED.replace("\tif (!seen)\n\t\treturn XDP_PASS;\n", "")
BROKEN = ACCEPTED.replace("return XDP_PASS", "return XDP_NONE")
ON = {"verify": True}


def _refusals(editor: Editor, uri: str, count: int) -> list[types.Diagnostic]:
    """Those of the next time that there are so many."""

    def latest() -> list[types.Diagnostic] | None:
        mine = [one for one in editor.published if one.uri == uri]
        found = [d for d in mine[-1].diagnostics if d.source == "ebpffix (kernel)"] if mine else []
        return found if len(found) == count and mine[-1].version == editor.versions[uri] else None

    return editor.wait(latest)


def _soon(what: Callable[[], types.CodeAction | None]) -> types.CodeAction:
    end = time.monotonic() + 60
    while (found := what()) is None:
        assert time.monotonic() < end
        time.sleep(0.2)
    return found


def _saved(editor: Editor, text: str) -> str:
    uri = editor.open(editor.folder / "a.bpf.c", text)
    editor.save(uri)
    return uri


@pytest.mark.parametrize("options", [None, {}, {"verify": False}, {"verify": "true"}])
def test_nothing_is_loaded_unless_the_user_says_so(start: Start, verifier: None, options: dict[str, object]) -> None:
    editor = start(options=options)
    uri = _saved(editor, REFUSED)
    editor.change(uri, REFUSED + "\n")
    assert editor.diagnostics(uri) == []
    assert editor.client._server
    assert [args.split()[-2] for _, args in children(editor.client._server.pid)] == ["desk"]


@pytest.mark.parametrize("text", [ACCEPTED, "int x;\n"])
def test_what_loads_has_nothing(start: Start, verifier: None, text: str) -> None:
    editor = start(options=ON)
    uri = _saved(editor, REFUSED)
    assert len(_refusals(editor, uri, 1)) == 1
    editor.change(uri, text)
    editor.save(uri)
    assert _refusals(editor, uri, 0) == []
    assert not [m for m in editor.messages if "bug" in m]


def test_a_refusal_stands_at_its_line(start: Start, verifier: None) -> None:
    editor = start(options=ON)
    uri = _saved(editor, REFUSED)
    (refusal,) = _refusals(editor, uri, 1)
    assert editor.within(uri, refusal.range) == "*seen += 1;"
    assert refusal.message.startswith("count: the verifier refuses it: R")
    (lost,) = refusal.related_information or ()
    assert "bpf_map_lookup_elem" in editor.within(uri, lost.location.range)


def test_it_goes_with_its_line(start: Start, verifier: None) -> None:
    """Lines that come above move it; a line that is another now has nothing said of it; undone, it is back."""
    editor = start(options=ON)
    uri = _saved(editor, REFUSED)
    _refusals(editor, uri, 1)
    editor.change(uri, "// one\n// two\n" + REFUSED)
    (moved,) = _refusals(editor, uri, 1)
    assert editor.within(uri, moved.range) == "*seen += 1;"
    editor.change(uri, REFUSED.replace("*seen += 1;", "if (seen) *seen += 1;"))
    assert _refusals(editor, uri, 0) == []
    editor.change(uri, REFUSED)
    assert len(_refusals(editor, uri, 1)) == 1


def test_a_repair_is_offered_and_loads(start: Start, verifier: None) -> None:
    editor = start(options=ON)
    uri = _saved(editor, REFUSED)
    _refusals(editor, uri, 1)

    def repair() -> types.CodeAction | None:
        return next((a for a in editor.actions(uri, only=["quickfix"]) if a.title.startswith("Repair: ")), None)

    action = _soon(repair)
    assert action.title.startswith("Repair: null-check: ")
    editor.change(uri, REFUSED + "\n")
    assert repair() is None  # it is for the text that was saved
    editor.change(uri, REFUSED)
    again = repair()
    assert again
    editor.make(again)
    assert "if (!seen)" in editor.texts[uri]
    editor.save(uri)
    assert _refusals(editor, uri, 0) == []


def test_what_does_not_compile_stands_at_its_line(start: Start, verifier: None) -> None:
    editor = start(options=ON)
    uri = _saved(editor, BROKEN)
    (error,) = _refusals(editor, uri, 1)
    assert error.message.startswith("does not compile: ") and "XDP_NONE" in editor.within(uri, error.range)


def test_without_a_compiler_it_is_told_once(start: Start) -> None:
    editor = start(options=ON, env={"CLANG": "/nowhere/clang"})
    uri = _saved(editor, REFUSED)
    editor.wait(lambda: next((m for m in editor.messages if "/nowhere/clang" in m), None))
    editor.save(uri)
    editor.change(uri, REFUSED + "\n")
    assert editor.diagnostics(uri) == []
    assert len([m for m in editor.messages if "/nowhere/clang" in m]) == 1
