"""The first day in an old tree: what is left out, what makes a run fail, what is asked before it runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import PROGRAM, ebpffix, git

NAME = "src/count.bpf.c"


# -- what is left out


def test_exclude(tree: Path) -> None:
    assert ebpffix("--exclude", "src/", cwd=tree).code == 0
    assert ebpffix("--exclude", "other/", cwd=tree).code == 1
    assert ebpffix("--exclude", "src/", NAME, cwd=tree).code == 1  # a file that is named counts
    assert ebpffix("--exclude", "src/", "--force-exclude", NAME, cwd=tree).code == 0
    assert ebpffix("--exclude", "other/", "--force-exclude", NAME, cwd=tree).code == 1
    wrong = ebpffix("--exclude", "", cwd=tree)
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)


def test_exclude_of_the_configuration_is_forced_too(tree: Path) -> None:
    (tree / "ebpffix.toml").write_text('exclude = ["src/"]\n')
    assert ebpffix(NAME, cwd=tree).code == 1
    assert ebpffix("--force-exclude", NAME, cwd=tree).code == 0
    piped = ebpffix("--force-exclude", "--apply", "-", "--stdin-filename", NAME, cwd=tree, text=PROGRAM)
    assert (piped.code, piped.out.encode()) == (0, PROGRAM)
    assert ebpffix("--exclude", "other/", cwd=tree).code == 1  # a flag beats it


def test_per_file_ignores(tree: Path) -> None:
    config = tree / "ebpffix.toml"
    config.write_text('[per-file-ignores]\n"src/*.c" = ["padded-init"]\n"other/" = ["redundant-map-update"]\n')
    assert ebpffix(cwd=tree).code == 1
    config.write_text('[per-file-ignores]\n"src/*.c" = ["redundant-map-update", "map-size"]\n')
    assert ebpffix(cwd=tree).code == 0
    assert ebpffix("--diff", cwd=tree).out == ""
    assert "no findings" in ebpffix("--write-baseline", "b.json", cwd=tree).out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[per-file-ignores]\n"src/" = ["paded-init"]\n', "did you mean 'padded-init'?"),
        ('per-file-ignores = ["x"]\n', "must be a table"),
        ('[per-file-ignores]\n"" = ["padded-init"]\n', "is no pattern"),
        ('exclud = ["x"]\n', "did you mean 'exclude'?"),
        ('colour = "x"\n', "known are select"),
    ],
)
def test_a_configuration_that_is_wrong(tree: Path, text: str, said: str) -> None:
    (tree / "ebpffix.toml").write_text(text)
    done = ebpffix(cwd=tree)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert said in done.err


def test_did_you_mean(tree: Path) -> None:
    assert "did you mean 'map-size'?" in ebpffix("--select", "mapsize", cwd=tree).err
    assert "did you mean 'map-size'?" in ebpffix("--explain", "map_size", cwd=tree).err
    assert "--apply" in ebpffix("--aply", cwd=tree).err


# -- what makes a run fail


def test_exit_zero(tree: Path) -> None:
    done = ebpffix("--exit-zero", cwd=tree)
    assert done.code == 0 and "redundant-map-update" in done.out
    assert ebpffix("--exit-zero", "nowhere", cwd=tree).code == 2


def test_fail_on(tree: Path) -> None:
    assert ebpffix("--fail-on", "safe", cwd=tree).code == 1
    (tree / NAME).write_bytes(PROGRAM.replace(b"BPF_MAP_TYPE_HASH", b"BPF_MAP_TYPE_LRU_HASH"))
    done = ebpffix(cwd=tree)
    assert done.code == 1 and "[suggested]" in done.out
    assert ebpffix("--fail-on", "safe", cwd=tree).code == 0
    assert ebpffix("--fail-on", "safe", "--diff", "--unsafe-fixes", cwd=tree).code == 0
    assert ebpffix("--diff", "--unsafe-fixes", cwd=tree).code == 1


def test_quiet(tree: Path) -> None:
    done = ebpffix("-q", cwd=tree)
    assert (done.code, done.err) == (1, "")
    assert "redundant-map-update" in done.out and "eBPF file" not in done.out
    assert ebpffix("-q", "--diff", cwd=tree).err == ""
    assert "nowhere" in ebpffix("-q", "nowhere", cwd=tree).err
    assert ebpffix("-q", "-v", cwd=tree).code == 2


def test_files_without_ebpf_are_passed_over_in_hooks(tree: Path) -> None:
    (tree / "main.c").write_text("int main(void) { return 0; }\n")
    alone = ebpffix("main.c", cwd=tree)
    assert alone.code == 0 and "main.c: no eBPF C in it" in alone.err
    for args in (["main.c", NAME], ["--force-exclude", "main.c"], ["-q", "main.c"]):
        assert "no eBPF C" not in ebpffix(*args, cwd=tree).err


@pytest.mark.parametrize("text", [b"", b"\n"])
def test_an_empty_buffer_is_fine(tree: Path, text: bytes) -> None:
    for args in ([], ["--diff"], ["--apply"]):
        done = ebpffix(*args, "-", cwd=tree, text=text)
        assert done.code == 0 and "ebpffix:" not in done.err, done
    assert ebpffix("--apply", "-", cwd=tree, text=text).out.encode() == text


# -- what is asked before it runs


def test_diff_base_is_of_the_repository_of_the_path(tree: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert ebpffix("--diff-base", "HEAD", tree, cwd=elsewhere).code == 0
    (tree / NAME).write_bytes(PROGRAM.replace(b"BPF_ANY", b"0"))
    assert ebpffix("--diff-base", "HEAD", tree, cwd=elsewhere).code == 1
    git("init", "-q", cwd=elsewhere)
    assert ebpffix("--diff-base", "HEAD", tree / NAME, cwd=elsewhere).code == 1
    assert ebpffix("--diff-base", "HEAD", cwd=elsewhere).code == 2


def test_show_files(tree: Path) -> None:
    (tree / "main.c").write_text("int main(void) { return 0; }\n")
    done = ebpffix("--show-files", cwd=tree)
    assert (done.code, done.out) == (0, f"{NAME} (libbpf)\n")
    assert ebpffix("--show-files", "--exclude", "src/", cwd=tree).out == ""


def test_show_settings(tree: Path) -> None:
    text = 'ignore = ["map-size"]\nexclude = ["vendor/"]\nper-file-ignores = { "a.c" = ["map-size"] }\n'
    (tree / "ebpffix.toml").write_text(text)
    done = ebpffix("--show-settings", "--target-kernel", "5.15", cwd=tree)
    lines = done.out.splitlines()
    assert (done.code, lines[0]) == (0, "# from ebpffix.toml")
    for line in (*text.splitlines(), 'target-kernel = "5.15"', "unsafe-fixes = false"):
        assert line in lines
    (tree / "ebpffix.toml").write_text(done.out)
    assert ebpffix("--show-settings", cwd=tree).out == done.out  # it can be read back


def test_clean_cache_removes_what_ebpffix_keeps_and_nothing_else(tree: Path, tmp_path: Path) -> None:
    env = {"EBPFFIX_CACHE_DIR": str(tmp_path / "cache")}
    ebpffix(cwd=tree, env=env)
    mine = tmp_path / "cache" / "mine"
    mine.write_text("x")
    assert (tmp_path / "cache" / "results").is_dir()
    assert ebpffix("--clean-cache", cwd=tree, env=env).out.endswith(": emptied\n")
    assert list((tmp_path / "cache").iterdir()) == [mine]
    assert "nothing was kept" in ebpffix("--clean-cache", cwd=tree, env=env).out
