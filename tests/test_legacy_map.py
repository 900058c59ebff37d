"""legacy-map: what fixtures cannot say, which is messages, user space beside the program, and what the kernel takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import Frame, ebpffix

from ebpffix.fix import Safety
from ebpffix.verify import load as loading
from ebpffix.verify.compile import Clang, Object, compile_libbpf

FRAME = Frame(
    "legacy-map",
    """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct bpf_map_def { unsigned int type, key_size, value_size, max_entries, map_flags; };
$before
$body
SEC("xdp") int p(struct xdp_md *ctx) { __u32 key = 0; $code return 2; }
""",
)
MAP = 'struct bpf_map_def SEC("maps") m = { .type = BPF_MAP_TYPE_HASH, .key_size = %s, .value_size = %s, };'


def size(key: str, value: str, code: str = "", before: str = "") -> str:
    """How the new form states key and value."""
    body = FRAME.after(MAP % (key, value), code=code, before=before)
    return body.split("HASH); ")[1].split(" } m")[0]


@pytest.mark.parametrize(
    ("key", "value", "code", "is_stated"),
    [
        ("4", "8", "bpf_map_lookup_elem(&m, &key);", "__uint(key_size, 4); __uint(value_size, 8);"),
        ("4", "8", "__u64 *v = bpf_map_lookup_elem(&m, &key);", "__type(key, __u32); __type(value, __u64);"),
        ("4", "8", "__u64 v; bpf_map_update_elem(&m, &key, &v, 0);", "__type(key, __u32); __type(value, __u64);"),
        # Bytes of a buffer, a type of another size, two types, a void pointer: no type.
        ("4", "8", "char v[8]; bpf_map_update_elem(&m, &key, v, 0);", "__uint(key_size, 4); __uint(value_size, 8);"),
        ("4", "4", "__u64 *v = bpf_map_lookup_elem(&m, &key);", "__uint(key_size, 4); __uint(value_size, 4);"),
        (
            "4",
            "8",
            "__s64 v; __u64 *w = bpf_map_lookup_elem(&m, &key); bpf_map_update_elem(&m, &key, &v, 0);",
            "__uint(key_size, 4); __uint(value_size, 8);",
        ),
        ("4", "8", "void *v = bpf_map_lookup_elem(&m, &key);", "__uint(key_size, 4); __uint(value_size, 8);"),
        # What is measured needs no use.
        ("sizeof(int)", "sizeof(struct { int a, b; })", "", "__type(key, int); __type(value, struct { int a, b; });"),
        ("sizeof(int)", "sizeof(int) * 2", "", "__uint(key_size, sizeof(int)); __uint(value_size, sizeof(int) * 2);"),
        ("sizeof(__u32)", "sizeof(void)", "", "__uint(key_size, sizeof(__u32)); __uint(value_size, sizeof(void));"),
        ("sizeof (__u32)", "sizeof( __u64 )", "", "__type(key, __u32); __type(value, __u64);"),
        ("sizeof(KEY)", "VALUE", "", "__uint(key_size, sizeof(KEY)); __uint(value_size, VALUE);"),
    ],
)  # fmt: skip
def test_types(key: str, value: str, code: str, is_stated: str) -> None:
    before = "#define KEY __u32\n#define VALUE 16"
    assert size(key, value, code, before) == is_stated


def test_a_macro_is_told_once_and_a_definition_says_what_it_needs() -> None:
    macro = '#define M(n) struct bpf_map_def SEC("maps") n = { .type = 1 }'
    (told,) = FRAME.found("M(a);\nM(b);", before=macro)
    assert told.safety is Safety.ADVICE and "`M`" in told.message
    (told,) = FRAME.found(MAP % ("4", "8"))
    assert told.safety is Safety.SUGGESTED and "-g" in told.reason


def test_a_map_that_its_section_names() -> None:
    (found,) = FRAME.found((MAP % ("4", "8")).replace("maps", "maps/flows"))
    assert "as `flows`, must ask for `m`" in found.message
    (found,) = FRAME.found((MAP % ("4", "8")).replace("maps", "maps/m"))
    assert "must ask" not in found.message


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("prog_user.c", "int main(void)\n{\n\tload_bpf_file(name);\n}\n", "prog_user.c:3 loads it by itself"),
        ("user.c", 'name = "prog.bpf.o";\nload_bpf_file(name);\n', "user.c:2 loads it by itself"),
        ("main.go", 'import "github.com/iovisor/gobpf/elf" // for prog.bpf.o\n', "main.go:1 loads it by itself"),
        ("prog.c", "x = bpf_map__def(map)->max_entries;\n", "libbpf 1.0 has no bpf_map__def (prog.c:1)"),
        ("prog.c", "// load_bpf_file(name);\n", ""),
        ("prog.c", "bpf_object__open(name);\n", ""),
        # Of another program in the folder.
        ("user.c", 'load_bpf_file("other.bpf.o");\n', ""),
        ("prog2_user.c", "load_bpf_file(name);\n", ""),
    ],
)
def test_user_space_beside_it(tmp_path: Path, file: str, text: str, said: str) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "prog.bpf.c").write_bytes(FRAME.program(MAP % ("4", "8")))
    (tmp_path / file).write_text(text)
    out = ebpffix("--select", "legacy-map", "--output-format", "github", cwd=tmp_path).out
    assert "libbpf 1.0 refuses" in out
    assert said in out if said else f"{file}:" not in out


# Types as `may_be_typed` lets them through, with one that it does not.
TYPED = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
enum slot { FIRST };
union both { __u32 a; char b[4]; };
struct net { __u32 prefixlen; __u8 addr[4]; };
#define MAP(n, t, e, f, k, v) struct { __uint(type, BPF_MAP_TYPE_##t); __uint(max_entries, e); \
    __uint(map_flags, f); __type(key, k); __type(value, v); } n SEC(".maps")
MAP(plain, HASH, 4, 0, __u32, char[16]);
MAP(odd, LRU_HASH, 4, 0, union both, void *);
MAP(text, PERCPU_HASH, 4, 0, char[8], enum slot);
MAP(enumerated, LRU_PERCPU_HASH, 4, 0, enum slot, struct net);
MAP(number, ARRAY, 1, 0, unsigned int, union both);
MAP(cpus, PERCPU_ARRAY, 1, 0, int, char[3]);
MAP(nets, LPM_TRIE, 4, 1, struct net, __u32);
MAP(socks, SK_STORAGE, 0, 1, int, struct net);
#ifdef REFUSED
MAP(refused, ARRAY, 1, 0, enum slot, __u32);
#endif
SEC("xdp") int p(struct xdp_md *ctx) { return 2; }
"""


@pytest.mark.parametrize(("flag", "is_refused"), [("-DNONE", False), ("-DREFUSED", True)])
def test_the_kernel_takes_these_types(
    clang: Clang, verifier: None, tmp_path: Path, flag: str, is_refused: bool
) -> None:
    """libbpf makes a map without its types where the kernel refuses them, and only says so."""
    (tmp_path / "p.bpf.c").write_text(TYPED)
    made = compile_libbpf(tmp_path / "p.bpf.c", clang=clang, args=[flag])
    assert isinstance(made, Object)
    request = {"programs": ["p"], "cap_bpf": False, "timeout": 20, "run": False, "log_size": 0, "log_level": 0}
    answer = loading._ask(request, made.data, 20)["p"]
    assert answer["errno"] == 0, answer["said"]
    assert ("Retrying without BTF" in answer["said"]) == is_refused, answer["said"]
