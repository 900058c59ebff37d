"""Diffs, hunks, changed lines and mails, against git itself."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unidiff.patch import PatchSet

from ebpffix.rewriting.patch import Hunk, changed_lines, format_patch, hunks, quoted, unified

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")

LINE = st.sampled_from(
    [b"}", b"}\r", b"", b"\r", b"\tx;", b"a\x0cb", b"a\rb", b"\xff\xfe", b"\xc3\xa9", b"x\x85y\x0b\x1c", b"From me",
     b"-- a", b"++ b", b"--- a/x", b"+++ b/x", b"@@ -1 +1 @@", b"\\ No newline", b"diff --git a/x b/x", b"x ", b".",
     b"=3D", b"long " * 300, b"\xef\xbb\xbf"]
)  # fmt: skip
CONTENT = st.builds(
    lambda lines, end: b"\n".join(lines) + end, st.lists(LINE, max_size=14), st.sampled_from([b"", b"\n"])
)
LONG = "first: Größe of a subject that is longer than what one line of a mail header holds, and öfter"
DATE = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


@st.composite
def changes(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A file and an edited one: some lines of the old removed, some put in."""
    old = draw(CONTENT)
    lines = old.split(b"\n")
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(lines)))
        lines[at : at + draw(st.integers(0, 2))] = draw(st.lists(LINE, max_size=2))
    return old, b"\n".join(lines)


def git(*args: str | Path, cwd: Path, data: bytes | None = None) -> bytes:
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(cwd)}
    done = subprocess.run(["git", *map(str, args)], cwd=cwd, input=data, capture_output=True, env=env, timeout=60)
    assert done.returncode == 0, (args, done.stderr, data)
    return done.stdout


@pytest.fixture(scope="module")
def tree() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        git("init", "-q", cwd=root)
        for key, value in {"user.name": "Zoë Tester", "user.email": "z@example.org", "core.autocrlf": "false"}.items():
            git("config", key, value, cwd=root)
        yield root


# Must not


def test_nothing_changed_is_no_diff() -> None:
    assert unified("a.c", b"x\r\n\xff", b"x\r\n\xff") == b""
    assert hunks(b"x", b"x") == []


# unified


def test_the_diff_of_one_line() -> None:
    old = b"".join(b"%d\n" % i for i in range(9))
    assert unified("d/a.c", old, old.replace(b"4\n", b"four")) == (
        b"diff --git a/d/a.c b/d/a.c\n--- a/d/a.c\n+++ b/d/a.c\n"
        b"@@ -2,8 +2,7 @@\n 1\n 2\n 3\n-4\n-5\n+four5\n 6\n 7\n 8\n"
    )


def test_no_newline_at_the_end_is_told_for_each_side() -> None:
    note = b"\\ No newline at end of file\n"
    assert unified("a", b"x", b"y\n").endswith(b"@@ -1 +1 @@\n-x\n" + note + b"+y\n")
    assert unified("a", b"x\n", b"y").endswith(b"-x\n+y\n" + note)
    assert unified("a", b"a\nx", b"b\nx").endswith(b"-a\n+b\n x\n" + note)


def test_a_repetitive_file_is_not_rewritten() -> None:
    old = b"int f(void)\n{\n\treturn 0;\n}\n\n" * 4000
    lines = old.split(b"\n")
    lines[1] = b"{ //"
    del lines[10_001]
    lines[19_990:19_990] = [b"new", b"}"]
    diff = unified("a.c", old, b"\n".join(lines))
    marks = [line[:1] for line in diff.splitlines()[3:]]
    assert (marks.count(b"+"), marks.count(b"-"), marks.count(b"@")) == (3, 2, 3)


def test_a_file_that_changed_in_every_line_still_has_a_right_diff() -> None:
    old = b"".join(b"%d\n" % (i % 7) for i in range(3000))
    new = old.replace(b"\n", b"\r\n")
    assert [(h.start_line, h.end_line, len(h.new)) for h in hunks(old, new)] == [(1, 3000, 3000)]


def test_an_empty_file_has_no_first_line() -> None:
    assert b"\n@@ -0,0 +1 @@\n+x\n" in unified("a", b"", b"x\n")
    assert b"\n@@ -1 +0,0 @@\n-x\n" in unified("a", b"x\n", b"")


def test_a_diff_too_long_for_the_exact_search_keeps_to_the_lines_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebpffix.rewriting.patch._EXACT", 6)
    lines = [b"%d\n" % (i % 9) for i in range(300)]
    new = [b"x\n" if i % 10 == 0 else line for i, line in enumerate(lines)]
    assert [h.start_line for h in hunks(b"".join(lines), b"".join(new))] == list(range(1, 300, 10))


