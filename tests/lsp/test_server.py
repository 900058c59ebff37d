"""The language server, with a real client: after every edit an editor sees what the command says of that text, and what
it is offered is what the command would make."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from lsprotocol import types
from support import FIXED, PROGRAM, UPDATE, cases, ebpffix

from lsp.conftest import Start
from lsp.editor import Editor, children

TEXT = PROGRAM.decode()
CLEAN = FIXED.decode()
FOUND = [("redundant-map-update", "bpf_map_update_elem(&counts, &key, seen, BPF_ANY)")]

PADDED = """#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "key.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct key);
	__type(value, u64);
} seen SEC(".maps");

SEC("xdp")
int count(struct xdp_md *ctx)
{
	struct key key = {
		.port = 1,
		.cookie = 2,
	};

	return bpf_map_lookup_elem(&seen, &key) ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
"""
HOLES = "struct key {\n\tu16 port;\n\tu64 cookie;\n};\n"
NO_HOLES = "struct key {\n\tu64 port;\n\tu64 cookie;\n};\n"


# -- what must not be told


def test_clean_text_has_nothing(editor: Editor, folder: Path) -> None:
    assert editor.diagnostics(editor.open(folder / "a.bpf.c", CLEAN)) == []


@pytest.mark.parametrize("text", ["", "\n", "int main(void) { return 0; }\n", "\0\x01", '#include "a.bpf.c"\n'])
def test_what_is_no_ebpf_has_nothing(editor: Editor, folder: Path, text: str) -> None:
    uri = editor.open(folder / "a.bpf.c", text)
    assert editor.findings(uri) == []
    assert editor.actions(uri) == []


@pytest.mark.parametrize("uri", ["git:/x/a.bpf.c", "fugitive:///x/.git//0/a.bpf.c", "file://host/a.bpf.c"])
def test_what_is_no_file_is_left_alone(editor: Editor, folder: Path, uri: str) -> None:
    editor.open(uri, TEXT)
    assert editor.actions(uri) == []
    mine = editor.open(folder / "a.bpf.c", TEXT)
    assert editor.findings(mine) == FOUND
    assert not [one for one in editor.published if one.uri == uri]


def test_what_is_closed_has_nothing_any_more(editor: Editor, folder: Path) -> None:
    uri = editor.open(folder / "a.bpf.c", TEXT)
    assert editor.findings(uri) == FOUND
    editor.close(uri)
    last = editor.wait(lambda: next((p for p in editor.published[::-1] if p.uri == uri and not p.diagnostics), None))
    assert last.uri == uri


def test_excluded_files_have_nothing(editor: Editor, folder: Path) -> None:
    (folder / "ebpffix.toml").write_text('exclude = ["old/"]\n')
    assert editor.diagnostics(editor.open(folder / "old" / "a.bpf.c", TEXT)) == []
    assert editor.findings(editor.open(folder / "new" / "a.bpf.c", TEXT)) == FOUND


# -- the same as the command


def _told_by_command(path: Path, root: Path) -> list[tuple[str, int, str]]:
    done = ebpffix("--output-format", "json", path, cwd=root)
    return sorted((f["transform"], f["line"], f["safety"]) for f in json.loads(done.out)["findings"])


def _told_in(editor: Editor, uri: str) -> list[tuple[str, int, str]]:
    found = [d for d in editor.diagnostics(uri) if d.code]
    return sorted((str(d.code), d.range.start.line + 1, d.message.split("[")[-1].split("]")[0]) for d in found)


def _is_text(data: bytes) -> bool:
    try:
        return not data.decode().startswith("\ufeff")
    except UnicodeDecodeError:
        return False


# What an editor shows of other files is not what they hold.
_CASES = [c for c in cases() if len(c.files) == 1 and "args" not in c.keys and _is_text(*c.files.values())][::23]


@pytest.mark.slow
@pytest.mark.parametrize("case", _CASES, ids=str)
def test_as_the_command_says(editor: Editor, folder: Path, case: object) -> None:
    """Found is what the command finds, and "fix all" makes what `--apply` makes, for files of every transform."""
    from support import Case

    assert isinstance(case, Case)
    ((name, data),) = case.files.items()
    text = data.decode()
    (folder / "disk").mkdir()
    (folder / "disk" / name).write_bytes(data)
    expected = _told_by_command(folder / "disk" / name, folder)
    uri = editor.open(folder / "new" / name, text)  # on no disk
    assert _told_in(editor, uri) == expected
    ebpffix("--apply", folder / "disk" / name, cwd=folder)
    all_ = editor.actions(uri, only=["source.fixAll"])
    for action in all_:
        editor.make(action)
    assert editor.texts[uri].encode() == (folder / "disk" / name).read_bytes()
    assert _told_in(editor, uri) == _told_by_command(folder / "disk" / name, folder)


def test_after_every_edit(editor: Editor, folder: Path) -> None:
    """A program typed line by line, forwards and backwards: each text says what it says when it is opened anew."""
    lines = TEXT.splitlines(keepends=True)
    steps = ["".join(lines[:n]) for n in (5, 12, 16, 19, 20, 23, len(lines))]
    uri = editor.open(folder / "a.bpf.c", "")
    for number, text in enumerate([*steps, *steps[::-1]]):
        editor.change(uri, text)
        other = editor.open(folder / f"other{number}.bpf.c", text)
        assert _told_in(editor, uri) == _told_in(editor, other), text
        editor.close(other)


def test_what_is_shown_is_of_the_text_that_is_there(editor: Editor, folder: Path) -> None:
    """As fast as one types: whatever comes for a version is right for that version's text."""
    uri = editor.open(folder / "a.bpf.c", CLEAN)
    line = TEXT[: TEXT.index("bpf_map_update")].count("\n")
    expected: dict[int, list[int]] = {1: []}
    for number in range(1, 40):
        editor.change(uri, "\n" * number + (TEXT if number % 2 else CLEAN))
        expected[editor.versions[uri]] = [line + number] if number % 2 else []
        time.sleep(0.01 * (number % 7))
    assert editor.findings(uri) == FOUND
    shown = [(one.version, [d.range.start.line for d in one.diagnostics]) for one in editor.published if one.uri == uri]
    assert len(shown) > 1
    assert all(version and lines == expected[version] for version, lines in shown)


# -- positions


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_positions_count_units_of_the_encoding(start: Start, encoding: str) -> None:
    editor = start(encodings=[encoding])
    text = TEXT.replace("\tbpf_map_update", "\t/* \U0001f41d é \u4e2d */ bpf_map_update").replace(
        'SEC("xdp")', '// \u2028 \x0c \x85\nSEC("xdp")'
    )
    uri = editor.open(editor.folder / "a.bpf.c", text)
    assert editor.findings(uri) == FOUND
    editor.make(editor.actions(uri, only=["source.fixAll"])[0])
    assert (
        "bpf_map_update" not in editor.texts[uri] and "\U0001f41d" in editor.texts[uri] and "\x0c" in editor.texts[uri]
    )


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_line_ends_stay(editor: Editor, folder: Path, end: str) -> None:
    uri = editor.open(folder / "a.bpf.c", PADDED.replace('#include "key.h"\n', HOLES).replace("\n", end))
    assert [name for name, _ in editor.findings(uri)] == ["padded-init"]
    editor.make(next(a for a in editor.actions(uri) if a.title.startswith("padded-init: struct")))
    assert editor.findings(uri) == []
    assert editor.texts[uri].count("\n") == editor.texts[uri].count(end) > 20
    assert "__builtin_memset(&key, 0, sizeof(key));" in editor.texts[uri]


def test_half_a_surrogate_pair_is_borne(editor: Editor, folder: Path) -> None:
    """JSON can hold one, and editors have sent it."""
    uri = editor.open(folder / "a.bpf.c", TEXT.replace('SEC("xdp")', '// \ud83d\nSEC("xdp")'))
    assert editor.findings(uri) == FOUND


# -- what can be made


def test_a_fix_is_one_action_and_the_preferred_one(editor: Editor, folder: Path) -> None:
    uri = editor.open(folder / "a.bpf.c", TEXT)
    (found,) = editor.diagnostics(uri)
    fix, silence = editor.actions(uri, found.range, ["quickfix"])
    assert (fix.is_preferred, fix.title) == (True, "redundant-map-update: delete this line")
    assert not silence.is_preferred
    editor.make(fix)
    assert editor.texts[uri] == CLEAN
    assert editor.diagnostics(uri) == []


def test_actions_are_of_the_place(editor: Editor, folder: Path) -> None:
    uri = editor.open(folder / "a.bpf.c", TEXT)
    top = types.Range(types.Position(0, 0), types.Position(0, 0))
    assert editor.actions(uri, top, ["quickfix"]) == []
    assert editor.actions(uri, only=["refactor"]) == []
    assert [a.kind for a in editor.actions(uri, top, ["source"])] == ["source.fixAll.ebpffix"]
    assert editor.actions(uri, top, ["source.fixAll.other"]) == []


def test_a_suggested_fix_is_tried_when_it_is_chosen(editor: Editor, folder: Path) -> None:
    text = TEXT.replace("BPF_MAP_TYPE_HASH", "BPF_MAP_TYPE_LRU_HASH")
    uri = editor.open(folder / "a.bpf.c", text)
    (found,) = editor.diagnostics(uri)
    assert "[suggested]" in found.message
    assert editor.actions(uri, only=["source.fixAll"]) == []
    fix = editor.actions(uri, only=["quickfix"])[0]
    assert fix.edit is None and fix.title.endswith("(suggested)") and not fix.is_preferred
    editor.make(fix)
    assert editor.texts[uri] == text.replace(UPDATE.decode(), "")


def test_an_action_of_an_older_text_makes_nothing(editor: Editor, folder: Path) -> None:
    uri = editor.open(folder / "a.bpf.c", TEXT)
    silence = editor.actions(uri, only=["quickfix"])[1]
    editor.change(uri, "\n" + TEXT)
    assert editor.resolved(silence).edit is None
    assert any("the text is another by now" in message for message in editor.messages)


def test_a_comment_answers_a_finding(editor: Editor, folder: Path) -> None:
    uri = editor.open(folder / "a.bpf.c", TEXT)
    editor.make(editor.actions(uri, only=["quickfix"])[1])
    assert "\t// ebpffix: ignore[redundant-map-update]\n\tbpf_map_update_elem" in editor.texts[uri]
    # The update stays, so there is something to say of its map.
    assert [name for name, _ in editor.findings(uri)] == ["map-size"]


def test_a_comment_that_answers_nothing_is_shown(editor: Editor, folder: Path) -> None:
    text = CLEAN.replace("\t*seen += 1;", "\t// ebpffix: ignore[padded-init]\n\t*seen += 1;")
    uri = editor.open(folder / "a.bpf.c", text)
    (idle,) = editor.diagnostics(uri)
    assert editor.within(uri, idle.range) == "// ebpffix: ignore[padded-init]"
    assert list(idle.tags or ()) == [types.DiagnosticTag.Unnecessary] and "silences nothing" in idle.message


def test_no_comment_is_put_into_a_macro(editor: Editor, folder: Path) -> None:
    """The line above goes on over its end: a comment there would swallow what follows."""
    text = TEXT.replace("\t*seen += 1;\n", "\t*seen += \\\n").replace(
        UPDATE.decode(), "1; bpf_map_update_elem(&counts, &key, seen, BPF_ANY);\n"
    )
    uri = editor.open(folder / "a.bpf.c", text)
    assert editor.findings(uri) == FOUND
    silence = next(a for a in editor.actions(uri) if "ignore" in a.title)
    assert editor.resolved(silence).edit is None
    assert editor.texts[uri] == text


def test_hover_has_the_page(editor: Editor, folder: Path) -> None:
    uri = editor.open(folder / "a.bpf.c", TEXT)
    (found,) = editor.diagnostics(uri)
    page = editor.hover(uri, found.range.start)
    assert page.startswith("**redundant-map-update**") and "```diff" in page and "**Left alone**" in page
    assert editor.hover(uri, types.Position(0, 0)) == ""


# -- headers and many files


def test_a_header_that_is_not_saved(editor: Editor, folder: Path) -> None:
    """What the editor has counts, not what the disk has; when it is closed the disk counts again."""
    (folder / "key.h").write_text(NO_HOLES)
    program = editor.open(folder / "a.bpf.c", PADDED)
    assert editor.findings(program) == []
    header = editor.open(folder / "key.h", NO_HOLES)
    editor.change(header, HOLES)
    seen = editor.wait(lambda: next((p for p in editor.published[::-1] if p.uri == program and p.diagnostics), None))
    assert [d.code for d in seen.diagnostics] == ["padded-init"]
    count = len(editor.published)
    editor.close(header)
    gone = editor.wait(lambda: next((p for p in editor.published[count:] if p.uri == program), None))
    assert not gone.diagnostics


def test_a_header_that_is_on_no_disk(editor: Editor, folder: Path) -> None:
    header = editor.open(folder / "key.h", HOLES)
    program = editor.open(folder / "a.bpf.c", PADDED)
    assert [name for name, _ in editor.findings(program)] == ["padded-init"]
    editor.change(header, NO_HOLES)
    count = len(editor.published)
    editor.wait(
        lambda: next((p for p in editor.published[count - 1 :] if p.uri == program and not p.diagnostics), None)
    )


def test_what_a_header_has_to_fix(editor: Editor, folder: Path) -> None:
    """A function in a header, seen through a program that is closed, then through one that is open and is changed."""
    body = "\tstruct key key = {\n\t\t.port = 1,\n\t\t.cookie = 2,\n\t};\n"
    helper = (
        HOLES
        + "static __always_inline void *at(void *map)\n{\n"
        + body
        + "\n\treturn bpf_map_lookup_elem(map, &key);\n}\n"
    )
    user = PADDED.replace(body, "").replace("bpf_map_lookup_elem(&seen, &key)", "at(&seen)")
    (folder / "a.bpf.c").write_text(user)
    header = editor.open(folder / "key.h", helper)
    assert [name for name, _ in editor.findings(header)] == ["padded-init"]
    program = editor.open(folder / "a.bpf.c", user)
    assert editor.findings(program) == []
    editor.make(editor.actions(header, only=["quickfix"])[0])
    assert "__builtin_memset" in editor.texts[header]
    assert editor.findings(header) == []


def test_many_files(editor: Editor, folder: Path) -> None:
    """Each says what is in it, and a change in one is answered for that one."""
    uris = [editor.open(folder / f"{n}.bpf.c", TEXT if n % 2 else CLEAN) for n in range(20)]
    assert [bool(editor.findings(uri)) for uri in uris] == [bool(n % 2) for n in range(20)]
    count = len(editor.published)
    editor.change(uris[0], TEXT)
    assert editor.findings(uris[0]) == FOUND
    assert {one.uri for one in editor.published[count:]} == {uris[0]}


def test_renamed(editor: Editor, folder: Path) -> None:
    uri = editor.open(folder / "a.bpf.c", TEXT)
    assert editor.findings(uri) == FOUND
    editor.close(uri)
    new = editor.open(folder / "b.bpf.c", TEXT)
    assert editor.findings(new) == FOUND
    editor.make(editor.actions(new, only=["source.fixAll"])[0])
    assert editor.findings(new) == []


def test_one_file_under_two_names(editor: Editor, folder: Path) -> None:
    (folder / "a.bpf.c").write_text(TEXT)
    (folder / "link.bpf.c").symlink_to("a.bpf.c")
    one, other = (editor.open(folder / name, TEXT) for name in ("a.bpf.c", "link.bpf.c"))
    assert editor.findings(other) == FOUND
    editor.change(other, CLEAN)
    assert editor.findings(other) == []
    editor.close(other)
    assert editor.findings(one) == FOUND


# -- strings, and documents without a file


HOSTED = """#include <uapi/linux/ptrace.h>

struct info_t {
	u32 pid;
	char kind;
};

BPF_HASH(counts, struct info_t, u64, 64);

int count(struct pt_regs *ctx)
{
	struct info_t info;

	info.pid = bpf_get_current_pid_tgid();
	info.kind = 'c';
	counts.increment(info);
	return 0;
}
"""
QUOTES = {"python": ('TEXT = r"""\n', '"""\nBPF(text=TEXT)\n'), "go": ("package main\n\nconst text = `\n", "`\n")}


@pytest.mark.parametrize("language, name", [("python", "a.py"), ("go", "a.go")])
def test_c_in_strings(editor: Editor, folder: Path, language: str, name: str) -> None:
    before = HOSTED.join(QUOTES[language])
    uri = editor.open(folder / name, before, language)
    assert [name for name, _ in editor.findings(uri)] == ["padded-init"]
    editor.make(next(a for a in editor.actions(uri) if "ignore" in a.title))
    assert editor.diagnostics(uri) == []
    assert editor.texts[uri].replace("\t// ebpffix: ignore[padded-init]\n", "") == before
    editor.change(uri, "\n" + before)
    editor.make(editor.actions(uri, only=["source.fixAll"])[0])
    assert editor.diagnostics(uri) == []
    assert editor.texts[uri].count("__builtin_memset(&info, 0, sizeof(info));") == 1


def test_no_comment_of_c_is_put_into_the_host(editor: Editor, folder: Path) -> None:
    """Each line of the C is a string of its own: a line between them is not C."""
    lines = "".join(f"    {json.dumps(line)}\n" for line in HOSTED.splitlines(keepends=True))
    uri = editor.open(folder / "a.py", f"BPF(text=(\n{lines}))\n", "python")
    assert [name for name, _ in editor.findings(uri)] == ["padded-init"]
    silence = next(a for a in editor.actions(uri) if "ignore" in a.title)
    assert editor.resolved(silence).edit is None


def test_without_a_file(editor: Editor) -> None:
    uri = editor.open("untitled:Untitled-1", TEXT)
    assert editor.findings(uri) == FOUND
    editor.make(editor.actions(uri)[0])
    assert editor.texts[uri] == CLEAN


# -- settings, and the disk


def test_settings_count_and_change(editor: Editor, folder: Path) -> None:
    uri = editor.open(folder / "a.bpf.c", TEXT)
    assert editor.findings(uri) == FOUND
    count = len(editor.published)
    (folder / "ebpffix.toml").write_text('select = ["padded-init"]\n')
    editor.save(uri)
    gone = editor.wait(lambda: next((p for p in editor.published[count:] if p.uri == uri), None))
    assert not gone.diagnostics


def test_settings_that_are_wrong_are_told_once(editor: Editor, folder: Path) -> None:
    (folder / "ebpffix.toml").write_text('ignor = ["padded-init"]\n')
    uri = editor.open(folder / "a.bpf.c", TEXT)
    for number in range(3):
        editor.change(uri, TEXT + "\n" * number)
        assert editor.diagnostics(uri) == []
    assert len([m for m in editor.messages if "unknown key 'ignor'" in m]) == 1


def test_the_nearest_settings_count(editor: Editor, folder: Path) -> None:
    (folder / "quiet").mkdir()
    (folder / "quiet" / "ebpffix.toml").write_text('select = ["padded-init"]\n')
    quiet = editor.open(folder / "quiet" / "a.bpf.c", TEXT)
    loud = editor.open(folder / "a.bpf.c", TEXT)
    assert (editor.findings(quiet), editor.findings(loud)) == ([], FOUND)


def test_the_disk_is_looked_at_again(editor: Editor, folder: Path) -> None:
    """A header that another program writes, without a word to the server."""
    (folder / "key.h").write_text(NO_HOLES)
    uri = editor.open(folder / "a.bpf.c", PADDED)
    assert editor.findings(uri) == []
    (folder / "key.h").write_text(HOLES)
    editor.change(uri, PADDED + "\n")
    editor.wait(lambda: next((p for p in editor.published if p.uri == uri and p.diagnostics), None))


# -- clients that can less


@pytest.mark.parametrize("like", ["neovim@v0.6.1", "emacs@v29.1"])
def test_other_editors(start: Start, like: str) -> None:
    editor = start(like=like)
    uri = editor.open(editor.folder / "a.bpf.c", TEXT)
    assert editor.findings(uri) == FOUND
    for kind in ("quickfix", "source.fixAll"):
        editor.change(uri, TEXT + f"// {kind}\n")
        editor.make(editor.actions(uri, only=[kind])[0])
        assert editor.texts[uri] == CLEAN + f"// {kind}\n"


def test_a_client_that_cannot_ask_twice_gets_the_edit_at_once(start: Start) -> None:
    editor = start(asks_twice=False)
    uri = editor.open(editor.folder / "a.bpf.c", TEXT.replace("BPF_MAP_TYPE_HASH", "BPF_MAP_TYPE_LRU_HASH"))
    suggested, silence = editor.actions(uri)
    assert suggested.edit and silence.edit


# -- what goes wrong


def _desk(editor: Editor) -> int:
    assert editor.client._server
    return next(pid for pid, args in children(editor.client._server.pid) if "desk" in args)


def test_an_analysis_that_dies_is_started_again(start: Start) -> None:
    editor = start()
    uri = editor.open(editor.folder / "a.bpf.c", TEXT)
    assert editor.findings(uri) == FOUND
    os.kill(_desk(editor), signal.SIGKILL)
    editor.change(uri, CLEAN)
    editor.wait(lambda: next((m for m in editor.messages if "ended early" in m), None))
    editor.change(uri, "\n" + TEXT)
    assert editor.findings(uri) == FOUND


def test_nothing_outlives_the_server(start: Start) -> None:
    editor = start()
    uri = editor.open(editor.folder / "a.bpf.c", TEXT)
    assert editor.findings(uri) == FOUND
    assert editor.client._server
    server, desk = editor.client._server.pid, _desk(editor)
    workers = [pid for pid, _ in children(desk)]
    assert workers
    os.kill(server, signal.SIGKILL)
    end = time.monotonic() + 20
    while any(os.path.exists(f"/proc/{pid}") for pid in (desk, *workers)):
        assert time.monotonic() < end
        time.sleep(0.1)
    editor.client.error = RuntimeError("killed")  # it has no session to end


def test_a_package_of_the_folder_is_not_run(start: Start, tmp_path: Path) -> None:
    """A stranger's tree with a package of our name, and of those that Python itself imports."""
    (tmp_path / "work").mkdir()
    for name in ("ebpffix", "multiprocessing", "pygls"):
        package = tmp_path / "work" / name
        package.mkdir()
        (package / "__init__.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    editor = start()
    assert editor.findings(editor.open(editor.folder / "a.bpf.c", TEXT)) == FOUND
    assert not (tmp_path / "ran").exists()
