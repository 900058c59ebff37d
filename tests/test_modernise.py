"""The group, and what its transforms say of the user space next to a program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import FIXTURES, PROGRAM, ebpffix, transforms

from ebpffix.transform import ALL, DEFAULT, selectable

ROOT = Path(__file__).parent.parent
MAP = b"__uint(type, BPF_MAP_TYPE_HASH);\n\t__uint(max_entries, 64);\n\t__type(key, u32);\n\t__type(value, u64);"
SIZED = PROGRAM.replace(MAP, MAP.replace(b"__type(key, u32)", b"__uint(key_size, sizeof(u32))"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / "count.bpf.c").write_bytes(SIZED)
    return tmp_path


def found(tree: Path, *args: str) -> set[str]:
    out = ebpffix("--output-format", "concise", "--no-cache", *args, cwd=tree).out
    return {line.split(": ")[1] for line in out.splitlines() if line.startswith("count.bpf.c:")}


def test_it_runs_only_when_it_is_selected(tree: Path) -> None:
    assert found(tree) == {"redundant-map-update"}
    assert found(tree, "--select", "modernise") == {"map-types"}
    assert found(tree, "--select", "map-types") == {"map-types"}
    assert found(tree, "--select", ALL) == {"map-types", "redundant-map-update"}
    assert found(tree, "--select", DEFAULT) == {"redundant-map-update"}
    assert found(tree, "--select", ALL, "--ignore", "modernise") == {"redundant-map-update"}
    (tree / "ebpffix.toml").write_text('select = ["modernise"]\n[per-file-ignores]\n"other/" = ["all"]\n')
    assert found(tree) == {"map-types"}
    (tree / "ebpffix.toml").write_text('[per-file-ignores]\n"count.bpf.c" = ["all"]\n')
    assert found(tree, "--select", ALL) == set()


def test_a_group_that_is_none(tree: Path) -> None:
    done = ebpffix("--select", "modernize", cwd=tree)
    assert done.code == 2 and "did you mean 'modernise'?" in done.err


def test_every_transform_is_in_its_group() -> None:
    known = selectable(transforms())
    assert set(known[ALL]) == set(transforms()) == {*known[DEFAULT], *known["modernise"]}
    assert "legacy-map" in known["modernise"] and "padded-init" in known[DEFAULT]
    listed = ebpffix("--transforms", cwd=FIXTURES).out
    assert any(line.split()[:2] == ["legacy-map", "modernise"] for line in listed.splitlines())


@pytest.mark.parametrize(
    ("transform", "case", "said"),
    [
        ("perf-to-ringbuf", "skeleton", "events.c:7 has to read it by ring_buffer__new"),
        ("section-names", "loader", "start.sh:2 looks for it"),
        ("section-names", "loader", "start.sh:3 looks for it"),
    ],
)
def test_user_space_is_named_with_its_line(tmp_path: Path, transform: str, case: str, said: str) -> None:
    (tmp_path / ".git").mkdir()
    for file in (FIXTURES / transform / case).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert said in ebpffix("--select", transform, "-v", cwd=tmp_path).out


@pytest.mark.parametrize(
    ("file", "text", "call"),
    [
        (
            "main.go",
            "//go:generate bpf2go Bpf events.bpf.c\n\nrd, err := perf.NewReader(objs.Events, 4096)\n",
            "ringbuf.NewReader",
        ),
        (
            "main.rs",
            'include!("events.skel.rs");\n\nlet b = PerfBufferBuilder::new(&maps.events);\n',
            "RingBufferBuilder",
        ),
        ("main.go", 'load("events.bpf.o")\n\nbuf, err := module.InitPerfBuf(name, ch, lost, 64)\n', "InitRingBuf"),
        ("events.c", "/* perf_buffer__new() */\n", ""),
        ("other.c", 'open("other.bpf.o");\n\nperf_buffer__new();\n', ""),
    ],
)
def test_readers_of_other_languages(tmp_path: Path, file: str, text: str, call: str) -> None:
    (tmp_path / ".git").mkdir()
    program = (FIXTURES / "perf-to-ringbuf" / "skeleton" / "events.bpf.c").read_bytes()
    (tmp_path / "events.bpf.c").write_bytes(program)
    (tmp_path / file).write_text(text)
    out = ebpffix("--select", "perf-to-ringbuf", cwd=tmp_path).out
    assert (f"{file}:3 has to read it by {call}" if call else "by ring_buffer__new, not perf_buffer__new") in out


# -- the tour


def test_the_tour_shows_what_comes_out(tmp_path: Path) -> None:
    """docs/modernise.md, run over a copy of docs/old."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "docs" / "old").mkdir(parents=True)
    for file in (ROOT / "docs" / "old").iterdir():
        (tmp_path / "docs" / "old" / file.name).write_bytes(file.read_bytes())
    page = (ROOT / "docs" / "modernise.md").read_text()
    (shown,) = re.findall(r"```diff\n(.*?)\n```", page, re.DOTALL)
    assert ebpffix("--select", "modernise", "--diff", "--unsafe-fixes", "docs/old", cwd=tmp_path).out.strip() == shown
    ebpffix("--select", "legacy-map", "--apply", "--unsafe-fixes", "docs/old", cwd=tmp_path)
    out = ebpffix("--select", "modernise", "--output-format", "concise", cwd=tmp_path / "docs" / "old").out
    (told,) = re.findall(r"```\n(flows\.bpf\.c.*?)\n```", page)
    assert told in out


def test_the_page_has_every_transform() -> None:
    page = (ROOT / "docs" / "modernise.md").read_text()
    assert all(f"| `{name}`" in page for name in selectable(transforms())["modernise"])