@needs_git
@pytest.mark.parametrize("name", ["plain.c", "a b.c", "tab\there.c", 'quo"te.c', "back\\slash.c", "é.c", "nl\nx.c"])
def test_names_are_quoted_as_git_does(name: str, tree: Path) -> None:
    path = tree / "names" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x\n")
    git("add", "-N", path, cwd=tree)
    git("add", path, cwd=tree)
    path.write_bytes(b"y\n")
    theirs = [line for line in git("diff", "--", path, cwd=tree).split(b"\n") if not line.startswith(b"index ")]
    assert unified(f"names/{name}", b"x\n", b"y\n").split(b"\n") == theirs
    assert changed_lines(b"\n".join(theirs)) == {f"names/{name}": {1}}


def test_a_latin_1_name_is_quoted_by_its_bytes() -> None:
    assert quoted(b"\xe9.c") == b'"\\351.c"'
    assert changed_lines(unified(os.fsdecode(b"\xe9.c"), b"", b"x")) == {os.fsdecode(b"\xe9.c"): {1}}


@settings(max_examples=200, deadline=None)
@given(changes())
def test_unidiff_reads_what_was_written(change: tuple[bytes, bytes]) -> None:
    old, new = change
    files = PatchSet.from_string(unified("a b.c", old, new).decode("latin-1"))
    assert len(files) == (old != new)
    for file in files:
        assert (file.source_file, file.target_file) == ("a/a b.c", "b/a b.c")
        lines = old.decode("latin-1").split("\n")
        for hunk in file:
            for line in hunk:
                if line.source_line_no:
                    assert lines[line.source_line_no - 1] == line.value.removesuffix("\n")


@settings(max_examples=200, deadline=None)
@given(changes(), st.sampled_from([1, 2, 128]))
def test_hunks_made_give_the_new_file(change: tuple[bytes, bytes], exact: int) -> None:
    old, new = change
    lines = old.decode("latin-1").split("\n")
    lines = [line + "\n" for line in lines[:-1]] + [lines[-1]]
    encoding = "latin-1"
    try:
        (old + b"\n" + new).decode()
        encoding = "utf-8"
    except UnicodeDecodeError:
        pass
    made = [line.encode("latin-1") for line in lines]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ebpffix.rewriting.patch._EXACT", exact)
        found = hunks(old, new)
    for hunk in reversed(found):
        assert b"".join(made[hunk.start_line - 1 : hunk.end_line]) == "".join(hunk.old).encode(encoding)
        made[hunk.start_line - 1 : hunk.end_line] = [line.encode(encoding) for line in hunk.new]
    assert b"".join(made) == new


def test_an_insertion_is_a_hunk_before_its_line() -> None:
    assert hunks(b"a\nb\n", b"a\nx\nb\n") == [Hunk(2, 1, [], ["x\n"])]


@needs_git
@settings(max_examples=25, deadline=None)
@given(st.lists(changes(), min_size=2, max_size=6))
def test_git_apply_gives_the_new_bytes(tree: Path, drawn: list[tuple[bytes, bytes]]) -> None:
    names = [f"sub dir/é{i}.c" for i in range(len(drawn))] + ["top.c"]
    pairs = dict(zip(names, [*drawn, (b"x\n", b"y\n")], strict=True))
    (tree / "sub dir").mkdir(exist_ok=True)
    diff = b"".join(unified(name, old, new) for name, (old, new) in pairs.items())
    for cwd in (tree, tree / "sub dir"):
        for name, (old, _) in pairs.items():
            (tree / name).write_bytes(old)
        git("apply", "--whitespace=nowarn", "-", cwd=cwd, data=diff)
        for name, (_, new) in pairs.items():
            outside = cwd != tree and name == "top.c"  # git leaves what is not below the folder
            assert (tree / name).read_bytes() == (b"x\n" if outside else new)


# changed_lines


def test_changed_lines_of_new_renamed_and_deleted_files() -> None:
    diff = (
        b"diff --git a/new.c b/new.c\nnew file mode 100644\n--- /dev/null\n+++ b/new.c\n@@ -0,0 +1,2 @@\n+a\n+b\n"
        b"diff --git a/old.c b/moved.c\nsimilarity index 90%\nrename from old.c\nrename to moved.c\n"
        b"--- a/old.c\n+++ b/moved.c\n@@ -4,3 +4,3 @@\n x\r\n-y\r\n+\xff\r\n z\r\n"
        b"diff --git a/gone.c b/gone.c\ndeleted file mode 100644\n--- a/gone.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"
        b"diff --git a/less.c b/less.c\n--- a/less.c\n+++ b/less.c\n@@ -1,2 +1 @@\n a\n-b\n"
    )
    expected = {"new.c": {1, 2}, "moved.c": {5}, "less.c": set()}
    assert changed_lines(diff) == expected
    assert changed_lines(diff.decode("utf-8", "surrogateescape")) == expected


def test_changed_lines_of_a_plain_diff_with_crlf_headers() -> None:
    assert changed_lines(b"--- a/x.c\r\n+++ b/x.c\r\n@@ -1 +1 @@\r\n-a\r\n+b\r\n") == {"x.c": {1}}


def test_changed_lines_of_a_diff_without_prefixes() -> None:
    assert changed_lines(b"--- b/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-a\n+b\n") == {"b/x.c": {1}}


