"""Configuration files and compile commands: what is read, what is refused, and that nothing of it can run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ebpffix.app.config import (
    CompileCommands,
    Config,
    ConfigError,
    Patterns,
    find_compile_commands,
    load_config,
    parse_kernel,
    safe_flags,
)

TRANSFORMS = {
    "split-byteorder": ("split-byteorder",),
    "padded-init": ("padded-init",),
    "group": ("split-byteorder", "padded-init"),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / "src").mkdir()
    return tmp_path


def load(root: Path, text: str, name: str = "ebpffix.toml") -> Config:
    (root / name).write_text(text)
    return load_config([root], TRANSFORMS, print)


HOSTILE = [
    "-fplugin=evil.so", "-Xclang", "-load", "-Xclang", "evil.so", "@flags.txt", "-mllvm", "-load=evil.so", "-B.",
    "-include-pch", "evil.pch", "-fpass-plugin=evil.so", "-o", "out", "-c", "-ivfsoverlay", "x.yaml", "--sysroot=/x",
    "-specs=evil", "-fmodules", "-fmodule-file=evil.pcm", "-I-", "-isystem-after", "x", "-Wl,-x", "--config=evil.cfg",
    "-mno-such", "-target", "a b", "-D", "-fplugin=evil.so", "-DA\nB", "-U", "@x", "-std=c11 -fplugin=x",
]  # fmt: skip


def test_nothing_but_known_flags_passes() -> None:
    assert safe_flags(HOSTILE, Path("/p"), [Path("/p")]).taken == []


def test_safe_flags(tmp_path: Path) -> None:
    for folder in ("inc", "p/sys", "q"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "p" / "pre.h").touch()
    (tmp_path / "inc" / "found.h").touch()
    argv = "-I../inc -I ../p -isystem sys -isystem/usr/include -iquote ../q -DA -D B=1 -DF(x)=x -UC -include pre.h"
    argv += " -include found.h -Inot-yet -O2 -g -target bpf -mcpu=v3 -m64 -std=gnu11 --target=bpfel -c x.c"
    assert safe_flags(argv.split(), tmp_path / "p", [tmp_path]) == (
        [
            *("-I", f"{tmp_path}/inc", "-I", f"{tmp_path}/p", "-isystem", f"{tmp_path}/p/sys"),
            *("-isystem", "/usr/include", "-iquote", f"{tmp_path}/q", "-DA", "-DB=1", "-DF(x)=x", "-UC"),
            *("-include", f"{tmp_path}/p/pre.h", "-include", f"{tmp_path}/inc/found.h"),
            *("--target=bpf", "-mcpu=v3", "-m64", "-std=gnu11", "--target=bpfel"),
        ],
        [],
    )


def test_groups_are_the_transforms_in_them(root: Path) -> None:
    config = load(root, "select = ['padded-init', 'group']\n[per-file-ignores]\n'src/' = ['group']\n")
    assert config.select == ("padded-init", "split-byteorder")
    assert config.silences("padded-init", root / "src" / "a.c")
    assert not config.silences("padded-init", root / "a.c")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("clang = '/x/clang'", "unknown key 'clang'"),
        ("compiler = 'x'", "unknown key 'compiler'"),
        ("select = 'padded-init'", "select: must be a list of strings, not a string"),
        ("select = [1]", "select: must be a string, not a number"),
        ("ignore = ['padded-int']", "ignore: no transform 'padded-int'; did you mean 'padded-init'?"),
        ("dialect = 'rust'", "dialect: 'rust' is none of auto, bcc, libbpf"),
        ("target-kernel = 5.10", 'target-kernel: must be a string, such as "5.10"'),
        ("target-kernel = '5'", "target-kernel: '5' is no kernel version such as 5.10"),
        ("unsafe-fixes = 'yes'", "unsafe-fixes: must be true or false, not a string"),
        ("include = ['']", "include: must be a string that is not empty"),
        ("define = ['1x']", "define: '1x' is neither NAME nor NAME=VALUE"),
        ('define = ["A=1\\nB"]', "define: 'A=1"),
        ('exclude = ["!"]', "exclude: '!' is no pattern of a .gitignore file"),
        ("vmlinux = 2020-01-01", "vmlinux: must be a string, not a date"),
        ("select = [", "not valid TOML: "),
        ("a = " + "[" * 5000, "not valid TOML: "),
        ("dialect = '\udcff'", "not valid TOML: no UTF-8"),
    ],
)
def test_what_is_wrong_is_one_line_with_file_and_key(root: Path, text: str, says: str) -> None:
    (root / "ebpffix.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError) as error:
        load_config([root], TRANSFORMS, print)
    assert str(error.value).startswith(f"{root}/ebpffix.toml: {says}")
    assert "\n" not in str(error.value)


def test_every_key(root: Path) -> None:
    config = load(
        root,
        """
        select = ["padded-init"]
        ignore = ["split-byteorder"]
        dialect = "bcc"
        target-kernel = "5.15"
        include = ["inc", "/usr/include"]
        define = ["A", "B=1"]
        vmlinux = "vmlinux.h"
        btf = "b"
        compile-commands = "out/compile_commands.json"
        exclude = ["vendor/", "*.gen.c", "!keep.gen.c"]
        unsafe-fixes = true
        baseline = "base.json"
        """,
    )
    assert config == Config(
        select=("padded-init",),
        ignore=("split-byteorder",),
        dialect="bcc",
        target_kernel=(5, 15),
        include=(root / "inc", Path("/usr/include")),
        define=("A", "B=1"),
        vmlinux=root / "vmlinux.h",
        btf=root / "b",
        compile_commands=root / "out" / "compile_commands.json",
        exclude=Patterns(("vendor/", "*.gen.c", "!keep.gen.c"), root),
        unsafe_fixes=True,
        baseline=root / "base.json",
        file=root / "ebpffix.toml",
    )
    excluded = ["vendor/a.c", "x/vendor/b/a.c", "a.gen.c"]
    assert all(config.exclude.match(root / name) for name in excluded)
    assert not any(
        config.exclude.match(path) for path in (root / "a.c", root / "keep.gen.c", root.parent / "vendor/a.c")
    )


def test_the_nearest_file_decides(root: Path) -> None:
    (root / "pyproject.toml").write_text('[tool.ebpffix]\ndialect = "bcc"\n')
    (root / "src" / "pyproject.toml").write_text("[tool.other]\n")
    (root / "src" / "a.c").touch()
    assert load_config([root / "src" / "a.c"], TRANSFORMS, print).dialect == "bcc"
    (root / "ebpffix.toml").write_text('dialect = "libbpf"\n')
    assert load_config([root / "src"], TRANSFORMS, print).dialect == "libbpf"
    (root / "src" / "pyproject.toml").write_text("[tool.ebpffix]\n")
    assert load_config([root / "src"], TRANSFORMS, print).dialect == "auto"
    assert load_config([root / "src", root], TRANSFORMS, print).dialect == "libbpf"


def test_above_the_git_tree_is_somebody_else(root: Path) -> None:
    (root / "ebpffix.toml").write_text('dialect = "bcc"\n')
    (root / "src" / ".git").touch()
    assert load_config([root / "src"], TRANSFORMS, print) == Config()


def test_a_pyproject_that_is_not_ours(root: Path) -> None:
    assert load(root, "[tool\n", "pyproject.toml") == Config()
    with pytest.raises(ConfigError, match=r"pyproject.toml: tool.ebpffix must be a table"):
        load(root, "[tool]\nebpffix = 1\n", "pyproject.toml")


@pytest.mark.parametrize("text", ["5", "5.10.1", "v5.10", " 5.10", "5.10\n", "5.", "a.b", "", "\u0665.1", "0.1"])
def test_no_kernel(text: str) -> None:
    with pytest.raises(ValueError, match="no kernel version such as 5"):
        parse_kernel(text)


def test_kernel() -> None:
    assert parse_kernel("5.10") == (5, 10) > parse_kernel("5.9")


def test_compile_commands(root: Path) -> None:
    assert find_compile_commands(root) is None
    path = root / "build" / "compile_commands.json"
    path.parent.mkdir()
    entries = [
        {"directory": str(root), "file": "src/a.c", "arguments": ["clang", "-Iinc", "-fplugin=x", "src/a.c"]},
        {"directory": str(root), "file": "src/a.c", "arguments": ["clang", "-Iother"]},
        {"directory": str(root / "src"), "file": "b.c", "command": 'cc -D\'A="x y"\' -I "in c" b.c'},
        {"directory": "..", "file": "src/c.c", "command": "cc 'open"},
    ]
    path.write_text(json.dumps(entries))
    (root / "inc").mkdir()
    (root / "src" / "in c").mkdir()
    assert find_compile_commands(root) == path
    commands = CompileCommands(path, print)
    assert commands.compile_flags(root / "src" / "a.c") == ["-I", f"{root}/inc"]
    assert commands.compile_flags(root / "src" / "b.c") == ['-DA="x y"', "-I", f"{root}/src/in c"]
    assert commands.compile_flags(root / "src" / "none.c") == []
    with pytest.raises(ConfigError, match="cannot be split"):
        commands.compile_flags(root / "src" / "c.c")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not valid JSON"),
        ("[" * 100000, "not valid JSON"),
        ("{}", "must be a list"),
        ("[1]", "entry 1 needs"),
        ('[{"directory": "/", "file": "a.c"}]', "entry 1 needs"),
        ('[{"directory": "/", "file": "a.c", "arguments": "cc"}]', "entry 1 needs"),
        ('[{"directory": "/", "file": 1, "command": "cc"}]', "entry 1 needs"),
        (None, "no such file or directory"),
    ],
)
def test_malformed_compile_commands(root: Path, text: str | None, says: str) -> None:
    path = root / "compile_commands.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError) as error:
        CompileCommands(path, print).compile_flags(root / "a.c")
    assert str(error.value).startswith(f"{path}: {says}")
    assert "\n" not in str(error.value)
