"""What fixtures cannot say of goroutine-key: messages, places, which symbols are Go's, what hosts say."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import analysed, findings

from ebpffix.fix import Fix, Safety

NAME = "goroutine-key"
HEAD = """#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, __u64); __type(value, __u64); }
    start SEC(".maps");
"""


def program(section: str, key: str = "__u64 id = bpf_get_current_pid_tgid();", name: str = "on_call") -> str:
    update = "bpf_map_update_elem(&start, &id, &id, BPF_ANY);"
    return f'SEC("{section}") int BPF_UPROBE({name}) {{ {key} {update} return 0; }}\n'


def found(text: str) -> list[Fix]:
    return findings((HEAD + text).encode(), NAME)


@pytest.mark.parametrize(
    "symbol",
    [
        "malloc",
        "handle_main",
        "parse.isra.0",
        "parse.part.3",
        "parse.constprop.0",
        "parse.cold",
        "parse.llvm.1234",
        "pthread_create@GLIBC_2.34",
        "_ZN4core3fmt5write17h0123456789abcdefE",
        "_ZN6server6handleEi",
        "SSL_read+0x10",
    ],
)
def test_symbols_of_other_languages(symbol: str) -> None:
    assert not found(program(f"uprobe//usr/bin/server:{symbol}"))


@pytest.mark.parametrize(
    "symbol",
    [
        "main.main",
        "main.handle.func1",
        "main.(*queue).push",
        "main.queue.pop",
        "net/http.(*Server).Serve",
        "net/http.serverHandler.ServeHTTP",
        "github.com/acme/go-api/v2.Handle",
        "runtime.casgstatus",
        "crypto/tls.(*Conn).Read+0x20",
    ],
)
def test_symbols_of_go(symbol: str) -> None:
    (fix,) = found(program(f"uprobe//usr/bin/server:{symbol}"))
    assert fix.safety is Safety.ADVICE
    assert fix.message == (
        f"`start` is keyed by thread, but the goroutine in `{symbol}` can go on on another one; key by {{process id, "
        "address of the goroutine}"
    )
    assert "r14" in fix.reason


@pytest.mark.parametrize(
    "key",
    [
        "__u64 id = bpf_get_current_pid_tgid() >> 32;",
        "__u64 id = bpf_ktime_get_ns();",
        "__u64 id = bpf_get_current_uid_gid();",
        "__u64 whole = bpf_get_current_pid_tgid(), id = whole >> 32;",
    ],
)
def test_keys_that_are_no_thread(key: str) -> None:
    assert not found(program("uprobe/./server:main.handle", key))


@pytest.mark.parametrize(
    "key",
    [
        "__u64 id = bpf_get_current_pid_tgid();",
        "__u64 id; id = bpf_get_current_pid_tgid();",
        "__u64 id = (__u32)bpf_get_current_pid_tgid();",
        "__u64 id = bpf_get_current_pid_tgid() & 0xffffffff;",
        "__u64 whole = bpf_get_current_pid_tgid(), id = (__u32)whole;",
        "__u64 id = thread();",
    ],
)
def test_keys_that_are_a_thread(key: str) -> None:
    helper = "static __u32 thread(void) { __u64 id = bpf_get_current_pid_tgid(); return id; }\n"
    assert len(found(helper + program("uprobe/./server:main.handle", key))) == 1


def test_kernel_functions_stay_on_their_thread() -> None:
    assert not found(program("kprobe/main.handle").replace("BPF_UPROBE", "BPF_KPROBE"))


def test_one_line_for_keys_and_one_for_uretprobes() -> None:
    text = program("uprobe/./s:main.f") + program("uretprobe/./s:main.f", name="on_return")
    text += program("uretprobe/./s:main.g", name="on_other_return")
    said = [fix.message for fix in found(text)]
    assert len(said) == 2
    assert said[1].startswith("a uretprobe on `main.f` crashes the Go program")


@pytest.mark.parametrize(
    ("name", "text", "count"),
    [
        ("main.go", 'ex.Uprobe("main.handle", objs.OnCall, nil)', 1),
        ("main.go", "const symbol = `main.handle`\nex.Uprobe(symbol, objs.OnCall, nil)", 1),
        ("../main.go", 'ex.Uprobe("main.handle", objs.OnCall, nil)', 1),
        ("main.go", 'm.AttachUprobe(path, "main.handle", fd("on_call"), -1)', 1),
        ("host.py", 'b.attach_uprobe(name="./s", sym="main.handle", fn_name="on_call")', 1),
        ("main.go", 'ex.Uprobe("main.handle", objs.Another, nil)', 0),
        ("main.go", 'ex.Uretprobe("main.handle", objs.OnCall, nil)', 0),
        ("main.go", 'ex.Uprobe("readline", objs.OnCall, nil)', 0),
        ("main.go", "ex.Uprobe(symbol, objs.OnCall, nil)", 0),
        ("main.go", 'log.Print("main.handle", objs.OnCall)', 0),
        ("host.py", 'b.attach_uprobe(name="c", sym="malloc", fn_name="on_call")', 0),
    ],
)
@pytest.mark.parametrize("section", ["uprobe", "uprobe/handle"])
def test_hosts(tmp_path: Path, section: str, name: str, text: str, count: int) -> None:
    folder = tmp_path / "bpf"
    folder.mkdir()
    (folder / name).write_text(text)
    path = folder / "program.bpf.c"
    result = analysed(path, (HEAD + program(section)).encode(), NAME)
    assert len(result.findings) == count


def test_the_address_alone_is_one_of_every_process() -> None:
    (fix,) = found(program("uprobe/./server:main.handle", "__u64 at = ctx->r14, id = at;"))
    assert fix.message.startswith("`start` is keyed by the goroutine's address alone")
