"""Files that are no files: pipes, devices, links out of the tree, more than any source has."""

from __future__ import annotations

import errno
import os
import re
import struct
import subprocess
from pathlib import Path

import pytest

import ebpffix
from ebpffix.fix import LIBBPF
from ebpffix.frontend.environment import Environment, Options
from ebpffix.report import rejection
from ebpffix.sources import user_space
from ebpffix.sources.discover import discover
from ebpffix.sources.files import list_files
from ebpffix.sources.reader import read_file
from ebpffix.sources.source import Source
from ebpffix.verify.logs import SourceLine

from .support import FINE, MARKER, Attack


def test_a_regular_file_is_read_whole_also_through_links_and_when_its_size_is_made_up(tmp_path: Path) -> None:
    text = os.urandom(3 << 20)
    (tmp_path / "file").write_bytes(text)
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "empty").touch()
    assert read_file(tmp_path / "file") == read_file(tmp_path / "link", within=tmp_path) == text
    assert read_file(tmp_path / "file", len(text)) == text
    assert read_file(tmp_path / "empty") == b""
    assert read_file("/proc/version").startswith(b"Linux version")


def test_what_is_no_regular_file_is_not_even_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", "/dev/tty"):
        with pytest.raises(OSError) as refused:
            read_file(path)
        assert refused.value.strerror == "not a regular file", path
    with pytest.raises(IsADirectoryError):
        read_file(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "none")


def test_more_than_was_asked_for_is_refused_however_large_the_file_says_it_is(tmp_path: Path) -> None:
    os.truncate(os.open(tmp_path / "sparse", os.O_CREAT | os.O_WRONLY), 1 << 40)
    for path, most in ((tmp_path / "sparse", 16 << 20), ("/proc/kallsyms", 1000)):
        with pytest.raises(OSError) as refused:
            read_file(path, most)
        assert refused.value.errno == errno.EFBIG, path


