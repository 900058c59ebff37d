"""Nothing is lost, and one true line is said of each thing, whatever a file holds and whatever happens to it meanwhile.

docs/robustness.md is the table of what is tried here.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import CACHE, FIXED, PROGRAM, UPDATE, cases, ebpffix

from ebpffix.app import writing
from ebpffix.fix import Edit, Fix, Safety, Span
from ebpffix.rewriting.found import Applied
from ebpffix.run.engine import Report

SEEDS = range(int(os.environ.get("EBPFFIX_EXAMPLES", "40")))  # kept: each is one file
PIECES = (
    *(b"{", b"}", b"(", b")", b";", b'"', b"'", b"/*", b"*/", b"//", b"\\\n", b"\0", b"\xff\xfe", b"\r", b"#if 1\n"),
    *(b"#define x(", b"#include <", b"struct ", b"*" * 50, b"[0]" * 50, b"\n\n", b"#endif\n", b"sizeof", b"0x"),
)


def mutated(seed: int) -> bytes:
    """A fixture after some accidents."""
    chance = random.Random(seed)
    all_cases = cases()
    case, other = chance.choice(all_cases), chance.choice(all_cases)
    data, foreign = case.files[case.program], other.files[other.program]
    for _ in range(chance.randint(1, 6)):
        start = chance.randrange(len(data) + 1)
        end = min(len(data), start + chance.choice((0, 1, 2, 10, 100)))
        cut = chance.randrange(len(foreign) + 1)
        harm: Callable[[], bytes] = chance.choice(
            (
                lambda d=data, s=start, e=end: d[:s] + d[e:],
                lambda d=data, s=start: d[:s],
                lambda d=data, s=start, e=end: d[:s] + d[s:e] * chance.randint(2, 9) + d[e:],
                lambda d=data, s=start: d[:s] + chance.choice(PIECES) + d[s:],
                lambda d=data, s=start: d[:s] + bytes([chance.randrange(256)]) + d[s + 1 :],
                lambda d=data, s=start, c=cut: d[:s] + foreign[c : c + 200] + d[s:],
            )
        )
        data = harm()
    return data


def test_files_after_accidents(tmp_path: Path) -> None:
    """Bytes changed, cut, doubled and put in: each file has a status, no transform fails, the edits are the report's,
    and once they are made there is nothing more to do."""
    before: dict[str, bytes] = {}
    for seed in SEEDS:
        path = tmp_path / f"{seed}.bpf.c"
        path.write_bytes(before.setdefault(path.name, mutated(seed)))
    done = ebpffix("--output-format", "json", "--unsafe-fixes", ".", cwd=tmp_path)
    report = json.loads(done.out)
    assert [file["path"] for file in report["files"] if "please report" in " ".join(file["notes"])] == []
    assert {file["path"].rpartition("/")[2] for file in report["files"]} == before.keys()
    # What makes no sense before a fix may make even less after it; then it is left out, and told. But every edit fits.
    assert [one for one in report["summary"]["dropped"] if "edit of bytes" in one["reason"]] == []
    done = ebpffix("--apply", "--unsafe-fixes", ".", cwd=tmp_path)
    edited = {edit["path"].rpartition("/")[2] for found in report["findings"] for edit in found["edits"]}
    assert {name for name, data in before.items() if (tmp_path / name).read_bytes() != data} == edited
    assert ebpffix("--diff", "--unsafe-fixes", ".", cwd=tmp_path).out == ""


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(PROGRAM + b"//" + b"x" * 1_000_000 + b"\n", id="a line of 1 MB"),
        pytest.param(PROGRAM + b"int y = " + b"(" * 10_000 + b"1" + b")" * 10_000 + b";\n", id="10,000 brackets"),
        pytest.param(PROGRAM.replace(b"\n}", b"\n", 1), id="a brace that is missing"),
        pytest.param(PROGRAM[:-200], id="cut off"),
        pytest.param(PROGRAM.replace(b"\treturn", b"\t\0return"), id="NUL bytes"),
        pytest.param(b"\0" * 10_000, id="NUL bytes alone"),
        pytest.param(PROGRAM + b"/*" + b" " * 10_000_000 + b"*/\n", id="10 MB"),
    ],
)
def test_a_strange_file_and_a_plain_one(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "strange.bpf.c").write_bytes(text)
    (tmp_path / "plain.bpf.c").write_bytes(PROGRAM)
    done = ebpffix("--apply", ".", cwd=tmp_path)
    assert (tmp_path / "plain.bpf.c").read_bytes() == FIXED
    assert (tmp_path / "strange.bpf.c").read_bytes() in (text, text.replace(UPDATE, b""))
    assert done.code in (0, 1, 2) and "bug" not in done.err, done.err


def test_loops(tmp_path: Path) -> None:
    """Of links, of folders, of includes."""
    (tmp_path / "loop.bpf.c").symlink_to("loop.bpf.c")
    (tmp_path / "sub").symlink_to(".")
    (tmp_path / "a.h").write_bytes(b'#include "b.h"\n')
    (tmp_path / "b.h").write_bytes(b'#include "a.h"\n#include "plain.bpf.c"\n')
    (tmp_path / "plain.bpf.c").write_bytes(b'#include "a.h"\n' + PROGRAM)
    done = ebpffix("--output-format", "concise", ".", cwd=tmp_path)
    assert done.out.count("redundant-map-update") == 1, done.err


# -- what happens meanwhile

MEANWHILE = """
from ebpffix.app import modes
whole = modes.apply
def apply(report, output):
    {what}
    return whole(report, output)
