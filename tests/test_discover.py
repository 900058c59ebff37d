"""What is eBPF C and what is not, and which files a run gets."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ebpffix.sources.dialect import dialect_of
from ebpffix.sources.discover import Discovery, discover
from ebpffix.sources.files import root_of
from ebpffix.sources.source import Source

LIBBPF = b'#include "vmlinux.h"\nSEC("kprobe/f") int f(void *ctx) { return 0; }\nchar L[] SEC("license") = "GPL";\n'
BCC = b"BPF_HASH(seen, u32, u64);\nint f(struct pt_regs *ctx) { return 0; }\n"
USER = b'#include <bpf/libbpf.h>\n#include "x.skel.h"\nint main(void) { return 0; }\n'


def write(root: Path, **files: bytes) -> None:
    """Write files; in a name `__` is a slash and `_DOT_` a dot that Python does not allow."""
    for name, data in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def git(root: Path, *args: str) -> None:
    subprocess.run(["git", "-C", str(root), "-c", "user.name=n", "-c", "user.email=e", *args], check=True, timeout=30)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    root = tmp_path / "repo"
    root.mkdir()
    git(root, "init", "-q")
    return root


def names(found: Discovery, root: Path) -> list[str]:
    return [str(program.path.relative_to(root)) for program in found.programs]


NOT_BPF = {
    "user space that includes libbpf": USER,
    "user space with a program in a string": b'const char *text = "SEC(\\"xdp\\") BPF_HASH(a, int, int);";',
    "a program in a comment": b'/*\nSEC("xdp")\nBPF_HASH(a, int, int);\n*/\n// SEC("tc")\nint x;\n',
    "a macro SEC of its own": b'#define SEC(x) x\nint a = SEC(3);\nchar *b = SEC("seconds");\n',
    "firmware sections": b'char v[] __attribute__((section("version")));\nint i __attribute__((section(".data")));',
    "a kernel module with probes": b'static int kprobe__f(struct pt_regs *r) { return 0; }\nMODULE_LICENSE("GPL");\n',
    "the kernel's own helpers": (
        b"BPF_CALL_5(bpf_trace_printk, char *, fmt, u32, n, u64, a, u64, b, u64, c)\n{\n\tbpf_trace_printk(1);\n"
        b"}\nint f(struct pt_regs *ctx) { return 0; }\n"
    ),
    "libbpf's own section table": b'static const struct bpf_sec_def defs[] = { SEC_DEF("kprobe+", KPROBE), };\n',
    "user space that compiles BCC text": b'int main() {\n  BPF_HASH("a");\n  return load("BPF_HASH(a, u32)");\n}\n',
    "a definition of BCC's macros": b"#define BPF_HASH(n, ...) BPF_TABLE(n)\n",
    "another word that ends in SEC": b'MSEC("xdp"); USEC("tc");\n',
    "Windows": b'#include <windows.h>\n#pragma section("maps", read)\n#define SEC 9\nint WinMain(void);\n',
    "directives alone": b'#define A 1\n#include "nothing.h"\n',
    "nothing": b"",
}


@pytest.mark.parametrize("data", NOT_BPF.values(), ids=NOT_BPF)
def test_c_that_is_not_bpf_is_never_taken(data: bytes, tmp_path: Path) -> None:
    write(tmp_path, a_DOT_c=data, um__net_kern_DOT_c=data)
    assert dialect_of(Source(tmp_path / "a.c", data)) is None
    assert discover([tmp_path]).programs == []


@pytest.mark.parametrize(
    ("data", "dialect"),
    [
        (LIBBPF, "libbpf"),
        (b'SEC("?tp_btf/x") int f(void *c) { return 0; }', "libbpf"),
        (b'SEC("xdp_encap") int f(struct xdp_md *c) { return 2; }', "libbpf"),
        (b'struct { int a; } m SEC(".maps");', "libbpf"),
        (b'SEC( "cgroup/skb" )\nint f(void *c) { return 0; }', "libbpf"),
        (b'__section("classifier") int f(struct __sk_buff *s) { return 0; }', "libbpf"),
        (b'char l[] __attribute__((section("license"), used)) = "GPL";', "libbpf"),
        (b"__section_entry\nint f(void *c) { return 0; }", "libbpf"),
        (b'SEC("kprobe/f") int kprobe__f(struct pt_regs *c) { return 0; }', "libbpf"),
        (b'#define BPF_HASH(n, k, v) struct {} n SEC(".maps")\nBPF_HASH(a, u32, u32);\n', "libbpf"),
        (BCC, "bcc"),
        (b'\tBPF_TABLE_PUBLIC("hash", int, int, t, 8);\n', "bcc"),
        (b"BPF_STACK_TRACE_BUILDID(stacks, 8);\n", "bcc"),
        (b"RAW_TRACEPOINT_PROBE(sched_switch) { return 0; }\n", "bcc"),
        (b"int kretprobe__tcp_set_state(struct pt_regs*ctx){ return 0; }\n", "bcc"),
        (b"int filter(struct __sk_buff *skb) { u8 *c = 0; cursor_advance(c, 4); return 0; }\n", "bcc"),
        (b'int hello(void *ctx) {\n  bpf_trace_printk("hello");\n  return 0;\n}\n', "bcc"),
        (b"int on(struct pt_regs *ctx) { events.perf_submit(ctx, &e, sizeof(e)); return 0; }\n", "bcc"),
    ],
)
def test_dialects(data: bytes, dialect: str, tmp_path: Path) -> None:
    assert dialect_of(Source(tmp_path / "a.c", data)) == dialect


def test_a_name_is_enough_only_for_bpf_c(tmp_path: Path) -> None:
    assert dialect_of(Source(tmp_path / "a.bpf.c", b"static int f(void);")) == "libbpf"
    assert dialect_of(Source(tmp_path / "port_kern.c", b"static int f(void);")) is None


def test_a_file_of_directives_is_the_program_that_it_includes(tmp_path: Path) -> None:
    write(tmp_path, a_DOT_c=b'#define MODE \\\n 1\n#include "p.h"\n', p_DOT_h=LIBBPF)
    write(tmp_path, b_DOT_c=b'#include "p.h"\nint x;\n')
    found = discover([tmp_path])
    assert names(found, tmp_path) == ["a.c"]
    assert [(h.path.name, [p.path.name for p in h.programs]) for h in found.headers] == [("p.h", ["a.c"])]


def test_a_forced_dialect_does_not_make_a_program_of_other_c(tmp_path: Path) -> None:
    write(tmp_path, a_DOT_c=USER, b_DOT_c=BCC)
    found = discover([tmp_path, tmp_path / "a.c"], dialect="libbpf")
    assert [(p.path.name, p.dialect) for p in found.programs] == [("b.c", "libbpf")]
    assert found.skipped == [tmp_path / "a.c"]


def test_git_decides_which_files_there_are(repo: Path) -> None:
    write(repo, _DOT_gitignore=b"out/\n", a_DOT_c=BCC, new_DOT_c=BCC, out__x_DOT_c=BCC, gone_DOT_c=BCC, py_DOT_py=BCC)
    git(repo, "add", "a.c", "gone.c")
    (repo / "gone.c").unlink()
    found = discover([repo])
    assert names(found, repo) == ["a.c", "new.c"]
    assert not found.errors
    assert found.programs[0].root == repo


def test_a_named_file_is_taken_though_ignored(repo: Path) -> None:
    write(repo, _DOT_gitignore=b"out/\n", out__x_DOT_c=BCC, a_DOT_c=BCC)
    assert names(discover([repo / "out" / "x.c"], exclude=lambda path: True), repo) == ["out/x.c"]
    assert names(discover([repo], exclude=lambda path: path.name == "a.c"), repo) == []


def test_only_the_given_folder(repo: Path) -> None:
    write(repo, a__x_DOT_c=BCC, ab__x_DOT_c=BCC, b__x_DOT_c=BCC)
    assert names(discover([repo / "b", repo / "a", repo / "a" / "x.c"]), repo) == ["a/x.c", "b/x.c"]


def test_git_runs_once_for_a_tree_and_never_for_a_root(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real = subprocess.Popen

    def start(command: list[str], **more: Any) -> Any:
        calls.append(command[2])
        return real(command, **more)

    monkeypatch.setattr(subprocess, "Popen", start)
    write(repo, a__x_DOT_c=BCC, b__y_DOT_c=LIBBPF)
    assert root_of(repo / "a" / "x.c") == repo
    assert not calls
    discover([repo / "a", repo / "b", repo])
    assert calls == [str(repo)]


def test_the_environment_of_a_git_hook_is_another_tree_s(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(repo, a_DOT_c=BCC, b_DOT_c=BCC)
    (repo / ".git" / "info" / "exclude").write_text("b.c\n")  # only the right repository knows this
    git(repo.parent, "init", "-q", "other")
    monkeypatch.setenv("GIT_DIR", str(repo.parent / "other" / ".git"))
    assert names(discover([repo]), repo) == ["a.c"]


def test_submodules_only_if_given(repo: Path, tmp_path: Path) -> None:
    write(tmp_path, sub__s_DOT_c=BCC)
    git(tmp_path / "sub", "init", "-q")
    git(tmp_path / "sub", "add", ".")
    git(tmp_path / "sub", "commit", "-qm", "x")
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(tmp_path / "sub"), "sub")
    assert names(discover([repo]), repo) == []
    found = discover([repo / "sub"])
    assert names(found, repo) == ["sub/s.c"]
    assert found.programs[0].root == repo / "sub"


def test_without_git_gitignore_files_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        tmp_path,
        _DOT_gitignore=b"out/\n*.gen.c\n",
        a_DOT_c=BCC,
        x_DOT_gen_DOT_c=BCC,
        sub___DOT_gitignore=b"!keep.gen.c\n/b.c\n",
        sub__keep_DOT_gen_DOT_c=BCC,
        sub__b_DOT_c=BCC,
        out__c_DOT_c=BCC,
    )
    assert names(discover([tmp_path]), tmp_path) == ["a.c", "sub/keep.gen.c"]
    git(tmp_path, "init", "-q")  # and the same where there is a tree, but no git
    write(tmp_path, submodule___DOT_git=b"gitdir: x\n", submodule__s_DOT_c=BCC)
    monkeypatch.setenv("PATH", "")
    assert names(discover([tmp_path]), tmp_path) == ["a.c", "sub/keep.gen.c"]


def test_trees_below_a_plain_folder(repo: Path) -> None:
    write(repo, _DOT_gitignore=b"b.c\n", a_DOT_c=BCC, b_DOT_c=BCC)
    write(repo.parent, c_DOT_c=BCC)
    found = discover([repo.parent])
    assert [(p.path.name, p.root) for p in found.programs] == [("c.c", repo.parent), ("a.c", repo)]


def test_links_as_git_does(repo: Path) -> None:
    write(repo, a_DOT_c=BCC)
    write(repo.parent, away_DOT_c=BCC, far__f_DOT_c=BCC)
    (repo / "link.c").symlink_to("a.c")
    (repo / "out.c").symlink_to("../away.c")
    (repo / "far").symlink_to("../far")
    (repo / "broken.c").symlink_to("nowhere.c")
    assert names(discover([repo]), repo) == ["a.c"]
    assert names(discover([repo / "link.c", repo]), repo) == ["a.c"]
    found = discover([repo / "out.c"])
    assert not found.programs
    (repo.parent / "alias").symlink_to("repo")
    assert names(discover([repo.parent / "alias" / "link.c", repo.parent / "alias"]), repo) == ["a.c"]
    target = repo.parent / "away.c"
    assert found.errors == [f"{repo}/out.c: a link out of its tree; name the file that it leads to, {target}"]


def test_errors_are_lines_and_the_others_go_on(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(repo, a_DOT_c=BCC, locked_DOT_c=BCC)
    os.mkfifo(repo / "pipe.c")

    def read(path: Path) -> Source:
        if path.name == "locked.c":
            raise PermissionError(13, "Permission denied")
        return Source(path, path.read_bytes())

    monkeypatch.setattr(Source, "read", read)
    found = discover([repo / "missing", repo / "pipe.c", repo])
    assert names(found, repo) == ["a.c"]
    assert found.errors == [
        f"{repo}/missing: no such file or directory; check the path",
        f"{repo}/pipe.c: not a regular file; use - to read standard input",
        f"{repo}/locked.c: permission denied; make it readable or exclude it",
    ]
    named = discover([repo / "locked.c"])
    assert named.errors == [f"{repo}/locked.c: permission denied; make it readable or leave it out"]


def test_a_folder_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, a_DOT_c=BCC, locked__b_DOT_c=BCC)
    real = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = discover([tmp_path])
    assert names(found, tmp_path) == ["a.c"]
    assert found.errors == [f"{tmp_path}/locked: permission denied; its files were left out"]


def test_each_file_is_read_once(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(repo, a_DOT_c=b'#include "h.h"\n' + BCC, b_DOT_c=b'#include "h.h"\n' + BCC, h_DOT_h=b"int x;\n")
    reads: list[str] = []
    real = Source.read

    def read(path: Path) -> Source:
        reads.append(path.name)
        return real(path)

    monkeypatch.setattr(Source, "read", read)
    found = discover([repo, repo / "a.c"])
    assert sorted(reads) == ["a.c", "b.c", "h.h"]
    assert found.programs[0].source.data.endswith(BCC)


def test_headers_of_programs_and_who_else_includes_them(repo: Path) -> None:
    write(
        repo,
        p_DOT_bpf_DOT_c=b'#include "inc/a.h"\n#include "vmlinux.h"\n' + LIBBPF,
        q_DOT_bpf_DOT_c=b'#include "inc/b.h"\n' + LIBBPF,
        inc__a_DOT_h=b'#include "b.h"\n',
        inc__b_DOT_h=b"struct b { int x; };\n",
        inc__only_user_DOT_h=b"",
        vmlinux_DOT_h=b"struct task_struct;\n",
        user_DOT_c=b'#include "inc/b.h"\n#include "inc/only_user.h"\n' + USER,
    )
    found = discover([repo])
    assert [(h.path.name, [p.path.name for p in h.programs]) for h in found.headers] == [
        ("a.h", ["p.bpf.c"]),
        ("b.h", ["p.bpf.c", "q.bpf.c"]),
    ]
    assert [found.shared_with_user_space(h) for h in found.headers] == [False, True]
    assert discover([repo / "p.bpf.c"]).headers == []  # not named: not to be changed


def test_a_header_alone_finds_its_programs(repo: Path) -> None:
    write(repo, p_DOT_bpf_DOT_c=b'#include "h.h"\n' + LIBBPF, h_DOT_h=b"", user_DOT_h=b"", u_DOT_c=b'#include "h.h"\n')
    found = discover([repo / "h.h", repo / "user.h"])
    assert found.programs == []
    assert [(h.path.name, [p.path.name for p in h.programs]) for h in found.headers] == [("h.h", ["p.bpf.c"])]
    assert found.skipped == [repo / "user.h"]
    assert found.shared_with_user_space(found.headers[0])


PART = b'SEC("kprobe/g") int g(void *ctx) { return 0; }\n'


def test_a_c_file_without_a_license_that_a_program_includes_is_part_of_it(repo: Path) -> None:
    write(repo, main_DOT_c=b'#include "l7/part.c"\n#include "whole.c"\n' + LIBBPF)
    write(repo, l7__part_DOT_c=PART + b'#include "more.c"\n', l7__more_DOT_c=PART, whole_DOT_c=LIBBPF, lone_DOT_c=PART)
    found = discover([repo])
    assert names(found, repo) == ["lone.c", "main.c", "whole.c"]
    parts = {str(h.path.relative_to(repo)): [p.path.name for p in h.programs] for h in found.headers}
    assert parts == {"l7/more.c": ["main.c"], "l7/part.c": ["main.c"]}
    write(repo, whole_DOT_c=LIBBPF.replace(b'#include "vmlinux.h"\n', b""))
    assert names(discover([repo]), repo) == ["lone.c", "main.c"], "what includes nothing does not compile"
    for alone in ("l7/part.c", "l7"):
        found = discover([repo / alone])
        assert not found.programs
        assert {p.path.name for h in found.headers for p in h.programs} == {"main.c"}


def test_headers_in_the_given_include_folders(repo: Path) -> None:
    write(repo, p_DOT_bpf_DOT_c=b"#include <linux/own.h>\n" + LIBBPF, inc__linux__own_DOT_h=b"")
    assert discover([repo]).headers == []
    assert [h.path.name for h in discover([repo], include_dirs=[repo / "inc"]).headers] == ["own.h"]


def test_a_probe_that_a_host_attaches_is_bcc_and_kernel_code_is_not() -> None:
    probe = b"#include <net/sock.h>\n\nint probe(struct pt_regs *ctx, struct sock *sk)\n{\n\treturn 0;\n}\n"
    assert dialect_of(Source(Path("/x/probe.c"), probe)) == "bcc"
    kernel = probe.replace(b"*ctx", b"*regs")
    assert dialect_of(Source(Path("/x/traps.c"), kernel)) is None
    module = probe + b'MODULE_LICENSE("GPL");\n'
    assert dialect_of(Source(Path("/x/module.c"), module)) is None
