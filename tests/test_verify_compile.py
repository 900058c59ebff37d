"""Compiling: which compiler, which flags, contents that are not on disk, and hostile input."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from conftest import PROGRAMS

from ebpffix.app.config import safe_flags
from ebpffix.verify import CannotVerify
from ebpffix.verify.compile import Clang, CompileError, Object, compile_libbpf, find_clang

PLAIN = b'__attribute__((section("xdp"), used)) int f(void *ctx) { return VALUE; }\n'


@pytest.mark.parametrize(
    "given",
    [
        "-fplugin=evil.so", "-fplugin evil.so", "-mllvm -load=evil.so", "-mllvm=-x", "@flags", "-I @flags",
        "-include-pch x", "-includeevil.pch @x", "-include -pch", "-Xclang -load -Xclang evil.so", "-B/tmp/evil",
        "-o /etc/passwd",
        "--config evil.cfg", "-specs=x", "-wrapper x", "-fuse-ld=x", "-isystem-after x", "-I", "-D", "-target-abi x",
        "-D -fplugin=x", "-c main.c", "-W -O3 -g -MD -MF x",
    ],
)  # fmt: skip
def test_flags_that_are_dropped(given: str) -> None:
    kept = safe_flags(given.split(), Path("/p"), [Path("/p")]).taken
    # What is left cannot be read as a flag: a name for an include, made absolute.
    assert all(flag in ("-include", "-I") or flag.startswith("/p/") for flag in kept)


def fake(folder: Path, name: str, said: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{said}'\n")
    path.chmod(0o755)
    return path


def test_the_newest_compiler_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLANG", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    for version in (14, 19):
        fake(tmp_path, f"clang-{version}", f"Debian clang version {version}.1.2")
    assert find_clang() == Clang(str(tmp_path / "clang-19"), (19, 1, 2))
    fake(tmp_path, "clang", "clang version 15.0.0")
    assert find_clang().version == (15, 0, 0)
    monkeypatch.setenv("CLANG", "clang-14")
    assert find_clang().version == (14, 1, 2)
    assert find_clang(str(tmp_path / "clang")).version == (15, 0, 0)


def test_no_compiler_is_told_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLANG", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotVerify, match=r"no clang on the path; install clang 12 or later"):
        find_clang()
    with pytest.raises(CannotVerify, match="is not clang"):
        find_clang(str(fake(tmp_path, "gcc", "gcc 12")))
    with pytest.raises(CannotVerify, match="is clang 11"):
        find_clang(str(fake(tmp_path, "old", "clang version 11.0.1")))
    with pytest.raises(CannotVerify, match="no such compiler"):
        find_clang("nowhere/clang")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "main.bpf.c").write_bytes(b'#include "sub/one.h"\n' + PLAIN)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/one.h").write_bytes(b'#include "../two #$.h"\n')
    (tmp_path / "two #$.h").write_bytes(b"#define VALUE 1\n")
    return tmp_path


def compiled(path: Path, clang: Clang, **given: object) -> Object:
    made = compile_libbpf(path, clang=clang, **given)  # type: ignore[arg-type]
    assert isinstance(made, Object), str(made)
    return made


def test_inputs(tree: Path, clang: Clang) -> None:
    made = compiled(tree / "main.bpf.c", clang)
    assert made.inputs == {tree / "main.bpf.c", tree / "sub/one.h", tree / "two #$.h"}


def test_headers_that_a_machine_has_elsewhere_or_not_at_all(tmp_path: Path, clang: Clang) -> None:
    """libbpf's by their bare names, and the C library's, which take BPF for a 32-bit machine that nobody has."""
    program = tmp_path / "old_kern.c"
    program.write_bytes(
        b"#include <sys/types.h>\n#include <linux/bpf.h>\n#include <bpf_helpers.h>\n#define VALUE 1\n" + PLAIN
    )
    compiled(program, clang)


def test_overlay_of_a_header_reached_through_folders(tree: Path, clang: Clang) -> None:
    main, header = tree / "main.bpf.c", tree / "two #$.h"
    one, two = compiled(main, clang), compiled(main, clang, overlay={header: b"#define VALUE 2\n"})
    assert one.data != two.data
    assert header.read_bytes() == b"#define VALUE 1\n"
    header.write_bytes(b"#define VALUE 2\n")
    assert compiled(main, clang).data == two.data


def test_overlay_of_the_main_file_and_of_a_new_one(tree: Path, clang: Clang) -> None:
    main = tree / "main.bpf.c"
    made = compiled(main, clang, overlay={main: b'#include "new.h"\n' + PLAIN, tree / "new.h": b"#define VALUE 3\n"})
    assert made.inputs == {main, tree / "new.h"}
    assert not (tree / "new.h").exists()


def test_overlay_behind_symbolic_links(tree: Path, clang: Clang) -> None:
    (tree / "link").symlink_to(tree / "sub")
    (tree / "sub/alias.h").symlink_to("../two #$.h")
    main = tree / "main.bpf.c"
    main.write_bytes(b'#include "link/alias.h"\n' + PLAIN)
    made = compiled(main, clang, overlay={tree / "two #$.h": b"#define VALUE 2\n"})
    (tree / "two #$.h").write_bytes(b"#define VALUE 2\n")
    assert compiled(main, clang).data == made.data
    assert made.inputs == {main, tree / "two #$.h"}


@pytest.mark.parametrize("name", ['q"uote\\.bpf.c', "ümlaut €.bpf.c", "co:lon new\nline.bpf.c"])
def test_overlay_of_odd_names(tmp_path: Path, clang: Clang, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(PLAIN.replace(b"VALUE", b"1"))
    assert compiled(path, clang).data != compiled(path, clang, overlay={path: PLAIN.replace(b"VALUE", b"2")}).data


def test_a_name_that_is_not_utf8_is_told(tmp_path: Path, clang: Clang) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/latin\xe9.bpf.c"))
    path.write_bytes(PLAIN.replace(b"VALUE", b"1"))
    compiled(path, clang)
    made = compile_libbpf(path, clang=clang, overlay={path: PLAIN})
    assert isinstance(made, CompileError)
    assert "the name of a changed file is not UTF-8" in str(made)


def test_compile_error_with_the_files_own_line(tree: Path, clang: Clang) -> None:
    main, header = tree / "main.bpf.c", tree / "two #$.h"
    made = compile_libbpf(main, clang=clang, overlay={header: b"\n\n#define VALUE nothing\n"})
    assert isinstance(made, CompileError)
    assert made.lines[0].startswith(f"{main}:2:")
    assert "error: use of undeclared identifier 'nothing'" in made.lines[0]
    assert any(line.startswith(f"{tree}/sub/../two #$.h:3:") for line in made.lines)


def test_endless_work_is_stopped(tree: Path, clang: Clang) -> None:
    main = tree / "main.bpf.c"
    twice = b"".join(b"#define A%d A%d A%d\n" % (n, n - 1, n - 1) for n in range(1, 64))
    made = compile_libbpf(main, clang=clang, overlay={main: b"#define A0 1 +\n" + twice + b"int x = A63 0;"}, timeout=1)
    assert isinstance(made, CompileError)
    assert made.lines == (f"{main}: error: not compiled within 1 s",)


def test_waiting_for_input_is_stopped(tree: Path, clang: Clang) -> None:
    os.mkfifo(tree / "never.h")
    made = compile_libbpf(tree / "main.bpf.c", clang=clang, args=["-include", f"{tree}/never.h"], timeout=0.5)
    assert isinstance(made, CompileError)


def test_nothing_is_left_behind(tree: Path, clang: Clang, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before = sorted(os.listdir(tree))
    compiled(tree / "main.bpf.c", clang, overlay={tree / "two #$.h": b"#define VALUE 4\n"})
    compile_libbpf(tree / "main.bpf.c", clang=clang, args=["-DVALUE=nothing"])
    compile_libbpf(tree / "main.bpf.c", clang=clang, timeout=0.001)
    assert list(folder.iterdir()) == []
    assert sorted(os.listdir(tree)) == before


def test_an_older_compiler_too(vmlinux_dir: Path) -> None:
    try:
        old = find_clang("clang-14")
    except CannotVerify:
        pytest.skip("no clang-14")
    header = PROGRAMS / "fixes.h"
    changed = header.read_bytes().replace(b"STEP 1", b"STEP 2")
    args = ["-I", str(vmlinux_dir)]
    before = compiled(PROGRAMS / "fixes.bpf.c", old, args=args)
    assert before.data != compiled(PROGRAMS / "fixes.bpf.c", old, args=args, overlay={header: changed}).data
