"""The cache: whose folder it is, what is in it, and that it is found again after a reinstall."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ebpffix.run.cache import refusal, tool_digest

from .support import MARKER, Attack, Done
from .support_b import PROGRAM, tree_of


def entry(attack: Attack) -> Path:
    """Of the program as it is: the second is of the mended one."""
    folder = attack.home / "cache" / "results"
    (path,) = (path for path in folder.iterdir() if path.name in NAMES or json.loads(path.read_bytes())["findings"])
    NAMES.add(path.name)
    return path


NAMES: set[str] = set()  # of entries, whatever they hold by now


@pytest.fixture
def filled(attack: Attack) -> tuple[Attack, Done, dict[str, Any]]:
    """A tree, what is said of it, and what is kept of that."""
    first = attack.write({"prog.bpf.c": PROGRAM}).run()
    assert first.code == 1
    return attack, first, json.loads(entry(attack).read_bytes())


def test_it_is_used(filled: tuple[Attack, Done, dict[str, Any]]) -> None:
    attack, _, kept = filled
    kept["findings"][0]["message"] = MARKER
    entry(attack).write_text(json.dumps(kept))
    assert MARKER in attack.run().out


WRONG: list[Any] = [
    [], None, 1, "x", {}, {"status": "analysed"}, {"status": 1}, {"errors": "0"}, {"errors": True}, {"errors": None},
    {"notes": 1}, {"notes": [1]}, {"notes": [None]}, {"findings": 1}, {"findings": [1]}, {"findings": [{}]},
    {"status": "failed!"}, {"notes": "abc", "errors": []},
]  # fmt: skip
WRONG_FINDING: list[dict[str, Any]] = [
    {"message": 1}, {"message": None}, {"reason": []}, {"reason": None}, {"safety": 1}, {"safety": "sure"},
    {"safety": "advice"}, {"transform": "padded-init"}, {"transform": 1}, {"transform": ["x"]}, {"transform": {}},
    {"at": 1}, {"at": ["/etc/passwd", 0, 1]}, {"at": ["PATH", 0, 10**9]}, {"at": ["PATH", -5, 1]},
    {"at": ["PATH", 5, 1]}, {"at": ["PATH", 0.5, 1]}, {"at": ["PATH", True, 1]}, {"at": ["PATH", 0]}, {"at": [1, 2, 3]},
    {"edits": 1}, {"edits": [1]}, {"edits": [["/etc/passwd", 0, 1, "x"]]}, {"edits": [["PATH", 0, 10**9, "x"]]},
    {"edits": [["PATH", 0, 1, 7]]}, {"edits": [["PATH", 0, 1, "\u20ac"]]}, {"edits": [["PATH", 0, 1]]},
    {"edits": [["PATH\0", 0, 1, ""]]}, {"edits": []},
]  # fmt: skip


def put(attack: Attack, made: Any) -> None:
    entry(attack).write_text(json.dumps(made).replace("PATH", str(attack.tree / "prog.bpf.c")))


def test_wrong_content_is_a_miss(filled: tuple[Attack, Done, dict[str, Any]]) -> None:
    attack, first, kept = filled
    whole: list[Any] = [kept | wrong if isinstance(wrong, dict) and wrong else wrong for wrong in WRONG[:5] + WRONG[6:]]
    finding = kept["findings"][0]
    whole += [kept | {"findings": [finding | wrong]} for wrong in WRONG_FINDING]
    whole.append({key: value for key, value in kept.items() if key != "findings"})
    for made in whole:
        put(attack, made)
        done = attack.run()
        assert (done.code, done.out) == (1, first.out), (made, done)
        assert "mistake" not in done.err
        assert json.loads(entry(attack).read_bytes()) == kept  # and it is mended


@pytest.mark.parametrize("data", [b"", b"[" * 200_000, b'{"a":' * 100_000, b"\xff\xfe", b"\0" * 1000, b"1e999", b"NaN"])
def test_what_is_no_json_is_a_miss(filled: tuple[Attack, Done, dict[str, Any]], data: bytes) -> None:
    attack, first, _ = filled
    entry(attack).write_bytes(data)
    done = attack.run()
    assert (done.code, done.out) == (1, first.out) and "mistake" not in done.err, done


@pytest.mark.parametrize("kind", ["zero", "fifo", "folder", "loop"])
def test_an_entry_that_is_no_file_is_a_miss(filled: tuple[Attack, Done, dict[str, Any]], kind: str) -> None:
    attack, first, _ = filled
    path = entry(attack)
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "zero" else path)
    done = attack.run()
    assert (done.code, done.out) == (1, first.out), done


def test_the_folder_is_the_user_s_alone(filled: tuple[Attack, Done, dict[str, Any]]) -> None:
    attack, _, _ = filled
    assert (attack.home / "cache").stat().st_mode & 0o777 == 0o700
    assert refusal(attack.home / "cache") == ""


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_can_write_to_is_not_used(filled: tuple[Attack, Done, dict[str, Any]], mode: int) -> None:
    attack, first, kept = filled
    kept["findings"] = []
    put(attack, kept)
    (attack.home / "cache").chmod(mode)
    done = attack.run()
    assert (done.code, done.out) == (1, first.out)
    assert done.err.startswith(f"ebpffix: {attack.home}/cache: others can write to it: nothing is kept there")
    assert "others can write" not in attack.run("--no-cache").err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_not_used(filled: tuple[Attack, Done, dict[str, Any]]) -> None:
    attack, first, kept = filled
    put(attack, kept | {"findings": []})
    os.chown(attack.home / "cache", 65534, 65534)
    done = attack.run()
    assert (done.code, done.out) == (1, first.out) and "belongs to another user" in done.err, done


def test_a_folder_in_the_tree_is_not_used(tmp_path: Path) -> None:
    """A pull request can bring it along, with results, and precompiled headers."""
    tree = tree_of(tmp_path / "tree")
    attack = Attack(tree, tmp_path / "home")
    (attack.home / "tmp").mkdir(parents=True)
    first = attack.run()
    shutil.copytree(attack.home / "cache", tree / ".cache")
    os.chmod(tree / ".cache", 0o755)
    attack = Attack(tree, tree)  # whose cache is tree/cache
    (tree / "tmp").mkdir()
    done = attack.run("src")
    assert (done.code, done.out) == (1, first.out) and "lies in the project" in done.err, done
    assert not (tree / "cache").exists()


def test_a_reinstall_changes_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = []
    for number, text in enumerate(["one", "one", "two"]):
        path = tmp_path / f"site{number}" / "my_transform.py"
        path.parent.mkdir()
        path.write_text(text)
        os.utime(path, (number, number))
        module = ModuleType("my_transform")
        module.__file__ = str(path)
        monkeypatch.setitem(sys.modules, "my_transform", module)
        digests.append(tool_digest(["my_transform"]))
    assert digests[0] == digests[1] != digests[2]


def test_a_key_is_of_contents(filled: tuple[Attack, Done, dict[str, Any]]) -> None:
    """Checked out anew, everything has other times."""
    attack, _, _ = filled
    before = entry(attack)
    attack.write({"prog.bpf.c": PROGRAM})
    os.utime(attack.tree / "prog.bpf.c", (1, 1))
    attack.run()
    assert entry(attack) == before