modes.apply = apply
"""


def applied(folder: Path, first: str = "") -> subprocess.CompletedProcess[str]:
    code = f"{first}\nfrom ebpffix.app.cli import main; main()"
    environment = {**os.environ, "EBPFFIX_CACHE_DIR": str(CACHE)}
    argv = [sys.executable, "-Ic", code, "--apply", "."]
    return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("what", "left", "told"),
    [
        ("open('a.bpf.c', 'ab').write(b'// mine\\n')", PROGRAM + b"// mine\n", "it changed while it was analysed"),
        ("import os; os.unlink('a.bpf.c')", None, "cannot be read any more: No such file or directory"),
        ("import os; os.unlink('a.bpf.c'); os.mkfifo('a.bpf.c')", None, "cannot be read any more"),
    ],
)
def test_a_file_that_changes_during_the_run_is_left(what: str, left: bytes | None, told: str, tmp_path: Path) -> None:
    for name in ("a.bpf.c", "b.bpf.c"):
        (tmp_path / name).write_bytes(PROGRAM)
    done = applied(tmp_path, MEANWHILE.format(what=what))
    changed = tmp_path / "a.bpf.c"
    assert (changed.read_bytes() if changed.is_file() else None) == left
    assert (tmp_path / "b.bpf.c").read_bytes() == FIXED
    assert done.returncode == 2
    assert [told in line for line in done.stderr.splitlines() if line.startswith("ebpffix: a.bpf.c")] == [True]


def test_files_that_vanish_before_they_are_read(tmp_path: Path) -> None:
    for name in ("a.bpf.c", "b.bpf.c"):
        (tmp_path / name).write_bytes(b'#include "h.h"\n' + PROGRAM)
    (tmp_path / "h.h").write_bytes(b"static int g(void *p) { return bpf_probe_read(p, 1, p); }\n")
    vanish = "import os\nfrom ebpffix.run import engine\nwhole = engine.Jobs\n"
    vanish += "engine.Jobs = lambda *a: (os.unlink('a.bpf.c'), os.unlink('h.h'), whole(*a))[2]\n"
    done = applied(tmp_path, vanish)
    assert "Traceback" not in done.stderr and "bug in ebpffix" not in done.stderr, done.stderr
    assert (tmp_path / "b.bpf.c").read_bytes() in (b'#include "h.h"\n' + PROGRAM, b'#include "h.h"\n' + FIXED)


def test_an_interrupt_while_files_are_written_comes_after_all_of_them(tmp_path: Path) -> None:
    for name in ("a.bpf.c", "b.bpf.c", "c.bpf.c"):
        (tmp_path / name).write_bytes(PROGRAM)
    # Who starts these tests may ignore the signal, as a shell does for what it starts in the background.
    interrupt = "import os, signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    interrupt += "from ebpffix.app import writing\nwhole = writing.replace_content\n"
    interrupt += "writing.replace_content = lambda *a: (os.kill(os.getpid(), signal.SIGINT), whole(*a))\n"
    done = applied(tmp_path, interrupt)
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {FIXED}
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_fix_is_written_in_all_of_its_files_or_in_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / name for name in ("a.h", "b.c", "c.c")]
    for path in paths:
        path.write_bytes(b"old")

    def made(*files: Path) -> Applied:
        edits = [Edit(path, 0, 3, b"new") for path in files]
        return Applied("t", Fix(Span(files[0], 0, 3), "m", Safety.SAFE, edits), files[0], 1)

    both, alone = made(paths[0], paths[2]), made(paths[1])
    changed = dict.fromkeys(paths, b"new")
    report = Report([], dict.fromkeys(paths, b"old"), changed, [both, alone], [], [], [])

    def full(path: Path, data: bytes) -> None:
        if path == paths[2]:
            raise OSError(28, "No space left on device")
        path.write_bytes(data)

    monkeypatch.setattr(writing, "replace_content", full)
    failed = writing.write_all(report)
    assert [path.read_bytes() for path in paths] == [b"old", b"new", b"old"]
    assert list(failed) == [paths[2]] and "No space left on device; it is as it was" in failed[paths[2]]
    assert (report.applied, report.remaining, list(report.changed)) == ([alone], [both], [paths[1]])


def test_two_runs_at_once(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.bpf.c").write_bytes(PROGRAM)
    code = "from ebpffix.app.cli import main; main()"
    environment = {**os.environ, "EBPFFIX_CACHE_DIR": str(CACHE)}
    argv = [sys.executable, "-Ic", code, "--apply", "."]
    runs = [subprocess.Popen(argv, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [run.communicate()[1] for run in runs]
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {FIXED}
    assert not any("Traceback" in text for text in said)
    assert all(run.returncode in (0, 2) for run in runs)


def test_a_cache_that_cannot_be_written_changes_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a.bpf.c").write_bytes(PROGRAM)
    (tmp_path / "file").write_bytes(b"")
    usual = ebpffix(".", cwd=tmp_path / "tree")
    for cache in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere")):
        done = ebpffix(".", cwd=tmp_path / "tree", env={"EBPFFIX_CACHE_DIR": str(cache)})
        assert (done.code, done.out) == (usual.code, usual.out)
        assert str(cache) in done.err, "and it is told"
