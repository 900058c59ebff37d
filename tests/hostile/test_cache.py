"""The cache: whose folder it is, what is in it, and that it is found again after a reinstall."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest

from ebpffix.fix import LIBBPF
from ebpffix.frontend.environment import Setup
from ebpffix.run.analyse import Job, Result
from ebpffix.run.cache import ResultCache, clear, refusal, tool_digest

from .support import MARKER, Attack, Done
from .support_b import PROGRAM, tree_of


@dataclass(frozen=True)
class Filled:
    """A tree, what is said of it, and what is kept of that: the entry of the program as it is, not as it is mended."""

    attack: Attack
    first: Done
    entry: Path
    kept: dict[str, Any]

    def put(self, made: Any) -> None:
        self.entry.write_text(json.dumps(made).replace("PATH", str(self.attack.tree / "prog.bpf.c")))

    def get(self) -> Result | None:
        """What a run over the tree would take from the cache."""
        path = self.attack.tree / "prog.bpf.c"
        job = Job(
            path,
            LIBBPF,
            cast(Setup, None),
            {path: PROGRAM},
            {},
            tuple(found["transform"] for found in self.kept["findings"]),
        )
        return ResultCache(self.entry.parent).get(self.entry.name, job)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    attack = Attack.below(tmp_path_factory.mktemp("cache")).write({"prog.bpf.c": PROGRAM})
    first = attack.run()
    assert first.code == 1
    entries = [(path, json.loads(path.read_bytes())) for path in (attack.home / "cache" / "results").iterdir()]
    ((entry, kept),) = ((path, kept) for path, kept in entries if kept["findings"])
    return Filled(attack, first, entry, kept)


@pytest.fixture
def filled(once: Filled) -> Iterator[Filled]:
    once.put(once.kept)
    yield once
    folder = once.attack.home / "cache"
    os.chown(folder, os.geteuid(), os.getegid())
    folder.chmod(0o700)
    if once.entry.is_dir():
        once.entry.rmdir()
    once.entry.unlink(missing_ok=True)


def test_it_is_used(filled: Filled) -> None:
    assert filled.get()
    finding = filled.kept["findings"][0]
    filled.put({**filled.kept, "findings": [{**finding, "message": MARKER}]})
    assert MARKER in filled.attack.run().out


WRONG: list[Any] = [
    [], None, 1, "x", {}, {"status": 1}, {"errors": "0"}, {"errors": True}, {"errors": None},
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


def wrong_entries(kept: dict[str, Any]) -> Iterator[Any]:
    for wrong in WRONG:
        yield kept | wrong if isinstance(wrong, dict) and wrong else wrong
    for wrong in WRONG_FINDING:
        yield kept | {"findings": [kept["findings"][0] | wrong]}
    for missing in kept:
        yield {key: value for key, value in kept.items() if key != missing}


def test_wrong_content_is_a_miss(filled: Filled) -> None:
    for made in wrong_entries(filled.kept):
        filled.put(made)
        assert filled.get() is None, made
    filled.put(made)
    done = filled.attack.run()
    assert (done.code, done.out) == (1, filled.first.out) and "mistake" not in done.err, done
    assert json.loads(filled.entry.read_bytes()) == filled.kept  # it is mended


@pytest.mark.parametrize("data", [b"", b"[" * 200_000, b'{"a":' * 100_000, b"\xff\xfe", b"\0" * 1000, b"1e999", b"NaN"])
def test_what_is_no_json_is_a_miss(filled: Filled, data: bytes) -> None:
    filled.entry.write_bytes(data)
    assert filled.get() is None


@pytest.mark.parametrize("kind", ["zero", "fifo", "folder", "loop"])
def test_an_entry_that_is_no_file_is_a_miss(filled: Filled, kind: str) -> None:
    filled.entry.unlink()
    if kind == "fifo":
        os.mkfifo(filled.entry)
    elif kind == "folder":
        filled.entry.mkdir()
    else:
        filled.entry.symlink_to("/dev/zero" if kind == "zero" else filled.entry)
    assert filled.get() is None


def test_the_folder_is_the_user_s_alone(filled: Filled) -> None:
    folder = filled.attack.home / "cache"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert refusal(folder) == ""


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_can_write_to_is_refused(filled: Filled, mode: int) -> None:
    folder = filled.attack.home / "cache"
    folder.chmod(mode)
    assert refusal(folder) == "others can write to it"


def test_a_folder_that_is_refused_is_not_used_and_told(filled: Filled) -> None:
    filled.put(filled.kept | {"findings": []})
    (filled.attack.home / "cache").chmod(0o777)
    done = filled.attack.run()
    assert (done.code, done.out) == (1, filled.first.out)
    said = f"ebpffix: {filled.attack.home}/cache: others can write to it: nothing is kept there"
    assert done.err.startswith(said), done.err
    assert "others can write" not in filled.attack.run("--no-cache").err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_not_used_and_told(filled: Filled) -> None:
    filled.put(filled.kept | {"findings": []})
    folder = filled.attack.home / "cache"
    os.chown(folder, 65534, 65534)
    assert refusal(folder) == "belongs to another user"
    done = filled.attack.run()
    assert (done.code, done.out) == (1, filled.first.out)
    assert done.err.startswith(f"ebpffix: {folder}: belongs to another user: nothing is kept there"), done.err
    assert filled.entry.exists()


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
        digests.append(tool_digest.__wrapped__(("my_transform",)))
    assert digests[0] == digests[1] != digests[2]


def test_a_key_is_of_contents(filled: Filled) -> None:
    """Checked out anew, everything has other times."""
    finding = filled.kept["findings"][0]
    filled.put({**filled.kept, "findings": [{**finding, "message": MARKER}]})
    filled.attack.write({"prog.bpf.c": PROGRAM})
    os.utime(filled.attack.tree / "prog.bpf.c", (1, 1))
    assert MARKER in filled.attack.run().out


def test_cleaning_removes_what_is_ours_alone(tmp_path: Path) -> None:
    """The folder may be one that holds more, with a `results` of its own, and links."""
    cache, others = tmp_path / "cache", tmp_path / "others"
    ours = (cache / "vmlinux" / ("a" * 32), cache / "given" / ("b" * 32), cache / "kernels" / "6.1")
    for folder in (cache / "results", *ours, others):
        folder.mkdir(parents=True)
    (others / ("e" * 40)).write_text("precious")
    kept = [
        cache / "results" / "2026.csv",
        cache / "results" / "notes" / "x",
        cache / "vmlinux" / "vmlinux.h",
        cache / "kernels" / "mine",
    ]
    for path in kept:
        path.parent.mkdir(exist_ok=True)
        path.write_text("precious")
    for name in ("c" * 40, f".{'d' * 40}.abcd_123"):
        (cache / "results" / name).write_text("{}")
    (cache / "kernels" / "6.1" / "vmlinuz").write_text("image")
    (cache / "vmlinux" / ("a" * 32) / "out").symlink_to(others)
    (cache / "results" / ("f" * 40)).symlink_to(others)
    (cache / "pch").symlink_to(others)
    assert clear(cache)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.is_dir())
    assert left == sorted([f"others/{'e' * 40}", *(str(path.relative_to(tmp_path)) for path in kept)])
    assert not (cache / "given").exists() and not clear(cache)
