"""What meets a contributor: the tools in tests/tools, the README's table, packages of others, the list of packages."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tomllib
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest
import support
from support import Case, cases, transforms

from ebpffix.transform import Registered

ROOT = Path(__file__).parent.parent
PROGRAM = b"""#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

SEC("xdp")
int pass(struct xdp_md *ctx)
{
\tbpf_trace_printk("in", 3);
\treturn XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
"""


def tool(path: Path, name: str) -> ModuleType:
    """A Python file, whatever its name ends in, as a module."""
    loader = SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def run(*command: object, cwd: Path, **env: str) -> str:
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, env=os.environ | env)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout + done.stderr


def test_the_readme_has_the_table_of_the_transforms() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = tool(ROOT / "tests" / "tools" / "readme", "readme_tool")
    assert table.written(readme) == readme, "run tests/tools/readme"
    assert table.written(readme.replace("| `padded-init` |", "| `padded` |")) == readme


def test_every_package_is_installed() -> None:
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    folders = {"ebpffix": "ebpffix", "transforms": "ebpffix_transforms"}
    found = {
        ".".join((name, *init.parent.relative_to(ROOT / folder).parts))
        for folder, name in folders.items()
        for init in (ROOT / folder).rglob("__init__.py")
    }
    assert found | {"ebpffix_fixtures"} == set(setup["packages"])


def new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Case]:
    """The cases of a transform that was just made, which is known from here on."""
    run(sys.executable, ROOT / "tests" / "tools" / "new_transform", "no-old-call", tmp_path, cwd=tmp_path)
    module = tool(tmp_path / "transforms" / "no_old_call.py", "no_old_call")
    known = Registered(module.TRANSFORM, module.find, module.__doc__ or "")
    monkeypatch.setitem(transforms(), "no-old-call", known)
    monkeypatch.setattr(support, "FIXTURES", tmp_path / "fixtures")
    return cases("no-old-call")


def test_a_new_transform_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = new(tmp_path, monkeypatch)
    assert [case.name for case in found] == ["left-alone", "simple"]
    for case in found:
        (tmp_path / case.name).mkdir()
        report = case.run(case.files, tmp_path / case.name)
        assert [one.fix.safety for one in report.findings] == case.expect
        assert list(report.changed.values()) == list(case.fixed.values())
    again = run(sys.executable, ROOT / "tests" / "tools" / "new_transform", "x", tmp_path, cwd=tmp_path)
    assert "transforms/x.py" in again
    test = tool(tmp_path / "tests" / "test_no_old_call.py", "test_no_old_call")
    assert test.FRAME.found("// old_call();") == [] and test.FRAME.after("old_call();") == "new_call();"


def test_fixtures_are_updated_to_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways: what is right stays byte for byte, what is wrong becomes right."""
    simple = new(tmp_path, monkeypatch)[1]
    update = tool(ROOT / "tests" / "tools" / "update_fixtures", "update_fixtures")
    files = {path: path.read_bytes() for path in simple.folder.iterdir()}
    update.update(simple)
    assert {path: path.read_bytes() for path in simple.folder.iterdir()} == files
    path = simple.folder / "simple.c"
    path.write_bytes(files[path].replace(b"expect=safe", b"expect=none"))
    (simple.folder / "simple.fixed.c").write_bytes(b"wrong")
    update.update(cases("no-old-call")[1])
    assert {path: path.read_bytes() for path in simple.folder.iterdir()} == files


def test_advice_is_written_on_its_line() -> None:
    update = tool(ROOT / "tests" / "tools" / "update_fixtures", "update_fixtures")
    long = "a message that is longer than what a comment repeats, by far the longest"
    assert update.with_comment(b"a;\r\nb;\r\n", 2, "no b") == b"a;\r\nb; // expect: advice no b\r\n"
    made = update.with_comment(b"#define A \\\n\tb\n", 1, "no A")
    assert made == b"#define A /* expect: advice no A */ \\\n\tb\n"
    assert (
        update.with_comment(b"a;", 1, long)
        == b"a; // expect: advice a message that is longer than what a comment repeats, by"
    )
    for text in (made, b"a; // expect: advice x // expect: advice y\r\n"):
        assert b"expect" not in update._COMMENT.sub(b"", text)


@pytest.mark.slow
def test_transforms_of_others(tmp_path: Path) -> None:
    """A package that knows only docs/plugins.md: listed, explained, run, silenced, and asked about a refused load."""
    site, tree = tmp_path / "site", tmp_path / "tree"
    (tree / ".git").mkdir(parents=True)
    (tree / "a.bpf.c").write_bytes(PROGRAM)
    copy = tmp_path / "plugin"
    (copy / "acme_transforms").mkdir(parents=True)
    for file in (ROOT / "tests" / "plugin").rglob("*.*"):
        if file.suffix in (".py", ".toml"):
            (copy / file.relative_to(ROOT / "tests" / "plugin")).write_bytes(file.read_bytes())
    install = ("pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", site, copy)
    run(sys.executable, "-m", *install, cwd=tmp_path)
    env = {"PYTHONPATH": str(site), "EBPFFIX_CACHE_DIR": str(support.CACHE)}

    def ebpffix(*args: str) -> str:
        return run(sys.executable, "-m", "ebpffix", *args, cwd=tree, **env)

    assert "acme-no-printk" in ebpffix("--transforms")
    assert "Suggested: the call is removed" in ebpffix("--explain", "acme-no-printk")
    assert "acme-no-printk [suggested]: a debug print" in ebpffix(".")
    assert "-\tbpf_trace_printk" in ebpffix("--diff", "--unsafe-fixes", "--select", "acme-no-printk", ".")
    log = tmp_path / "log"
    log.write_text("0: (85) call bpf_trace_printk#6\nunknown func bpf_trace_printk#6\nprocessed 1 insns\n")
    assert "ebpffix --select acme-no-printk looks for this" in ebpffix("--log", str(log), ".")
    (tree / "a.bpf.c").write_bytes(PROGRAM.replace(b"3);", b"3); // ebpffix: ignore[acme-no-printk]"))
    assert "no findings" in ebpffix(".")
