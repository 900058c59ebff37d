"""What fixtures cannot say of map-size: messages, reasons, places, and what user space next to a program says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from support import CACHE, UNSAFE, analysed, findings, fixed, transforms

from ebpffix.app.cli import command
from ebpffix.fix import BCC, Fix, Safety
from ebpffix.frontend.environment import Environment, Options
from ebpffix.run.engine import run
from ebpffix.run.settings import Settings
from ebpffix.sources import neighbours
from ebpffix.sources.discover import discover

NAME = "map-size"
HEAD = b'#include "vmlinux.h"\n#include <bpf/bpf_helpers.h>\n'


def in_bcc(text: str) -> list[Fix]:
    return findings(text.encode(), NAME, dialect=BCC)


def in_libbpf(text: str) -> list[Fix]:
    return findings(HEAD + text.encode(), NAME)


@pytest.mark.parametrize(
    "text",
    [
        "BPF_HASH(m, u32, u64, 64);",
        "#define SIZE 4\nBPF_HASH(m, u32, u64, SIZE);",
        "BPF_ARRAY(m, u64, 64);",
        'BPF_TABLE("extern", u32, u64, m, 64);',
        'BPF_TABLE("hash", u32, u64, m, 64);',
        "BPF_HISTOGRAM(m);",
        "BPF_STACK_TRACE(m, 1024);",
        '#define BPF_HASH(name, key) BPF_TABLE("hash", key, u64, name, 64)\nBPF_HASH(m, u32);',
        "#define COUNTS(name) BPF_HASH(name, u32)\nCOUNTS(m);",
        "// BPF_HASH(m);",
    ],
)
def test_leaves_bcc_alone(text: str) -> None:
    assert not in_bcc(text + "\nint f(struct pt_regs *ctx) { return 0; }\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("BPF_HASH(m)", "BPF_HASH(m, u64, u64, 10240)"),
        ("BPF_HASH(m, u32)", "BPF_HASH(m, u32, u64, 10240)"),
        ("BPF_HASH(m, u32, u32)", "BPF_HASH(m, u32, u32, 10240)"),
        ("BPF_HASH (\n\tm\n)", "BPF_HASH (\n\tm, u64, u64, 10240\n)"),
        ("BPF_HASH(m, u32 // tid\n)", "BPF_HASH(m, u32, u64, 10240 // tid\n)"),
        ("BPF_LPM_TRIE(m, u64)", "BPF_LPM_TRIE(m, u64, u64, 10240)"),
    ],
)
def test_spells_out_what_bcc_fills_in(before: str, after: str) -> None:
    rest = ";\nint f(struct pt_regs *ctx) { u64 k = bpf_ktime_get_ns(); m.update(&k, &k); return 0; }\n"
    assert fixed((before + rest).encode(), NAME, dialect=BCC, safeties=UNSAFE).decode() == after + rest


FILL = "int f(struct pt_regs *ctx) { u64 k = bpf_ktime_get_ns(); %s return 0; }\n"


def test_one_finding_for_the_maps_of_a_file_that_can_fill() -> None:
    maps = "".join(f"BPF_HASH(m{i});\n" for i in range(6)) + "BPF_ARRAY(a);\n"
    fills = FILL % "".join(f"m{i}.update(&k, &k);" for i in range(6))
    growing, rest = sorted(in_bcc(maps + fills), key=lambda fix: fix.safety, reverse=True)
    assert growing.message == (
        "6 maps (`m0`, `m1`, `m2`, `m3` and 2 more) have BCC's default size of 10240 entries; a full hash drops new "
        "keys with -E2BIG; the fix states the size"
    )
    assert growing.safety is Safety.SUGGESTED
    assert "BPF_LRU_HASH" in growing.reason
    assert len(growing.edits) == 6
    assert rest.message == "`a` has BCC's default size of 10240 entries; an array has that memory from the start"


@pytest.mark.parametrize(
    "fill",
    [
        "",
        "m.update(&k, &k); m.delete(&k);",
        "u32 cpu = bpf_get_smp_processor_id(); m.update(&cpu, &k);",
    ],
)
def test_advice_where_nothing_shows_that_it_fills(fill: str) -> None:
    (fix,) = in_bcc("BPF_HASH(m, u32);\n" + FILL % fill)
    assert fix.safety is Safety.ADVICE


def test_message_of_one_map() -> None:
    (fix,) = in_bcc("BPF_LRU_HASH(seen, u32);\n" + FILL % "seen.update(&k, &k);")
    assert fix.safety is Safety.ADVICE
    assert fix.message == "`seen` has BCC's default size of 10240 entries; a full LRU hash evicts old keys"


MAP = 'struct { __uint(type, BPF_MAP_TYPE_%s); __type(key, __u32); __type(value, __u32); %s} m SEC(".maps");\n'


# As the kernel has it (6.18): each of these is made without max_entries, storage maps only so.
@pytest.mark.parametrize(
    "kind",
    "PERF_EVENT_ARRAY SK_STORAGE INODE_STORAGE TASK_STORAGE CGRP_STORAGE CGROUP_STORAGE PERCPU_CGROUP_STORAGE".split(),
)
def test_types_without_a_size(kind: str) -> None:
    assert not in_libbpf(MAP % (kind, ""))


@pytest.mark.parametrize("kind", "HASH PERCPU_HASH LRU_HASH ARRAY PERCPU_ARRAY STACK_TRACE QUEUE RINGBUF".split())
def test_types_that_need_a_size(kind: str) -> None:
    (fix,) = in_libbpf(MAP % (kind, ""))
    assert fix.safety is Safety.SUGGESTED
    assert fix.message.startswith("map `m` has no max_entries: it cannot be made (-EINVAL)")
    size = b"256 * 1024" if kind == "RINGBUF" else b"10240"
    assert fix.edits[0].text == b" __uint(max_entries, " + size + b");"
    assert not in_libbpf(MAP % (kind, "__uint(max_entries, 8); "))


@pytest.mark.parametrize("kind", "PROG_ARRAY DEVMAP CPUMAP XSKMAP SOCKHASH REUSEPORT_SOCKARRAY".split())
def test_types_whose_size_is_not_guessed(kind: str) -> None:
    (fix,) = in_libbpf(MAP % (kind, ""))
    assert fix.safety is Safety.ADVICE


def test_extern_map_has_its_size_elsewhere() -> None:
    assert not in_libbpf("extern " + MAP % ("HASH", ""))


@pytest.mark.parametrize(
    ("name", "text", "count"),
    [
        ("load.c", "bpf_map__set_max_entries(skel->maps.m, 8);", 0),
        ("main.rs", "open.maps.m.set_max_entries(8)?;", 0),
        ("main.go", 'spec.Maps["m"].MaxEntries = 8', 0),
        ("../main.c", "bpf_map__reuse_fd(obj->maps.m, fd);", 0),
        ("load.c", "bpf_map__set_max_entries(skel->maps.other, 8);", 1),
        ("load.c", "bpf_map__fd(skel->maps.m);", 1),
        ("notes.txt", "bpf_map__set_max_entries(skel->maps.m, 8);", 1),
        ("other.bpf.c", "bpf_map__set_max_entries(skel->maps.m, 8);", 1),
    ],
)
def test_user_space_next_to_the_program(tmp_path: Path, name: str, text: str, count: int) -> None:
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / name).write_text(text)
    program = folder / "program.bpf.c"
    assert len(analysed(program, HEAD + (MAP % ("HASH", "")).encode(), NAME).findings) == count


def test_digest_follows_the_neighbours(tmp_path: Path) -> None:
    program = tmp_path / "x.bpf.c"
    program.write_text("")
    empty = neighbours.Digests().of(program, (".c",))
    (tmp_path / "other.bpf.c").write_text("a program is no neighbour")
    (tmp_path / "notes.txt").write_text("")
    assert neighbours.Digests().of(program, (".c",)) == empty
    (tmp_path / "x.c").write_text("int main;")
    first = neighbours.Digests().of(program, (".c",))
    assert first != empty
    (tmp_path / "x.c").write_text("int main(void);")
    assert neighbours.Digests().of(program, (".c",)) not in (empty, first)


def test_neighbours_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    program = tmp_path / "gone" / "src" / "x.bpf.c"
    assert not list(neighbours.sources(program, (".c",)))


UPDATE = "__u32 k = ctx->di; bpf_map_update_elem(&m, &k, &k, BPF_ANY);"


@pytest.mark.parametrize(
    ("size", "body", "count"),
    [
        (1024, UPDATE, 1),
        (1, "__u32 k = ctx->di; (void)bpf_map_update_elem(&m, &k, &k, BPF_NOEXIST);", 1),
        (1025, UPDATE, 0),
        (64, "__u32 k = ctx->di; bpf_map_update_elem(&m, &k, &k, BPF_EXIST);", 0),
        (64, "__u32 k = ctx->di; if (bpf_map_update_elem(&m, &k, &k, 0)) return 1;", 0),
        (64, UPDATE + "bpf_map_delete_elem(&m, &k);", 0),
    ],
)
def test_small_hash_that_only_grows(size: int, body: str, count: int) -> None:
    text = (
        MAP % ("HASH", f"__uint(max_entries, {size}); ")
        + f'SEC("kprobe/f") int f(struct pt_regs *ctx) {{ {body} return 0; }}'
    )
    fixes = in_libbpf(text)
    assert [fix.safety for fix in fixes] == [Safety.ADVICE] * count
    if count:
        assert fixes[0].message.startswith(
            f"`m` holds {size} {'entry' if size == 1 else 'entries'}, nothing here deletes"
        )


def test_kept_result_follows_user_space(tmp_path: Path) -> None:
    """A result of a run before must not outlive a change of a file that is no part of the program."""
    folder, cache = tmp_path / "tree", tmp_path / "cache"
    folder.mkdir()
    cache.mkdir()
    for shared in ("vmlinux", "pch"):
        (CACHE / shared).mkdir(parents=True, exist_ok=True)
        (cache / shared).symlink_to(CACHE / shared)
    (folder / "x.bpf.c").write_bytes(HEAD + (MAP % ("HASH", "")).encode())
    environment = Environment(Options(cache=cache))
    settings = Settings({NAME: transforms()[NAME]}, environment, cache=cache)

    def count() -> int:
        return len(run(discover([folder]), settings).findings)

    assert (count(), count()) == (1, 1)
    (folder / "x.c").write_text("int open(void) { return bpf_map__set_max_entries(skel->maps.m, 8); }")
    assert count() == 0


@pytest.mark.usefixtures("verifier")
def test_the_fix_is_proven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "latency.bpf.c"
    program.write_bytes((Path(__file__).parent.parent / "fixtures" / "map-size" / "missing.c").read_bytes())
    monkeypatch.setenv("EBPFFIX_CACHE_DIR", str(CACHE))
    monkeypatch.setattr("watchfiles.watch", lambda *args, **kwargs: iter([{(2, str(program))}]))
    flags = ["--select", NAME, "--verify", str(program)]
    report = CliRunner().invoke(command, ["--diff", "--unsafe-fixes", "--output-format", "json", *flags])
    (finding,) = json.loads(report.stdout)["findings"]
    assert finding["proof"]["verdict"] == "fixed"
    assert all("no kernel makes its map" in p["log"] for p in finding["proof"]["programs"])
    watched = CliRunner().invoke(command, ["--watch", *flags]).output
    assert "refused: no kernel makes its map start: a hash needs max_entries" in watched
