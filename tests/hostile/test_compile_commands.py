"""Flags and configuration of a stranger: no plugin is loaded, no file of arguments read, nothing elsewhere named."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from ebpffix.app.config import safe_flags
from ebpffix.verify.compile import Clang, CompileError, compile_libbpf

from .support import Attack
from .support_b import PROGRAM

WAYS = [
    ["-include", "@evil.rsp"], ["-include@evil.rsp"], ["@evil.rsp"], ["-I", "@evil.rsp"], ["-isystem", "@evil.rsp"],
    ["-iquote", "@evil.rsp"], ["-D", "@evil.rsp"], ["-U", "@evil.rsp"], ["-target", "@evil.rsp"], ["-std=@evil.rsp"],
    ["-include", "-fplugin=./evil.so"], ["-I", "-fplugin=./evil.so"], ["-D", "-fplugin=./evil.so"],
    ["-fplugin=./evil.so"], ["-Xclang", "-load", "-Xclang", "./evil.so"], ["-include", "@evil.rsp", "@evil.rsp"],
]  # fmt: skip


def evil(attack: Attack, flags: list[str]) -> Attack:
    entry = {"directory": str(attack.tree), "file": "prog.bpf.c", "arguments": ["clang", *flags, "prog.bpf.c"]}
    attack.write({"prog.bpf.c": PROGRAM, "compile_commands.json": json.dumps([entry])})
    # clang names the plugin that it cannot load: that it was asked to is the mark.
    return attack.write({"evil.rsp": "-fplugin=./evil.so", "evil.so": "", "@evil.rsp": "-fplugin=./evil.so"})


@pytest.mark.parametrize("flags", WAYS, ids=" ".join)
def test_no_flag_reads_more_flags(attack: Attack, flags: list[str]) -> None:
    evil(attack, flags)
    made = safe_flags(flags, attack.tree, [attack.tree])
    assert not any(word.startswith("@") or "plugin" in word for word in made.taken), made


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["@evil.rsp"], "a file of arguments"),
        (["-include", "@evil.rsp"], "reads as another flag"),
        (["-D", "@evil.rsp"], "reads as another flag"),
        (["-I", "-fplugin=./evil.so"], "reads as another flag"),
    ],
)
def test_what_would_read_more_flags_is_told(attack: Attack, flags: list[str], why: str) -> None:
    made = safe_flags(flags, evil(attack, flags).tree, [attack.tree])
    assert made == ([], [f"{' '.join(flags)} ({why})"])


@pytest.mark.skipif(not shutil.which("clang") and not shutil.which("clang-19"), reason="no clang")
@pytest.mark.parametrize("flags", [["-include", "@evil.rsp"], ["-I", "@evil.rsp"], ["@evil.rsp"]], ids=" ".join)
def test_the_real_command_loads_no_plugin(attack: Attack, flags: list[str]) -> None:
    done = evil(attack, flags).run("--diff", "--verify")
    assert done.code == 1, done
    assert not done.holds("evil.so"), done
    assert "left out" in done.err and "@evil.rsp" in done.err


def test_clang_is_started_with_no_such_word_whoever_asks(tmp_path: Path) -> None:
    program, clang = tmp_path / "a.bpf.c", shutil.which("true") or "/bin/true"
    program.write_bytes(PROGRAM)
    made = compile_libbpf(program, clang=Clang(clang, (19, 0, 0)), args=["-include", "@evil.rsp"])
    assert isinstance(made, CompileError) and "no argument may begin with @" in str(made)


def test_paths_stay_in_the_project(attack: Attack, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "keys.h").write_text("int key;\n")
    (attack.tree / "link").symlink_to(tmp_path / "private")
    os.mkfifo(attack.tree / "pipe.h")
    (attack.tree / "zero.h").symlink_to("/dev/zero")
    for value in ("../private", str(tmp_path / "private"), "link", "/proc/self/cwd", "/root", "/etc", "/dev"):
        made = safe_flags(["-I", value, "-isystem", value, "-iquote", value], attack.tree, [attack.tree])
        assert made.taken == [] and len(made.left_out) == 3, (value, made)
    for value in ("../private/keys.h", "link/keys.h", "/etc/passwd", "pipe.h", "zero.h", "/dev/stdin", "none.h", "."):
        made = safe_flags(["-include", value], attack.tree, [attack.tree])
        assert made.taken == [] and len(made.left_out) == 1, (value, made)


@pytest.mark.parametrize("key", ["include", "vmlinux", "btf", "compile-commands", "baseline"])
@pytest.mark.parametrize("value", ["../private", "/etc/passwd", "link"])
def test_configuration_names_nothing_elsewhere(attack: Attack, tmp_path: Path, key: str, value: str) -> None:
    (tmp_path / "private").mkdir()
    (attack.tree / "link").symlink_to(tmp_path / "private")
    text = f'["{value}"]' if key == "include" else f'"{value}"'
    done = attack.write({"prog.bpf.c": PROGRAM, "ebpffix.toml": f"{key} = {text}\n", ".git/HEAD": ""}).run()
    assert done.code == 2 and "lies outside of the project" in done.err and done.err.count("\n") == 1, done


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("kind", ["file", "link"])
def test_configuration_of_another_user_above_the_project(attack: Attack, kind: str) -> None:
    attack.write({"mine/prog.bpf.c": PROGRAM, "evil.toml": 'ignore = ["redundant-map-update"]\n'})
    config = attack.tree / "ebpffix.toml"
    config.symlink_to("evil.toml") if kind == "link" else shutil.copy(attack.tree / "evil.toml", config)
    assert "redundant-map-update" not in attack.run("mine").out  # it counts, as long as it is ours
    os.chown(config, 65534, 65534, follow_symlinks=False)
    done = attack.run("mine")
    assert done.code == 1 and "redundant-map-update" in done.out, done
    assert f"{config}: belongs to another user, so it is not read" in done.err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_repository_of_another_user_around_the_project(attack: Attack) -> None:
    """Its folder would be the root, and all in it the project's own."""
    attack.write({"mine/prog.bpf.c": PROGRAM, ".git/HEAD": "", "compile_commands.json": "no JSON"})
    os.chown(attack.tree / ".git", 65534, 65534)
    os.chown(attack.tree / "compile_commands.json", 65534, 65534)
    done = attack.run("mine")
    assert done.code == 1 and "compile_commands" not in done.err, done