def test_an_empty_diff_changes_no_line() -> None:
    assert changed_lines(b"") == {}


@pytest.mark.parametrize(
    "diff",
    [
        b"hello\n",
        b"--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n a\n",
        b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n?\n",
        b"@@ -1 +1 @@\n-a\n+b\n",
        b"+++ b/x\n",
        b"--- a/x\n+++ b/x\n@@ -99999999999999999999999 +1 @@\n-a\n+b\n",
        b"\x00\xff\xfe",
    ],
)
def test_what_is_no_diff_is_one_clear_line(diff: bytes) -> None:
    try:
        changed_lines(diff)
    except ValueError as error:
        assert str(error).startswith("not a unified diff: ")
        assert "\n" not in str(error)
    else:
        assert b"9999" in diff


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([b"--- a/x", b"+++ b/x", b"@@ -1,2 +1 @@", b"@@ -1 +1 @@", b"-a", b"+b", b" c", b"",
                                 b"\\ No newline at end of file", b"diff --git a/x b/x", b"rename to y", b"@@", b"+++ "
                                 b"new file mode 1", b"+++ /dev/null", b"--- /dev/null"]), max_size=9))  # fmt: skip
def test_any_jumble_is_read_or_refused_in_one_line(lines: list[bytes]) -> None:
    try:
        changed_lines(b"\n".join(lines))
    except ValueError as error:
        assert "\n" not in str(error)


# format_patch


def start(tree: Path, files: dict[str, bytes]) -> None:
    git("checkout", "-q", "--orphan", f"b{next(COUNTER)}", cwd=tree)
    git("rm", "-rfq", "--ignore-unmatch", ".", cwd=tree)
    git("clean", "-fdxq", cwd=tree)
    for name, data in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(data)
    git("add", "-A", cwd=tree)
    git("commit", "-qm", "start", "--allow-empty", cwd=tree)


COUNTER = itertools.count()


@needs_git
@settings(max_examples=8, deadline=None)
@given(changes(), changes(), st.booleans())
def test_git_am_gives_the_new_bytes(
    tree: Path, one: tuple[bytes, bytes], two: tuple[bytes, bytes], keep_cr: bool
) -> None:
    start(tree, {"a b.c": one[0], "d/é.c": two[0]})
    middle = b"first\n" + one[0]
    series = [
        (LONG, "Why.\n\n--- not the end\nFrom here on.", [("a b.c", one[0], middle)]),
        ("second", "", [("a b.c", middle, one[1] + b"\nlast"), ("d/é.c", two[0], two[1] + b"\nlast")]),
    ]
    with tempfile.TemporaryDirectory() as folder:
        patches = format_patch(Path(folder), series, date=DATE, author=("Zoë Tester", "z@example.org"))
        git("am", "-q", *(["--keep-cr"] if keep_cr else []), *patches, cwd=tree)
    assert (tree / "a b.c").read_bytes() == one[1] + b"\nlast"
    assert (tree / "d/é.c").read_bytes() == two[1] + b"\nlast"
    log = git("log", "-2", "--format=%s|%an|%ae|%aI|%b", cwd=tree).decode()
    when = "2024-05-06T07:08:09+00:00"
    assert log.replace("Z|", "+00:00|") == (
        f"second|Zoë Tester|z@example.org|{when}|\n"
        f"{LONG}|Zoë Tester|z@example.org|{when}|Why.\n\n --- not the end\n From here on.\n\n"
    )


def test_an_ascii_patch_stays_readable(tmp_path: Path) -> None:
    (path,) = format_patch(tmp_path / "new", [("sub ject: x/y", "Body.", [("a.c", b"a\n", b"=b\n")])], date=DATE)
    assert path.name == "0001-sub-ject-x-y.patch"
    text = path.read_bytes()
    assert b"Subject: [PATCH] sub ject: x/y\n" in text
    assert text.endswith(b"\n\nBody.\n---\n\n" + unified("a.c", b"a\n", b"=b\n"))


def test_without_git_the_author_is_ebpffix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (path,) = format_patch(tmp_path, [("s", "", [("a.c", b"a\n", b"b\n")])], date=DATE)
    assert b"From: ebpffix <ebpffix@localhost>\n" in path.read_bytes()


def test_other_patches_in_the_folder_stop_it(tmp_path: Path) -> None:
    series = [("s", "", [("a.c", b"a\n", b"b\n")])]
    assert format_patch(tmp_path, series, date=DATE) == format_patch(tmp_path, series, date=DATE)
    (tmp_path / "0002-other.patch").touch()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"0001-s\.patch"):
        format_patch(tmp_path, [("t", "", [("a.c", b"a\n", b"b\n")])], date=DATE)
    assert sorted(tmp_path.iterdir()) == before


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        format_patch(tmp_path, [("s", "", [("a.c", b"a\n", b"b\n")])], date=DATE)
    assert list(tmp_path.iterdir()) == []
