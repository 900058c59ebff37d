"""The command as users type it: streams, exit codes, one clear line for what is wrong."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support import CACHE, FIXED, PROGRAM, UPDATE, cases, ebpffix, git

from ebpffix.app import cli
from ebpffix.app.cli import command
from ebpffix.report.rejection import _text_of
from ebpffix.rewriting.patch import changed_lines
from ebpffix.shown import visible
from ebpffix.sources.discover import Discovery, discover
from ebpffix.sources.source import Source
from ebpffix.verify.compile import Clang
from ebpffix.verify.logs import SourceLine

# -- modes


def test_list(tree: Path) -> None:
    done = ebpffix("--output-format", "concise", cwd=tree)
    assert done.code == 1
    (line,) = (line for line in done.out.splitlines() if ".bpf.c" in line)
    assert line.startswith("src/count.bpf.c:20:2: redundant-map-update: ")
    assert line.endswith("[safe]")
    assert done.out.endswith("1 finding (1 safe); 1 eBPF file: 1 analysed\n")


def test_nothing_found(tree: Path) -> None:
    (tree / "src" / "count.bpf.c").write_bytes(FIXED)
    assert ebpffix(cwd=tree).code == 0
    done = ebpffix("--diff", cwd=tree)
    assert (done.code, done.out) == (0, "")


@pytest.mark.parametrize("where", [".", "src"])
def test_diff_through_git_is_what_apply_writes(tree: Path, where: str) -> None:
    done = ebpffix("--diff", cwd=tree / where)
    assert done.code == 1
    assert (tree / "src" / "count.bpf.c").read_bytes() == PROGRAM
    subprocess.run(["git", "apply"], cwd=tree / where, input=done.out.encode("latin-1"), check=True)
    assert (tree / "src" / "count.bpf.c").read_bytes() == FIXED


def test_apply_and_again(tree: Path) -> None:
    done = ebpffix("--apply", cwd=tree)
    assert done.code == 0
    assert done.out.endswith("[safe] applied\n")
    assert (tree / "src" / "count.bpf.c").read_bytes() == FIXED
    assert ebpffix("--apply", cwd=tree).out == ""
    assert ebpffix("--diff", cwd=tree).code == 0


def test_apply_keeps_modes_and_links(tree: Path) -> None:
    real = tree / "src" / "count.bpf.c"
    real.chmod(0o755)
    (tree / "link.bpf.c").symlink_to("src/count.bpf.c")
    ebpffix("--apply", cwd=tree)
    assert stat.S_IMODE(real.stat().st_mode) == 0o755
    assert (tree / "link.bpf.c").is_symlink()
    assert real.read_bytes() == FIXED
    assert sorted(p.name for p in (tree / "src").iterdir()) == ["count.bpf.c"]


def test_stdin(tree: Path) -> None:
    done = ebpffix("--apply", "-", "--stdin-filename", "src/count.bpf.c", cwd=tree, text=PROGRAM)
    assert (done.code, done.out.encode()) == (0, FIXED)
    done = ebpffix("--diff", "-", "--stdin-filename", "src/new.bpf.c", cwd=tree, text=PROGRAM)
    assert done.code == 1
    assert "+++ b/src/new.bpf.c" in done.out
    done = ebpffix("-", cwd=tree, text=PROGRAM)
    assert done.out.startswith("stdin.bpf.c:20:2: ")


def test_stdin_that_is_no_ebpf_comes_out_as_it_went_in(tree: Path) -> None:
    text = b"int main(void) { return 0; }\n"
    done = ebpffix("--apply", "-", "--stdin-filename", "main.c", cwd=tree, text=text)
    assert (done.code, done.out.encode()) == (0, text)


def test_format_patch(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "patches"
    done = ebpffix("--format-patch", out, cwd=tree)
    assert done.code == 1
    (patch,) = out.iterdir()
    git("am", patch, cwd=tree)
    assert (tree / "src" / "count.bpf.c").read_bytes() == FIXED
    assert git("log", "-1", "--format=%s", cwd=tree).strip() == "count: do not write back what a lookup returned"
    assert "ebpffix (redundant-map-update: " in git("log", "-1", "--format=%b", cwd=tree)


def test_format_patch_signed_off(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "patches"
    git("config", "user.name", "Ada L", cwd=tree)
    git("config", "user.email", "ada@example.org", cwd=tree)
    ebpffix("--format-patch", out, "--signoff", cwd=tree)
    git("am", *out.iterdir(), cwd=tree)
    trailers = git("log", "-1", "--format=%(trailers:key=Signed-off-by)", cwd=tree)
    assert trailers.strip() == "Signed-off-by: Ada L <ada@example.org>"
    assert "goes with" in ebpffix("--signoff", cwd=tree).err
    assert max(map(len, git("log", "-1", "--format=%b", cwd=tree).splitlines())) <= 72
    (out / "0007-other.patch").write_text("x")
    git("reset", "-q", "--hard", "HEAD~1", cwd=tree)
    done = ebpffix("--format-patch", out, cwd=tree)
    assert (done.code, done.err.count("\n")) == (2, 1) and "holds other patches already" in done.err


@pytest.mark.slow
def test_all_fixtures_as_one_tree(tmp_path: Path) -> None:
    """The diff over every fixture at once, put through git, gives what --apply writes."""
    for case in cases():
        for name, data in case.files.items():
            path = tmp_path / "tree" / case.transform / case.name / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    tree = tmp_path / "tree"
    git("init", "-q", cwd=tree)
    git("add", "-A", cwd=tree)
    diff = ebpffix("--diff", "--unsafe-fixes", cwd=tree)
    assert diff.code == 1, diff.err
    subprocess.run(["git", "apply"], cwd=tree, input=diff.out.encode("latin-1"), check=True)
    by_git = {path: path.read_bytes() for path in sorted(tree.rglob("*.[ch]"))}
    git("checkout", "-q", "--", ".", cwd=tree)
    ebpffix("--apply", "--unsafe-fixes", cwd=tree)
    assert {path: path.read_bytes() for path in sorted(tree.rglob("*.[ch]"))} == by_git
    assert ebpffix("--diff", "--unsafe-fixes", cwd=tree).out == ""
    assert changed_lines(diff.out)


# -- choosing


def test_select_and_ignore(tree: Path) -> None:
    assert ebpffix("--select", "padded-init", cwd=tree).code == 0
    assert ebpffix("--ignore", "redundant-map-update", cwd=tree).code == 0
    assert ebpffix("--select", "redundant-map-update,padded-init", cwd=tree).code == 1


def test_suppression(tree: Path) -> None:
    line = b"\t// ebpffix: ignore[redundant-map-update]\n" + UPDATE
    (tree / "src" / "count.bpf.c").write_bytes(PROGRAM.replace(UPDATE, line))
    assert ebpffix(cwd=tree).code == 0


def test_config_file_and_flag_over_it(tree: Path) -> None:
    (tree / "ebpffix.toml").write_text('ignore = ["redundant-map-update"]\n')
    assert ebpffix(cwd=tree).code == 0
    (tree / "ebpffix.toml").unlink()
    (tree / "pyproject.toml").write_text('[tool.ebpffix]\nselect = ["padded-init"]\n')
    assert ebpffix(cwd=tree).code == 0
    assert ebpffix("--select", "redundant-map-update", cwd=tree).code == 1


def test_changed_lines(tree: Path) -> None:
    path = tree / "src" / "count.bpf.c"
    path.write_bytes(PROGRAM.replace(b"char LICENSE", b"\nchar LICENSE"))
    diff = git("diff", cwd=tree)
    (tree / "away.diff").write_text(diff)
    assert ebpffix("--changed-lines", "away.diff", cwd=tree).code == 0
    assert ebpffix("--diff-base", "HEAD", cwd=tree).code == 0
    path.write_bytes(PROGRAM.replace(b"BPF_ANY", b"0"))
    (tree / "here.diff").write_text(git("diff", cwd=tree))
    assert ebpffix("--changed-lines", "here.diff", cwd=tree).code == 1
    assert ebpffix("--diff-base", "HEAD", cwd=tree / "src").code == 1


# -- reports


def test_json(tree: Path) -> None:
    done = ebpffix("--output-format", "json", cwd=tree)
    report = json.loads(done.out)
    assert done.code == 1
    assert report["version"] == 1
    assert report["files"] == [
        {
            "path": "src/count.bpf.c",
            "dialect": "libbpf",
            "status": "analysed",
            "encoding": "utf-8",
            "notes": report["files"][0]["notes"],
        }
    ]
    (finding,) = report["findings"]
    start = PROGRAM.index(UPDATE)
    assert (finding["line"], finding["column"], finding["safety"]) == (20, 2, "safe")
    assert finding["edits"] == [{"path": "src/count.bpf.c", "start": start, "end": start + len(UPDATE), "text": ""}]
    assert finding["hunks"] == [
        {"path": "src/count.bpf.c", "start_line": 20, "end_line": 20, "old": [UPDATE.decode()], "new": []}
    ]
    assert finding["proof"] is None
    assert len(report["head_sha"]) == 40


def test_json_is_the_same_for_diff_and_names_what_apply_did(tree: Path) -> None:
    listed = json.loads(ebpffix("--output-format", "json", cwd=tree).out)
    diffed = json.loads(ebpffix("--diff", "--output-format", "json", cwd=tree).out)
    assert diffed["findings"] == listed["findings"]
    applied = json.loads(ebpffix("--apply", "--output-format", "json", cwd=tree).out)
    assert applied["findings"] == listed["findings"]
    assert (tree / "src" / "count.bpf.c").read_bytes() == FIXED


def test_json_without_git(tree: Path) -> None:
    done = ebpffix("--output-format", "json", cwd=tree, env={"PATH": str(tree)})
    assert (done.code, json.loads(done.out)["head_sha"]) == (1, "")


def test_what_cannot_be_written_is_not_called_fixed(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ebpffix.app.writing.replace_content", full)
    monkeypatch.chdir(tree)
    monkeypatch.setenv("EBPFFIX_CACHE_DIR", str(CACHE))
    done = CliRunner().invoke(command, ["--apply", "."])
    assert done.exit_code == 2
    assert (tree / "src" / "count.bpf.c").read_bytes() == PROGRAM
    assert "cannot be written: No space left on device" in done.stderr
    assert "0 fixes in 0 files made" in done.stderr
    assert "applied" not in done.stdout and done.stdout.startswith("src/count.bpf.c:20:2: redundant-map-update [safe]")


def test_standard_input_has_the_settings_of_its_name(tree: Path) -> None:
    (tree / "src" / "ebpffix.toml").write_text('ignore = ["redundant-map-update"]\n')
    assert ebpffix("-", "--stdin-filename", "src/count.bpf.c", cwd=tree, text=PROGRAM).code == 0
    assert ebpffix("-", cwd=tree, text=PROGRAM).code == 1


@pytest.mark.parametrize("to", ["> /dev/full", ">&-"])
def test_standard_output_that_cannot_be_written(tree: Path, to: str) -> None:
    env = os.environ | {"EBPFFIX_CACHE_DIR": str(CACHE)}
    command = f"'{sys.executable}' -m ebpffix --diff . {to}"
    done = subprocess.run(["sh", "-c", command], cwd=tree, env=env, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("ebpffix: standard output")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("mode", [(), ("--format-patch", "patches"), ("--watch",)])
def test_compile_commands_that_cannot_be_read(tree: Path, mode: tuple[str, ...]) -> None:
    (tree / "compile_commands.json").write_text("[{}]")
    done = ebpffix(*mode, cwd=tree)
    assert (done.code, done.err.count("compile_commands.json: entry 1 needs")) == (2, 1)


@pytest.mark.parametrize("define", ["1+", "A B", "", "A=1\n#define B"])
def test_define_that_is_none(tree: Path, define: str) -> None:
    done = ebpffix("-D", define, cwd=tree)
    assert (done.code, done.err) == (2, f"ebpffix: {define!r} is neither NAME nor NAME=VALUE\n")


def test_output_file_that_cannot_be_written(tree: Path) -> None:
    for given in ("nowhere/report.json", "src"):
        done = ebpffix("--diff", "--output-format", "json", "--output-file", given, cwd=tree)
        assert (done.code, done.err.count(f"ebpffix: --output-file {given}: ")) == (2, 1)
        assert done.out.startswith("diff --git ")


def test_output_file_leaves_the_diff_where_it_is(tree: Path) -> None:
    done = ebpffix("--diff", "--output-format", "json", "--output-file", "report.json", cwd=tree)
    assert done.out.startswith("diff --git")
    assert json.loads((tree / "report.json").read_text())["findings"]


def test_fingerprint_survives_a_line_above(tree: Path) -> None:
    before = json.loads(ebpffix("--output-format", "json", cwd=tree).out)["findings"][0]
    (tree / "src" / "count.bpf.c").write_bytes(b"// moved\n" + PROGRAM)
    after = json.loads(ebpffix("--output-format", "json", cwd=tree).out)["findings"][0]
    assert before["line"] + 1 == after["line"]
    assert before["fingerprint"] == after["fingerprint"]


def test_statistics(tree: Path) -> None:
    table = ebpffix("--statistics", cwd=tree).out.splitlines()
    assert [line.split() for line in table] == [
        ["transform", "safe", "suggested", "advice", "total"],
        ["redundant-map-update", "1", "0", "0", "1"],
        ["all", "1", "0", "0", "1"],
    ]
    with_diff = ebpffix("--diff", "--statistics", cwd=tree)
    assert "transform" in with_diff.err and "transform  " not in with_diff.out
    none = ebpffix("--statistics", "--select", "padded-init", cwd=tree)
    assert (none.code, none.out.splitlines()[1].split()) == (0, ["all", "0", "0", "0", "0"])


def test_colour(tree: Path) -> None:
    assert "\x1b[" in ebpffix("--color", "always", cwd=tree).out
    assert "\x1b[" not in ebpffix(cwd=tree).out


def test_explain_and_list(tree: Path) -> None:
    page = ebpffix("--explain", "redundant-map-update", cwd=tree).out
    assert page.startswith("redundant-map-update")
    assert "redundant-map-update" in ebpffix("--transforms", cwd=tree).out


# -- what is wrong


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nowhere"], "nowhere"),
        (["--select", "nonsense"], "nonsense"),
        (["--explain", "nonsense"], "nonsense"),
        (["--target-kernel", "five"], "five"),
        (["--vmlinux", "no.h"], "no.h"),
        (["--btf", "no.btf"], "no.btf"),
        (["-I", "no-folder"], "no-folder"),
        (["--compile-commands", "no.json"], "no.json"),
        (["--changed-lines", "no.diff"], "no.diff"),
        (["--diff-base", "no-such-rev"], "no-such-rev"),
        (["--diff", "--format-patch", "d"], "--format-patch"),
        (["-", "src"], "-"),
        (["--stdin-filename", "x.c"], "--stdin-filename"),
        (["--diff", "--watch"], "--watch"),
        (["--no-such-flag"], "--no-such-flag"),
        (["--jobs", "0"], "--jobs"),
    ],
)
def test_one_clear_line_and_exit_2(tree: Path, args: list[str], said: str) -> None:
    done = ebpffix(*args, cwd=tree)
    assert done.code == 2
    assert done.out == ""
    assert said in done.err
    assert done.err.count("\n") == 1


def test_diff_and_apply_exclude_each_other(tree: Path) -> None:
    done = ebpffix("--diff", "--apply", cwd=tree)
    assert done.code == 2
    assert (tree / "src" / "count.bpf.c").read_bytes() == PROGRAM


def test_bad_configuration(tree: Path) -> None:
    (tree / "ebpffix.toml").write_text("select = [\n")
    done = ebpffix(cwd=tree)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "ebpffix.toml" in done.err


def test_missing_path_beside_a_good_one(tree: Path) -> None:
    done = ebpffix("src", "nowhere", cwd=tree)
    assert done.code == 2
    assert "redundant-map-update" in done.out


def test_a_btf_file_that_is_none(tree: Path) -> None:
    (tree / "bad.btf").write_bytes(b"nothing")
    done = ebpffix("--btf", "bad.btf", cwd=tree)
    assert done.code == 2
    assert "bad.btf" in done.err


def test_a_full_pipe_is_no_error(tree: Path) -> None:
    command = f"{sys.executable} -m ebpffix --diff | true"
    done = subprocess.run(command, shell=True, cwd=tree, capture_output=True)
    assert done.stderr.count(b"Traceback") == 0


def test_without_cache_nothing_is_kept(tree: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    done = ebpffix("--no-cache", cwd=tree, env={"EBPFFIX_CACHE_DIR": str(home / "cache"), "HOME": str(home)})
    assert done.code == 1
    assert not list(home.rglob("*"))


def test_a_cache_that_cannot_be_written_costs_time_alone(tree: Path) -> None:
    done = ebpffix(cwd=tree, env={"EBPFFIX_CACHE_DIR": "/proc/no-such-folder"})
    assert done.code == 1
    assert "redundant-map-update" in done.out


# -- proof


def test_verify_names_the_verdict_and_the_diff_still_applies(tree: Path, verifier: None, compiled: object) -> None:
    done = ebpffix("--diff", "--verify", cwd=tree)
    assert done.code == 1
    assert done.out.startswith("# redundant-map-update: still-accepted: count accepted, ")
    assert "1  still-accepted" in done.err
    subprocess.run(["git", "apply"], cwd=tree, input=done.out.encode("latin-1"), check=True)
    assert (tree / "src" / "count.bpf.c").read_bytes() == FIXED


def test_verify_in_json(tree: Path, verifier: None) -> None:
    report = json.loads(ebpffix("--verify", "--output-format", "json", cwd=tree).out)
    proof = report["findings"][0]["proof"]
    assert proof["verdict"] == "still-accepted"
    assert proof["kernel"] == os.uname().release
    (program,) = proof["programs"]
    assert (program["name"], program["before"], program["after"]) == ("count", "accepted", "accepted")
    assert program["insns_after"] < program["insns_before"]


def test_step(tree: Path, verifier: None) -> None:
    other = PROGRAM.replace(b"count(", b"again(").replace(b"counts", b"others")
    (tree / "src" / "other.bpf.c").write_bytes(other)
    done = ebpffix("--apply", "--verify", "--step", cwd=tree)
    assert done.code == 0
    assert [line[:3] for line in done.out.splitlines()[::2]] == ["1/2", "2/2"]
    assert done.out.count("still-accepted") == 2
    assert (tree / "src" / "count.bpf.c").read_bytes() == FIXED


def test_verify_without_a_compiler_is_told_once(tree: Path) -> None:
    (tree / "src" / "other.bpf.c").write_bytes(PROGRAM)
    done = ebpffix("--diff", "--verify", "--clang", "/nowhere/clang", cwd=tree)
    assert done.code == 1
    assert done.out.startswith("diff --git")
    assert done.err.count("/nowhere/clang") == 1
    report = json.loads(ebpffix("--verify", "--clang", "/nowhere/clang", "--output-format", "json", cwd=tree).out)
    assert [f["proof"] for f in report["findings"]] == [None, None]


@pytest.mark.parametrize("args", [["--step"], ["--cap-bpf"], ["--clang", "clang"], ["--verify", "--step"]])
def test_flags_that_need_others(tree: Path, args: list[str]) -> None:
    done = ebpffix(*args, cwd=tree)
    assert (done.code, done.out) == (2, "")
    assert "goes with" in done.err


def test_log(tree: Path) -> None:
    folder = Path(__file__).parent.parent / "fixtures" / "logs" / "null-check"
    (log,) = (p for p in sorted(folder.glob("*.6.18.log"))[:1])
    done = ebpffix("--log", log, folder, cwd=tree)
    assert done.code == 1
    assert "[null-check]" in done.out
    assert "// refused" in done.out
    piped = ebpffix("--log", "-", folder, cwd=tree, text=log.read_bytes())
    assert piped.out == done.out
    nothing = ebpffix("--log", "-", cwd=tree, text=b"0: (95) exit\nprocessed 1 insns (limit 1000000)\n")
    assert (nothing.code, nothing.out) == (0, "No refused load in this log.\n")
    assert ebpffix("--log", "no.log", cwd=tree).code == 2


@pytest.mark.parametrize("text", [b"", b"all is well\n", b"\x7fELF\x00\xff" * 50, b"int main(void)\n{\n}\n"])
def test_log_that_is_none(tree: Path, text: bytes) -> None:
    (tree / "x.log").write_bytes(text)
    for given, called in (("x.log", "x.log"), ("-", "standard input")):
        done = ebpffix("--log", given, cwd=tree, text=text)
        assert (done.code, done.out) == (2, "")
        assert done.err == (
            f"ebpffix: {called}: no verifier log in it; give what libbpf, bpftool or BCC printed when the load failed\n"
        )


@pytest.fixture
def object_of(tree: Path, clang: Clang) -> Callable[..., str]:
    """Compiles a program in the tree, and says its relative name."""

    def compiled(text: str, *flags: str) -> str:
        (tree / "two.bpf.c").write_text(text)
        command = [clang.path, "-O2", "-target", "bpf", *flags, "-c", "two.bpf.c", "-o", "two.bpf.o"]
        subprocess.run(command, cwd=tree, check=True, timeout=60)
        return "two.bpf.o"

    return compiled


TWO = """#define SEC(name) __attribute__((section(name), used))