def test_a_link_out_of_the_folder_is_refused_and_one_that_stays_in_it_is_not(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    (tmp_path / "tree2").write_bytes(b"secret")
    (tree / "own").write_bytes(b"own")
    (tree / "below" / "in").symlink_to("../own")
    (tree / "out").symlink_to("../tree2")
    assert read_file(tree / "below" / "in", within=tree) == b"own"
    with pytest.raises(OSError, match="a link out of"):
        read_file(tree / "out", within=tree)


def test_what_a_gitignore_out_of_the_tree_says_is_not_taken(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tmp_path / "patterns").write_text("*.c\n")
    (tree / ".gitignore").symlink_to("../patterns")
    (tree / "own.c").touch()
    assert str(tree / "own.c") in list_files(str(tree)).files


def test_folders_nested_deeper_than_calls_are_walked_and_files_that_are_none_are_told(attack: Attack) -> None:
    deep = attack.tree
    (attack.tree / "fine.bpf.c").write_text(FINE)
    os.chdir(deep)
    for _ in range(1500):
        os.mkdir("d")
        os.chdir("d")
    os.chdir(attack.home)
    os.mkfifo(attack.tree / "pipe.bpf.c")
    os.mkfifo(attack.tree / ".gitignore")
    (attack.tree / "zero.bpf.c").symlink_to("/dev/zero")
    with open(attack.tree / "large.bpf.c", "wb") as file:
        file.truncate(1 << 32)
    done = attack.run()
    subprocess.run(["rm", "-rf", deep / "d"], check=True)  # Python, too, calls itself for each
    assert done.out.count("padded-init") == 1 and "Traceback" not in done.err, done.err
    assert "large.bpf.c: larger than 16 MB" in done.err and done.code == 2
    assert done.seconds < 60


def test_named_pipes_and_devices_are_refused(attack: Attack) -> None:
    os.mkfifo(attack.tree / "pipe.bpf.c")
    os.mkfifo(attack.tree / "pipe.o")
    (attack.tree / "zero.o").symlink_to("/dev/zero")
    (attack.tree / "log").write_text("0: R1=ctx()\n")
    for args in (["pipe.bpf.c"], ["--log", "log", "pipe.o"], ["--log", "log", "zero.o"]):
        done = attack.run(*args)
        assert done.code == 2 and "not a regular file" in done.err, (args, done.err)


READS = """#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_HASH); __type(key, u32); __type(value, u64); } seen SEC(".maps");
SEC("kprobe/f") int prog(struct pt_regs *ctx)
{
    struct task_struct *task = (void *)bpf_get_current_task();
    char text[8];
    u32 key = 0;
    bpf_probe_read(text, 8, task->comm);
    bpf_map_lookup_elem(&seen, &key);
    return 0;
}
char LICENSE[] SEC("license") = "GPL";
"""
BESIDE = (
    "main.c main.cc main.h main.go main.py main.rs main.lua Makefile Makefile.common CMakeLists.txt meson.build "
    "build.rs Kbuild go.mod Cargo.toml pyproject.toml ebpffix.toml .gitignore compile_commands.json "
    ".ebpffix-baseline.json vmlinux vmlinux.h bpf_helpers.h"
).split()


@pytest.mark.parametrize("linked", [False, True], ids=["pipes", "links to pipes"])
def test_a_program_among_pipes_is_read_and_none_of_them_is_waited_for(attack: Attack, linked: bool) -> None:
    os.mkfifo(attack.home / "pipe")
    for name in BESIDE:
        if linked:
            (attack.tree / name).symlink_to(attack.home / "pipe")
        else:
            os.mkfifo(attack.tree / name)
    attack.write({"one.bpf.c": READS})
    done = attack.run(timeout=60)
    assert done.code in (1, 2) and "Traceback" not in done.err, done


def test_files_of_others_are_opened_in_one_place() -> None:
    package = Path(ebpffix.__file__).parent
    opened = {
        str(path.relative_to(package))
        for folder in ("sources", "frontend", "run", "analysis", "editing", "rewriting")
        for path in (package / folder).glob("*.py")
        if re.search(r"(?<![\w.])open\(|\.open\(|\.read_bytes\(|\.read_text\(", path.read_text())
    }
    # What these read is the tool's own, or the kernel's.
    own = {f"frontend/{name}.py" for name in ("declared", "known", "pch")}
    own |= {f"run/{name}.py" for name in ("apart", "cache", "limits", "worker")}
    assert opened - own == {"sources/reader.py"} & opened


def test_an_object_that_names_other_files_as_its_source_shows_none_of_them(attack: Attack, tmp_path: Path) -> None:
    secret, pipe = tmp_path / "credentials", tmp_path / "pipe"
    secret.write_text(f"{MARKER}\n" * 100)
    os.mkfifo(pipe)
    for other in (secret, pipe):
        named = SourceLine(str(other), 3, "")
        assert rejection._text_of(named, [Source(attack.tree / "own.bpf.c", b"own\n")]) == ""
    own = Source(attack.tree / "own.bpf.c", b"one\n  two \n")
    assert rejection._text_of(SourceLine(str(own.path), 2, ""), [own]) == "two"
    assert rejection._text_of(SourceLine(str(own.path), 9, ""), [own]) == ""


def test_an_object_whose_sections_lie_over_each_other_costs_no_memory(attack: Attack) -> None:
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 1, 247, 1, 0, 0, 64, 0, 64, 0, 0, 64, 60_000, 0)
    section = struct.pack("<IIQQQQIIQQ", 0, 1, 0, 0, 0, 4 << 20, 0, 0, 1, 0)
    attack.write(
        {"a.o": head + section * 60_000 + bytes(1 << 20), "log": "0: R1=ctx()\nR1 invalid mem access 'scalar'\n"}
    )
    bounded = "import resource; resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))"
    done = attack.run("--log", "log", "a.o", first=bounded)
    assert done.code == 2 and done.seconds < 30 and done.err.startswith("ebpffix: a.o: "), done
    assert len(done.err.splitlines()) == 1


