"""Which objects are the same to the kernel: what debug information alone tells apart is, all else is not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ebpffix.verify.compile import Clang, Object, compile_libbpf
from ebpffix.verify.objects import NotAnObject, difference, programs, same_object

TEXT = b"""\
#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int (*name)[value]
typedef unsigned int u32;
typedef unsigned long long u64;

static void *(*lookup)(void *map, const void *key) = (void *)1;
extern void bpf_some_kfunc(void) __attribute__((section(".ksyms")));

struct task { int pid; int tgid; union { int code; int state; }; } __attribute__((preserve_access_index));
struct key { u32 id; u32 port; };

struct {
    __uint(type, 1);
    __uint(max_entries, 16);
    struct key *key;
    u64 *value;
} one SEC(".maps"), two SEC(".maps");

char licence[] SEC("license") = "GPL";
u32 limit = 7;

__attribute__((noinline)) int checked(struct key *key)
{
    return key && key->id;
}

static __attribute__((noinline)) int shared(int seed)
{
    return seed * 3;
}

SEC("xdp")
int first(void *ctx)
{
    struct key key = {1, 2};
    u64 *found = lookup(&one, &key);
    char copy[16], from[16] = "0123456789abcde";

    __builtin_memcpy(copy, from, 16);
    __asm__ volatile("" ::"r"(copy));
    return found ? *found + limit : shared(key.id) + checked(&key);
}

SEC("xdp")
int second(struct task *ctx)
{
    bpf_some_kfunc();
    return ctx->pid + ctx->code;
}
"""


def made(folder: Path, clang: Clang, text: bytes) -> bytes:
    path = folder / "t.bpf.c"
    path.write_bytes(text)
    result = compile_libbpf(path, clang=clang)
    assert isinstance(result, Object), str(result)
    return result.data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("objects")


@pytest.fixture(scope="module")
def base(folder: Path, clang: Clang) -> bytes:
    return made(folder, clang, TEXT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'SEC("xdp")', b'\n\n// further down\nSEC("xdp")'),
        (b"copy", b"another"),
        (b"__builtin_memcpy(copy, from, 16)", b"for (int i = 0; i < 16; i++) copy[i] = from[i]"),
        (b"struct key {", b"struct unused { int x; }; enum e { A };\nstruct key {"),
        (b"    u64 *found", b"    struct { u32 a; struct task *b; } *odd = ctx; (void)odd;\n    u64 *found"),
    ],
)
def test_same(folder: Path, clang: Clang, base: bytes, old: bytes, new: bytes) -> None:
    assert old in TEXT
    other = made(folder, clang, TEXT.replace(old, new))
    assert other != base
    assert difference(base, other) == ""
    assert same_object(base, other)


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        (b"{1, 2}", b"{1, 3}", "program first"),
        (b"lookup(&one", b"lookup(&two", "program first"),
        (b"ctx->pid", b"ctx->tgid", "program second"),
        (b"ctx->code", b"ctx->state", "program second"),
        (b"struct task { int pid;", b"struct task { long pid;", "program second"),
        (b"    bpf_some_kfunc();\n", b"", ".ksyms"),
        (b"seed * 3", b"seed * 5", "function shared"),
        (b"max_entries, 16", b"max_entries, 17", ".maps variable one"),
        (b"u32 id; u32 port;", b"u32 id; int port;", ".maps variable one"),
        (b"} one SEC", b"int (*map_flags)[1]; } one SEC", ".maps variable one"),
        (b'"GPL"', b'"MIT"', "section license"),
        (b"u32 limit = 7", b"u32 limit = 8", "section .data"),
        (b"u32 limit", b"int limit", ".data variable limit"),
        (b"checked(struct key *key)", b"checked(const struct key *key)", "prototype checked"),
        (b'SEC("xdp")\nint second', b'SEC("tc")\nint second', "program second"),
        (b"int second(", b"int renamed(", "program renamed: only after"),
        (b"shared(", b"renamed(", "function renamed: only after"),
    ],
)
def test_not_the_same(folder: Path, clang: Clang, base: bytes, old: bytes, new: bytes, where: str) -> None:
    assert old in TEXT
    other = made(folder, clang, TEXT.replace(old, new))
    assert not same_object(base, other)
    assert difference(base, other).startswith(where)


def test_the_order_of_programs_does_not_matter(folder: Path, clang: Clang, base: bytes) -> None:
    head, first, second = TEXT.split(b'SEC("xdp")\n')
    other = made(folder, clang, b'SEC("xdp")\n'.join([head, second, first]))
    assert difference(base, other) == ""


def test_programs_in_the_order_of_the_file(base: bytes) -> None:
    assert programs(base) == [("first", "xdp"), ("second", "xdp")]


def test_broken_objects_are_told_in_one_way(base: bytes) -> None:
    for broken in (b"", b"\x7fELF", b"int main;", base[:100], base[: len(base) // 2]):
        with pytest.raises(NotAnObject):
            programs(broken)
    chance = random.Random(1)
    for _ in range(400):
        data = bytearray(base)
        for _ in range(8):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            difference(base, bytes(data))
            programs(bytes(data))
        except NotAnObject:
            pass
