"""`--repair` on the command line: what it prints and writes, its exit codes, and what it says where it cannot try."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ebpffix.repair.registry import load_strategies

FIXTURES = Path(__file__).parent.parent / "fixtures" / "repair"
REFUSED = FIXTURES / "null-check" / "initialiser.bpf.c"


def run(*args: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "ebpffix", *map(str, args)]
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def tree(tmp_path: Path, verifier: None) -> Path:
    shutil.copy(REFUSED, tmp_path / "prog.bpf.c")
    return tmp_path


def test_the_list(tree: Path) -> None:
    done = run("--repair", ".", cwd=tree)
    assert done.returncode == 1
    assert "prog.bpf.c:22: limit: refused: R0 invalid mem access 'map_value_or_null' [null-check]" in done.stdout
    assert "null-check: where l is NULL, `return XDP_PASS;` [exact]" in done.stdout
    assert "program files: 1 repaired" in done.stderr
    assert (tree / "prog.bpf.c").read_bytes() == REFUSED.read_bytes()


def test_the_diff_applies(tree: Path) -> None:
    done = run("--repair", "--diff", ".", cwd=tree)
    assert done.returncode == 1
    applied = subprocess.run(["patch", "-p1"], cwd=tree, input=done.stdout, capture_output=True, text=True, check=False)
    assert applied.returncode == 0, applied.stderr
    assert run("--repair", ".", cwd=tree).returncode == 0


def test_apply_writes_what_the_diff_shows(tree: Path) -> None:
    assert run("--repair", "--apply", ".", cwd=tree).returncode == 0
    assert b"    if (!l)\n        return XDP_PASS;\n" in (tree / "prog.bpf.c").read_bytes()
    again = run("--repair", "--apply", ".", cwd=tree)
    assert again.returncode == 0
    assert "1 accepted as they are" in again.stderr


def test_as_json(tree: Path) -> None:
    done = run("--repair", "--output-format", "json", ".", cwd=tree)
    (repair,) = json.loads(done.stdout)["repairs"]
    assert repair["status"] == "repaired"
    (step,) = repair["steps"]
    assert step["class"] == "null-check"
    assert (step["line"], step["lost"]["line"]) == (22, 20)
    assert repair["hunks"][0]["new"] == ["    if (!l)\n", "        return XDP_PASS;\n"]


def test_what_does_not_compile_is_said(tree: Path) -> None:
    (tree / "prog.bpf.c").write_bytes(REFUSED.read_bytes().replace(b"return XDP_DROP;", b"return }"))
    done = run("--repair", ".", cwd=tree)
    assert done.returncode == 2
    assert "prog.bpf.c: cannot be repaired here:" in done.stdout
    assert "Traceback" not in done.stderr


def test_what_is_accepted_stays(tree: Path) -> None:
    text = REFUSED.read_bytes().replace(b"if (l->enabled)", b"if (!l || l->enabled)")
    (tree / "prog.bpf.c").write_bytes(text)
    done = run("--repair", "--apply", ".", cwd=tree)
    assert done.returncode == 0
    assert (tree / "prog.bpf.c").read_bytes() == text


def test_value_changing_ones_wait_for_a_word(tree: Path) -> None:
    (tree / "prog.bpf.c").unlink()
    shutil.copy(FIXTURES / "ctx-access" / "write_len.bpf.c", tree / "part.bpf.c")
    done = run("--repair", "--diff", ".", cwd=tree)
    assert "+++" not in done.stdout
    assert "--unsafe-fixes takes them" in done.stderr
    assert "+++" in run("--repair", "--diff", "--unsafe-fixes", ".", cwd=tree).stdout


LOGS = Path(__file__).parent.parent / "fixtures" / "logs" / "null-check"


@pytest.mark.parametrize("kernel", ["5.10", "6.12"])
def test_a_log_from_elsewhere_gets_a_proposal(kernel: str, tmp_path: Path) -> None:
    shutil.copy(LOGS / "lookup.bpf.c", tmp_path)
    done = run("--repair", "--log", LOGS / f"lookup.{kernel}.log", ".", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "# not proven: it was neither compiled nor loaded here" in done.stdout
    assert "+\tif (!value)\n" in done.stdout
    assert (tmp_path / "lookup.bpf.c").read_bytes() == (LOGS / "lookup.bpf.c").read_bytes()


def test_a_log_without_its_source_gets_none(tmp_path: Path) -> None:
    (tmp_path / "other.bpf.c").write_text("#include <linux/bpf.h>\nint other;\n")
    done = run("--repair", "--log", LOGS / "lookup.6.12.log", ".", cwd=tmp_path)
    assert "+++" not in done.stdout
    assert "its source is not among the paths" in done.stdout


def test_two_ways_to_report_exclude_each_other(tmp_path: Path) -> None:
    done = run("--repair", "--diff", "--apply", ".", cwd=tmp_path)
    assert done.returncode == 2
    assert "exclude each other" in done.stderr


@pytest.mark.parametrize("name", sorted(load_strategies()))
def test_every_strategy_has_a_page(name: str) -> None:
    known = load_strategies()[name]
    assert len(known.page.splitlines()) >= 3
    assert known.facts.summary
