"""The include graph: where each header is, what is missing, and that clang agrees."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from ebpffix.sources import build
from ebpffix.sources.includes import Closure, Tree, is_vmlinux, parse_includes
from ebpffix.sources.source import Source


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def close(root: Path, program: str = "p.c", *include_dirs: Path) -> Closure:
    return Tree(root).closure(Source.read(root / program), include_dirs)


def relative(root: Path, paths: list[Path]) -> list[str]:
    return [os.path.relpath(path, root) for path in paths]


def test_what_is_no_include() -> None:
    text = b"""\
// #include "a.h"
/* #include "b.h"
#include "c.h"
*/ #include "d.h"
int x; #include "e.h"
#include MACRO
#include_next "f.h"
#define I #include "g.h"
"""
    assert parse_includes(Source(Path("/p.c"), text)) == ()


def test_directives_and_their_bytes() -> None:
    text = b"""\
/* about */
#include "a.h"
  # \t include<b/c.h> // why
// an open /* in a line comment
#include "d.h" /* goes on
*/
const char *glob = "x/*";
#include "e.h"\r
"""
    found = parse_includes(Source(Path("/p.c"), text))
    assert [(i.name, i.angled, text[i.offset : i.offset + i.length]) for i in found] == [
        ("a.h", False, b'#include "a.h"'),
        ("b/c.h", True, b"# \t include<b/c.h>"),
        ("d.h", False, b'#include "d.h"'),
        ("e.h", False, b'#include "e.h"'),
    ]


def test_order_of_the_places(tmp_path: Path) -> None:
    write(tmp_path, {"src/p.c": '#include "a.h"\n#include <b.h>\n', "src/a.h": "", "src/b.h": "", "inc/a.h": ""})
    assert relative(tmp_path, close(tmp_path, "src/p.c", tmp_path / "inc").files) == ["src/a.h", "src/b.h"]
    write(tmp_path, {"inc/b.h": ""})
    found = close(tmp_path, "src/p.c", tmp_path / "inc")
    assert relative(tmp_path, found.files) == ["src/a.h", "inc/b.h"]
    assert found.dirs == []


def test_the_nearest_file_with_that_ending(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "b/src/p.c": '#include "lib/x.h"\n#include <proj/y.h>\n',
            "b/include/lib/x.h": '#include "z.h"\n',
            "a/include/lib/x.h": "",
            "b/include/lib/z.h": "",
            "include/proj/y.h": "",
            "other/notlib/x.h": "",
        },
    )
    found = close(tmp_path, "b/src/p.c")
    assert relative(tmp_path, found.files) == ["b/include/lib/x.h", "include/proj/y.h", "b/include/lib/z.h"]
    assert relative(tmp_path, found.dirs) == ["b/include", "include"]
    assert not found.missing


def test_what_the_environment_gives_is_not_looked_for(tmp_path: Path) -> None:
    names = ["linux/bpf.h", "bpf/bpf_helpers.h", "stddef.h", "sys/types.h", "net/sock.h", "bcc/proto.h", "string.h"]
    write(tmp_path, {f"vendor/{name}": "" for name in names})
    write(tmp_path, {"p.c": "".join(f"#include <{name}>\n" for name in names)})
    found = close(tmp_path)
    assert [include.name for include in found.external] == names
    assert (found.files, found.dirs, found.missing) == ([], [], [])


def test_a_folder_that_is_needed_later_serves_earlier_names_too(tmp_path: Path) -> None:
    write(tmp_path, {"p.c": "#include <linux/if.h>\n#include <own/x.h>\n", "h/linux/if.h": "", "h/own/x.h": ""})
    found = close(tmp_path)
    assert relative(tmp_path, found.files) == ["h/own/x.h", "h/linux/if.h"]
    assert not found.external


def test_missing(tmp_path: Path) -> None:
    write(tmp_path, {"p.c": '#include "h.h"\n#include <none/a.h>\n', "h.h": 'int x;\n#include "gone.h" // b\n'})
    found = close(tmp_path)
    assert [(i.name, os.path.basename(i.file), i.offset, i.length) for i in found.missing] == [
        ("none/a.h", "p.c", 15, 19),
        ("gone.h", "h.h", 7, 17),
    ]


def test_libbpf_is_meant_wherever_its_headers_are_looked_for(tmp_path: Path) -> None:
    text = b'#include"../gone/bpf_helpers.h"  // a\n#  include <gone/bpf_endian.h>\n#include "gone/other.h"\n'
    (tmp_path / "p.c").write_bytes(text)
    read = plain = text
    for include in close(tmp_path).missing:
        read, plain = include.replaced_in(read, libbpf=True), include.replaced_in(plain, libbpf=False)
    assert read.split() == [b"#include<bpf_helpers.h>", b"//", b"a", b"#include<bpf_endian.h>"]
    assert [len(line) for line in read.split(b"\n")] == [len(line) for line in text.split(b"\n")]
    assert plain.split() == [b"//", b"a"]


def test_the_folders_of_go_generate(tmp_path: Path) -> None:
    """Those of the line that names the program, within the project; the nearest header otherwise."""
    program = b'#include "own.h"\n'
    write(tmp_path, {"near/own.h": "", "far/sub/own.h": "", "x/p.c": program.decode(), "x/q.c": program.decode()})
    (tmp_path / "link").symlink_to("/etc")
    lines = [
        "package x",
        '//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang -cflags "-O2 -DONE=1 -I ../none" x p.c --'
        " -I../far/sub -I/etc -I../../.. -I../link -I$HOME -DTWO -D@x -include /etc/passwd",
        "//go:generate other -I../near p.c",
        "//go:generate bpf2go y 'no end p.c -- -I../near",
        " //go:generate bpf2go y p.c -- -I../near",
    ]
    write(tmp_path, {"x/gen.go": "\n".join(lines) + "\n"})
    assert relative(tmp_path, close(tmp_path, "x/p.c").files) == ["far/sub/own.h"]
    assert relative(tmp_path, close(tmp_path, "x/q.c").files) == ["near/own.h"]
    assert build.folders(tmp_path / "x/p.c", tmp_path) == (tmp_path / "far/sub",)
    assert build.defines(tmp_path / "x/p.c", tmp_path) == ("ONE=1", "TWO")
    assert build.defines(tmp_path / "x/q.c", tmp_path) == ()


def test_loops_and_conditions(tmp_path: Path) -> None:
    write(tmp_path, {"p.c": '#ifdef NO\n#include "a.h"\n#endif\n'})
    write(tmp_path, {"a.h": '#include "b.h"\n', "b.h": '#include "a.h"\n'})
    assert relative(tmp_path, close(tmp_path).files) == ["a.h", "b.h"]


def test_many_includes_take_linear_time(tmp_path: Path) -> None:
    line = b'#include "a.h"'
    assert len(parse_includes(Source(tmp_path / "p.c", b"/* */\n" + (line + b"\n") * 100_000))) == 100_000
    assert len(parse_includes(Source(tmp_path / "p.c", b"/* */\n" + line * 300_000))) == 1


@pytest.mark.parametrize(("machine", "folder"), [("x86_64", "x86"), ("aarch64", "arm64"), ("mips", "any")])
def test_the_hosts_vmlinux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, folder: str) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    write(tmp_path, {f"v/{arch}/vmlinux.h": "int a;" * 9 for arch in ("any", "arm64", "x86")})
    write(tmp_path, {"src/p.c": '#include "vmlinux.h"\n'})
    found = close(tmp_path, "src/p.c")
    assert found.vmlinux == tmp_path / "v" / folder / "vmlinux.h"
    assert found.dirs == [tmp_path / "v" / folder]


def test_vmlinux_behind_links_and_pointers(tmp_path: Path) -> None:
    write(tmp_path, {"p.c": "#include <vmlinux.h>\n", "x86/vmlinux_1.h": "struct a;\nstruct b;\n"})
    link = tmp_path / "x86" / "vmlinux.h"
    link.symlink_to("vmlinux_1.h")
    real = tmp_path / "x86" / "vmlinux_1.h"
    assert close(tmp_path).vmlinux == real
    link.unlink()
    for text in ("vmlinux_1.h", '/* see */\n#include "vmlinux_1.h"\n'):
        link.write_text(text)
        assert close(tmp_path).vmlinux == real
    link.write_text('#include "vmlinux_1.h"\nstruct c;\n')
    assert close(tmp_path).vmlinux == link
    link.write_text('#include "vmlinux.h"\n')
    assert close(tmp_path).vmlinux == link
    link.unlink()
    link.symlink_to("gone.h")
    assert close(tmp_path).vmlinux is None


def test_names_of_vmlinux() -> None:
    assert all(map(is_vmlinux, ["vmlinux.h", "a/vmlinux_614.h", "vmlinux-x86.h", "vmlinux.5.10.h", "vmlinux_arm64.h"]))
    assert not any(map(is_vmlinux, ["vmlinux_local.h", "my_vmlinux.h", "vmlinux.c", "vmlinux_flavors.h"]))


def test_a_link_out_of_the_project_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path, {"repo/p.c": '#include "a.h"\n', "a.h": ""})
    (tmp_path / "repo" / "a.h").symlink_to("../a.h")
    found = close(tmp_path / "repo")
    assert [include.name for include in found.missing] == ["a.h"]
    assert not found.files


def test_an_include_cannot_climb_out_of_a_git_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"repo/p.c": '#include "../a.h"\n#include <../a.h>\n', "a.h": "", "repo/inc/b.h": ""})
    found = close(tmp_path / "repo", "p.c", tmp_path / "repo" / "inc")
    assert [include.name for include in found.missing] == ["../a.h", "../a.h"]
    # Without a git tree the current folder is the project, though only the named folder is listed.
    monkeypatch.chdir(tmp_path)
    assert relative(tmp_path, close(tmp_path / "repo").outside) == ["a.h"]
    (tmp_path / "repo" / ".git").mkdir()
    assert not close(tmp_path / "repo").outside


def test_headers_outside_of_the_project(tmp_path: Path) -> None:
    write(tmp_path, {"repo/p.c": "#include <x.h>\n", "sys/x.h": '#include "y.h"\n', "sys/y.h": ""})
    found = close(tmp_path / "repo", "p.c", tmp_path / "sys")
    assert relative(tmp_path, found.outside) == ["sys/x.h", "sys/y.h"]
    assert not found.files


def test_texts_that_are_not_on_disk(tmp_path: Path) -> None:
    write(tmp_path, {"p.c": '#include "a.h"\n', "a.h": "", "b.h": ""})
    changed = Source(tmp_path / "a.h", b'#include "b.h"\n')
    tree = Tree(tmp_path)
    program = Source.read(tmp_path / "p.c")
    assert relative(tmp_path, tree.closure(program).files) == ["a.h"]
    assert relative(tmp_path, tree.closure(program, sources={changed.path: changed}).files) == ["a.h", "b.h"]


def test_headers_are_read_once_and_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"p.c": '#include "a.h"\n', "a.h": "one", "b.h": "two", "c.h": "one"})
    reads: list[str] = []
    real = Source.read
    program = Source.read(tmp_path / "p.c")

    def read(path: Path) -> Source:
        reads.append(path.name)
        return real(path)

    monkeypatch.setattr(Source, "read", read)
    tree = Tree(tmp_path)
    tree.closure(program)
    tree.closure(program)
    digests = {name: tree.digest(tmp_path / name) for name in ("a.h", "b.h", "c.h", "none.h")}
    assert reads == ["a.h", "b.h", "c.h", "none.h"]
    assert digests["a.h"] == digests["c.h"] != digests["b.h"]
    assert digests["none.h"] is None
    assert len(digests["a.h"] or b"") == 16


def test_clang_finds_the_same_headers(tmp_path: Path) -> None:
    """The point of `dirs`: clang, given them, opens just the files of the closure."""
    cindex = pytest.importorskip("clang.cindex")
    write(
        tmp_path,
        {
            "src/p.c": '#include "a.h"\n#include <lib/b.h>\n#include "c.h"\n',
            "one/a.h": '#include "common.h"\n',
            "one/common.h": "",
            "two/lib/b.h": '#include "common.h"\n',
            "two/lib/common.h": "",
            "two/c.h": '#include "common.h"\n',
            "zz/common.h": "",
        },
    )
    found = close(tmp_path, "src/p.c")
    tu = cindex.Index.create().parse(str(tmp_path / "src/p.c"), [f"-I{folder}" for folder in found.dirs])
    assert not list(tu.diagnostics)
    assert {os.path.realpath(include.include.name) for include in tu.get_includes()} == set(map(str, found.files))
