"""What is proven of maps: that one which libbpf 1.0 refuses comes out as it was stated, and who is to blame if not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from ebpffix.verify.compile import Clang, CompileError, Object, compile_libbpf
from ebpffix.verify.load import load
from ebpffix.verify.map_faults import Map, described
from ebpffix.verify.proof import Compiled, Proof, prove
from ebpffix.verify.stated_maps import as_made, new_maps, old_maps
from ebpffix.verify.targets import LibbpfTarget

HEAD = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
STRUCTURE
"""
STRUCTURE = "struct bpf_map_def { unsigned int type, key_size, value_size, max_entries, map_flags; };"
OLD = (
    'struct bpf_map_def SEC("maps") {} = {{ .type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8, '
    ".max_entries = 16 }};"
)
NEW = (
    "struct {{ __uint(type, BPF_MAP_TYPE_HASH); __type(key, int); __type(value, long); __uint(max_entries, {1}); }} "
    '{0} SEC(".maps");'
)
PROGRAM = """
{maps}
SEC("xdp") int p(struct xdp_md *ctx)
{{
	int key = 0;
	return bpf_map_lookup_elem(&first, &key) && bpf_map_lookup_elem(&second, &key);
}}
"""
FIRST, SECOND = OLD.format("first"), OLD.format("second")


def new(name: str, entries: int = 16) -> str:
    return NEW.format(name, entries)


def proven(
    folder: Path,
    clang: Clang,
    *fixes: tuple[str, str],
    structure: str = STRUCTURE,
    maps: Sequence[str] = (FIRST, SECOND),
) -> list[Proof]:
    path = folder / "p.bpf.c"
    text = HEAD.replace("STRUCTURE", structure) + PROGRAM.format(maps="\n".join(maps))
    path.write_text(text)

    def build(chosen: Sequence[tuple[str, str]]) -> Mapping[Path, bytes]:
        now = text
        for old, new in chosen:
            now = now.replace(old, new)
        return {path: now.encode()}

    return prove(fixes, [LibbpfTarget(path, clang)], build, lambda fix: {path})


def same(name: str) -> tuple[str, str, str]:
    words = "hash, keys of 4 and values of 8 bytes, 16 entries"
    return name, words, words


@pytest.mark.parametrize("structure", [STRUCTURE, ""])
def test_each_fix_has_its_map(verifier: None, clang: Clang, tmp_path: Path, structure: str) -> None:
    """Also where the headers have the structure no more, and nothing compiles before."""
    found = proven(tmp_path, clang, (FIRST, new("first")), (SECOND, new("second")), structure=structure)
    assert [proof.verdict for proof in found] == ["fixed", "fixed"]
    assert [[(m.name, m.before, m.after) for m in proof.maps] for proof in found] == [[same("first")], [same("second")]]


def test_the_fix_that_makes_another_map_is_to_blame(verifier: None, clang: Clang, tmp_path: Path) -> None:
    """Not the last one, though nothing loads before it."""
    first, second = proven(tmp_path, clang, (FIRST, new("first", 17)), (SECOND, new("second")))
    assert (first.verdict, second.verdict) == ("worse", "still-rejected")
    assert first.reason == (
        "the map first is another one: hash, keys of 4 and values of 8 bytes, 16 entries, now hash, keys of 4 and "
        "values of 8 bytes, 17 entries"
    )


def test_a_map_of_another_type_is_meant(verifier: None, clang: Clang, tmp_path: Path) -> None:
    """By a fix that comes after it has its new form."""
    swap = ("BPF_MAP_TYPE_HASH); __type(key, int)", "BPF_MAP_TYPE_LRU_HASH); __type(key, int)")
    maps = (FIRST, new("second"))
    first, second = proven(tmp_path, clang, (FIRST, new("first")), swap, maps=maps)
    assert first.verdict == second.verdict == "fixed"
    assert first.maps[0].after.startswith("LRU hash")


def made(folder: Path, clang: Clang, *maps: str) -> Object:
    path = folder / "m.bpf.c"
    path.write_text(HEAD.replace("STRUCTURE", STRUCTURE) + PROGRAM.format(maps="\n".join(maps)))
    built = compile_libbpf(path, clang=clang)
    assert isinstance(built, Object)
    return built


def test_what_objects_state(clang: Clang, verifier: None, tmp_path: Path) -> None:
    built = made(tmp_path, clang, FIRST, new("second", 3))
    assert old_maps(built.data) == {"first": Map(1, 4, 8, 16, 0)}
    assert new_maps(built.data) == {"second": Map(1, 4, 8, 3, 0)}
    (result,) = load(built)
    assert (result.name, result.verdict, result.maps) == ("p", "rejected", {})
    assert "legacy map definitions" in result.log and "libbpf 1.0" in result.reason
    (result,) = load(made(tmp_path, clang, new("first"), new("second", 3)))
    assert result.maps == {"first": Map(1, 4, 8, 16, 0), "second": Map(1, 4, 8, 3, 0)}


def test_a_section_that_libbpf_took_once(clang: Clang, verifier: None, tmp_path: Path) -> None:
    path = tmp_path / "s.bpf.c"
    path.write_text(HEAD.replace("STRUCTURE", "") + 'SEC("xdp_old") int p(struct xdp_md *ctx) { return 2; }\n')
    built = compile_libbpf(path, clang=clang)
    assert isinstance(built, Object)
    (result,) = load(built)
    assert (result.verdict, result.reason) == ("rejected", "libbpf from 1.0 on knows no section xdp_old, only xdp")
    assert result.log.startswith("libbpf: missing BPF prog type")


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"\x7fELF\x02\x01" + bytes(100)])
def test_what_is_no_object_states_nothing(data: bytes) -> None:
    assert old_maps(data) == new_maps(data) == {}


@pytest.mark.parametrize(
    ("stated", "kernel"),
    [
        (Map(4, 4, 4, 0, 0), Map(4, 4, 4, 8, 0)),  # perf events: one entry a CPU
        (Map(14, 4, 4, 64, 0), Map(14, 4, 4, 64, 1 << 7)),  # devices: read-only to programs
        (Map(1, 4, 8, 16, 1), Map(1, 4, 8, 16, 1)),
    ],
)
def test_what_loader_and_kernel_add(stated: Map, kernel: Map) -> None:
    assert as_made(stated, kernel) == kernel
    assert as_made(stated, kernel._replace(value=99)) != kernel._replace(value=99)


def test_in_words() -> None:
    assert described(Map(27, 0, 0, 4096, 0)) == "ring buffer, 4096 entries"
    assert described(Map(1, 4, 8, 16, 1)) == "hash, keys of 4 and values of 8 bytes, 16 entries, flags 0x1"
    assert described(Map(99, 4, 8, 16, 0)).startswith("type 99")


def test_a_target_need_not_know_of_maps() -> None:
    assert Compiled({}, frozenset(), list).maps == CompileError(()).maps == {}