SEC("xdp") int first(int *p)
{
	return p[0];
}

SEC("xdp") int second(int *p)
{
	return p[1];
}
"""
# As a kernel before 6.8 says it of a program without line info.
BARE_LOG = b"""libbpf: prog 'second': BPF program load failed: Permission denied
libbpf: prog 'second': -- BEGIN PROG LOAD LOG --
0: R1=ctx(off=0,imm=0) R10=fp0
0: (61) r0 = *(u32 *)(r1 +4)
R1 invalid mem access 'inv'
processed 1 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
-- END PROG LOAD LOG --
"""


def test_log_without_source_lines_and_an_object(tree: Path, object_of: Callable[..., str]) -> None:
    made = object_of(TWO, "-g")
    assert "two.bpf.c" not in ebpffix("--log", "-", "src", cwd=tree, text=BARE_LOG).out
    for paths in ([made], [made, "two.bpf.c"], ["src", made]):
        done = ebpffix("--log", "-", *paths, cwd=tree, text=BARE_LOG)
        assert done.code == 1
        assert done.out.startswith("two.bpf.c:10: second: refused: R1 invalid mem access 'inv'")
        assert "    return p[1];\n    ^~~~~~~~~~~~\n" in done.out
    with_text = BARE_LOG.replace(b"0: (61)", b"; return p[1];\n0: (61)")
    assert ebpffix("--log", "-", made, cwd=tree, text=with_text).out.startswith("two.bpf.c:10: second:")


def test_log_and_an_object_of_another_build(tree: Path, object_of: Callable[..., str]) -> None:
    made = object_of(TWO, "-g")
    for text in (
        BARE_LOG.replace(b"'second'", b"'third'"),
        BARE_LOG.replace(b"0: (61)", b"90: (61)"),
        BARE_LOG.replace(b"0: (61)", b"; return p[7];\n0: (61)"),
    ):
        done = ebpffix("--log", "-", made, "src", cwd=tree, text=text)
        assert "two.bpf.c:" not in done.out and "are they of another build?" in done.out


def test_text_of_a_line_that_the_object_has_only_by_number(tree: Path) -> None:
    (tree / "x.c").write_text("int a;\n\tint b;\n")
    (tree / "y.c").write_text("int a;\n\tint secret;\n")
    sources = [Source.read(tree / "x.c")]  # what is no source of the run is not shown
    said = [_text_of(SourceLine(str(tree / name), line, ""), sources) for name in ("x.c", "y.c") for line in (2, 9)]
    assert said == ["int b;", "", "", ""]


def test_bad_object_for_a_log(tree: Path, object_of: Callable[..., str]) -> None:
    whole = (tree / object_of(TWO, "-g")).read_bytes()
    for data, why in (
        (b"int main;", "no ELF object that can be read: not an ELF file"),
        (whole[:200], "no ELF object that can be read: truncated"),
        ((tree / object_of(TWO)).read_bytes(), "no line table in it (.BTF.ext)"),
    ):
        (tree / "bad.o").write_bytes(data)
        done = ebpffix("--log", "-", "bad.o", cwd=tree, text=BARE_LOG)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        assert f"bad.o: {why}" in done.err and done.err.endswith("; compile it with `clang -g -target bpf`\n")
    assert "bad.o" not in ebpffix("--log", "-", "absent.o", cwd=tree, text=BARE_LOG).err
    assert ebpffix("--log", "-", "absent.o", cwd=tree, text=BARE_LOG).err.startswith("ebpffix: absent.o: No such file")


@pytest.mark.parametrize(("path", "says"), [("absent.c", "absent.c: no such file"), ("-", "leave `-` out")])
def test_watch_of_what_is_not_there(tree: Path, path: str, says: str) -> None:
    done = ebpffix("--watch", path, cwd=tree)
    assert (done.code, done.out, done.err.count("\n"), done.err.count(says)) == (2, "", 1, 1)


def test_watch_discovers_once_at_its_start(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[object] = []

    def counted(*args: Any, **kwargs: Any) -> Discovery:
        found.append(args)
        return discover(*args, **kwargs)

    monkeypatch.chdir(tree)
    monkeypatch.setenv("EBPFFIX_CACHE_DIR", str(CACHE))
    monkeypatch.setattr("ebpffix.app.prepare.discover", counted)
    monkeypatch.setattr("ebpffix.app.watch.discover", counted)
    monkeypatch.setattr("watchfiles.watch", lambda *args, **kwargs: iter([{(2, str(tree / "src" / "count.bpf.c"))}]))
    done = CliRunner().invoke(command, ["--watch", "."])
    before, after = done.output.split("watching; end with Ctrl-C")
    assert before.count("redundant-map-update") == after.count("redundant-map-update") == 1
    assert len(found) == 2  # at the start, and for the save


def test_watch_answers_a_save_by_rename(tree: Path) -> None:
    path = tree / "src" / "count.bpf.c"
    path.write_bytes(FIXED)
    watching = subprocess.Popen(
        [sys.executable, "-u", "-m", "ebpffix", "--watch", "."],
        cwd=tree,
        stdout=subprocess.PIPE,
        env=os.environ | {"EBPFFIX_CACHE_DIR": str(CACHE)},
    )
    assert watching.stdout
    try:
        lines: list[bytes] = []
        for line in watching.stdout:
            lines.append(line)
            if line.startswith(b"watching"):
                # The watch begins a moment after it is told of; a save before that would be lost.
                time.sleep(1)
                (tree / "src" / ".count.swp").write_bytes(PROGRAM)
                (tree / "src" / ".count.swp").replace(path)
            if b"redundant-map-update" in line:
                break
        assert lines[-1].startswith(b"src/count.bpf.c:20:2: ")
    finally:
        watching.kill()
        watching.wait()


@pytest.mark.parametrize("name", [b"latin\xe9.bpf.c", "ünï.bpf.c".encode(), b'new\nline "quoted".bpf.c'])
def test_names_that_are_not_plain_text(tree: Path, name: bytes) -> None:
    path = os.path.join(os.fsencode(tree), name)
    os.rename(tree / "src" / "count.bpf.c", path)
    done = ebpffix(cwd=tree)
    assert (done.code, done.out.count("redundant-map-update")) == (1, 1), done
    assert done.out.encode("latin-1").startswith(visible(os.fsdecode(name)).encode() + b":20:2: ")
    diff = ebpffix("--diff", cwd=tree)
    subprocess.run(["git", "apply"], cwd=tree, input=diff.out.encode("latin-1"), check=True)
    with open(path, "rb") as fixed:
        assert fixed.read() == FIXED


def test_a_mistake_of_our_own_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_flags: object) -> int:
        raise LookupError("gone")

    monkeypatch.setattr(cli, "_check", broken)
    monkeypatch.setattr(sys, "argv", ["ebpffix", "."])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert (
        said.startswith("ebpffix: this is a bug in ebpffix (LookupError: gone at test_cli:") and said.count("\n") == 1
    )
