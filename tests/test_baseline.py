"""A baseline: what is in it is not told of, and everything else is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import FIXED, PROGRAM, ebpffix

BODY = PROGRAM[PROGRAM.index(b'SEC("xdp")') : PROGRAM.index(b"char LICENSE")]
TWICE = PROGRAM.replace(BODY, BODY + BODY.replace(b"int count(", b"int again("))


def write(tree: Path) -> dict[str, object]:
    done = ebpffix("--write-baseline", "base.json", cwd=tree)
    assert done.code == 0, done.err
    assert "written to base.json" in done.out
    return json.loads((tree / "base.json").read_bytes())["files"]  # type: ignore[no-any-return]


def count(tree: Path) -> int:
    return len(json.loads(ebpffix("--baseline", "base.json", "--output-format", "json", cwd=tree).out)["findings"])


def test_new_findings_are_told(tree: Path) -> None:
    """The same line once more is new: a baseline must not hide it."""
    write(tree)
    (tree / "src" / "count.bpf.c").write_bytes(TWICE)
    assert count(tree) == 1
    (tree / "src" / "other.bpf.c").write_bytes(PROGRAM)
    assert count(tree) == 2


def test_a_finding_that_changed_is_told(tree: Path) -> None:
    write(tree)
    (tree / "src" / "count.bpf.c").write_bytes(PROGRAM.replace(b"seen, BPF_ANY", b"seen, BPF_EXIST"))
    assert count(tree) == 1


def test_known_findings_are_neither_told_nor_fixed(tree: Path) -> None:
    (tree / "src" / "count.bpf.c").write_bytes(TWICE)
    files = write(tree)
    assert len(files["src/count.bpf.c"]["redundant-map-update"]) == 2  # type: ignore[index]
    moved = b"// moved\n" + TWICE.replace(b"\tbpf_map_update", b"        bpf_map_update")
    (tree / "src" / "count.bpf.c").write_bytes(moved)
    assert count(tree) == 0
    assert ebpffix("--baseline", "base.json", cwd=tree).code == 0
    assert ebpffix("--diff", "--baseline", "base.json", cwd=tree).out == ""
    ebpffix("--apply", "--baseline", "base.json", cwd=tree)
    assert (tree / "src" / "count.bpf.c").read_bytes() == moved


def test_what_a_fix_silences_is_in_it_too(tree: Path) -> None:
    """map-size has advice on an update that redundant-map-update would take away: left as it is, it is no news."""
    files = write(tree)
    assert files["src/count.bpf.c"].keys() >= {"redundant-map-update", "map-size"}  # type: ignore[attr-defined]
    assert count(tree) == 0


def test_two_equal_findings_on_one_line_are_two(tree: Path) -> None:
    copy = b"memcpy(seen, &key, 4);"
    (tree / "src" / "count.bpf.c").write_bytes(FIXED.replace(b"*seen += 1;", copy + b" " + copy))
    done = ebpffix("--select", "builtin-memcpy", "--output-format", "json", cwd=tree)
    findings = json.loads(done.out)["findings"]
    assert len(findings) == 2
    assert len({f["fingerprint"] for f in findings}) == 2


def test_standard_input_is_looked_at_not_the_file(tree: Path) -> None:
    write(tree)
    name = ("-", "--stdin-filename", "src/count.bpf.c", "--baseline", "base.json")
    assert ebpffix(*name, cwd=tree, text=PROGRAM).code == 0
    assert ebpffix(*name, cwd=tree, text=TWICE).code == 1
    new = ("-", "--stdin-filename", "src/new.bpf.c", "--baseline", "base.json")
    assert ebpffix(*new, cwd=tree, text=PROGRAM).code == 1


def test_from_the_configuration_and_written_again(tree: Path) -> None:
    (tree / "ebpffix.toml").write_text('baseline = "base.json"\n')
    assert ebpffix(cwd=tree).code == 2  # it is not there yet
    write(tree)
    assert ebpffix(cwd=tree / "src").code == 0
    write(tree)  # what is in it already stays in it
    assert ebpffix(cwd=tree).code == 0
    (tree / "src" / "count.bpf.c").write_bytes(FIXED)
    assert write(tree) == {}


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"[" * 100000, b'{"version": 1, "files": [1]}', b"\xff\0"])
def test_what_is_no_baseline(tree: Path, text: bytes) -> None:
    (tree / "base.json").write_bytes(text)
    done = ebpffix("--baseline", "base.json", cwd=tree)
    assert (done.code, done.out) == (2, "")
    assert "no baseline; write one with --write-baseline" in done.err


def test_errors_are_one_line(tree: Path) -> None:
    for args in (["--baseline", "no.json"], ["--write-baseline", "no/folder/f"], ["--write-baseline", "f", "--diff"]):
        done = ebpffix(*args, cwd=tree)
        assert done.code == 2
        assert "no" in done.err or "--diff" in done.err
    (tree / "base.json").write_text('{"version": 2, "files": {}}')
    assert "another version" in ebpffix("--baseline", "base.json", cwd=tree).err