def test_a_vmlinux_h_that_is_named_and_cannot_be_read_is_one_line(attack: Attack) -> None:
    os.mkfifo(attack.tree / "pipe.h")
    attack.write({"fine.bpf.c": FINE, "huge.h": "", "folder/x": ""})
    os.truncate(attack.tree / "huge.h", 1 << 40)
    for name, why in (("none.h", "no such file or directory"), ("pipe.h", "not a regular file"), ("huge.h", "larger")):
        attack.write({"ebpffix.toml": f'vmlinux = "{name}"\n'})
        done = attack.run()
        assert (done.code, done.out) == (2, ""), done
        assert done.err.startswith(f"ebpffix: {attack.tree / name}: {why}") and done.err.count("\n") == 1, done.err
    attack.write({"ebpffix.toml": ""})
    assert "is a directory" in attack.run("--vmlinux", "folder").err


def test_what_the_kernel_s_types_name_is_read_as_all_else_is(attack: Attack) -> None:
    """A vmlinux.h includes what it likes, and the headers of libbpf that stand beside it are the tree's too."""
    tree = attack.tree
    attack.write({"fine.bpf.c": FINE, "bpf/bpf_helpers.h": "", "huge.h": ""})
    os.truncate(tree / "huge.h", 1 << 40)
    os.mkfifo(tree / "bpf" / "pipe.h")
    beside = '#include "huge.h"\n#include "../../../../../../../proc/kmsg"\n'
    program = Source.read(tree / "fine.bpf.c")
    for text in (beside + "int padding;\n" * 100_000, beside):
        attack.write({"vmlinux.h": text})
        setup = Environment(Options()).setup(program, LIBBPF, [tree], tree / "vmlinux.h", root=tree)
        assert bool(setup.prefix) == (len(text) > 1 << 20)
    os.truncate(tree / "vmlinux.h", 1 << 40)
    assert not Environment(Options()).setup(program, LIBBPF, [tree], tree / "vmlinux.h", root=tree).prefix


def test_a_vmlinux_h_that_names_a_file_out_of_the_tree_is_not_followed(attack: Attack) -> None:
    attack.write({"fine.bpf.c": '#include "vmlinux.h"\n' + FINE, "vmlinux.h": "/proc/kmsg"})
    found = discover([attack.tree]).tree(attack.tree).closure(Source.read(attack.tree / "fine.bpf.c"))
    assert found.vmlinux == attack.tree / "vmlinux.h"


def test_user_space_is_read_as_all_else_is(attack: Attack) -> None:
    tree = attack.tree
    os.mkfifo(tree / "pipe")
    (tree / "link.py").symlink_to("pipe")
    attack.write({"long.c": b"x" * (1 << 20) + b"]=1 maps.late", "own.c": "skel->maps.mine; x[0] = 1;", "out/of": ""})
    (tree / "out.c").symlink_to(attack.home / "out.c")
    (attack.home / "out.c").write_text("skel->maps.foreign; x[0] = 1;")
    files = [str(tree / name) for name in ("link.py", "long.c", "out.c", "own.c", "pipe")]
    assert user_space.Project(files).beside(tree / "one.bpf.c", ()).writes == ("mine",)


def test_settings_cost_time_that_grows_with_them(attack: Attack) -> None:
    attack.write({"fine.bpf.c": FINE, "ebpffix.toml": "a." * 100_000 + "b = 1\n"})
    done = attack.run()
    assert done.code == 2 and done.err.endswith("a line with over a thousand dots; write it as several\n"), done.err
    attack.write({"ebpffix.toml": "#" + "." * 900 + "\nselect = []\n"})
    assert attack.run().code == 1
