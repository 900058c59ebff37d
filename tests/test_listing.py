"""What a person sees of a run: findings with their source lines, colours, a diff to look at, a table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from support import PROGRAM, UPDATE, ebpffix

from ebpffix.fix import Edit, Fix, Safety, Span
from ebpffix.frontend.environment import Environment, Options
from ebpffix.report import listing
from ebpffix.report.line import Line
from ebpffix.report.terminal import drawn, painted
from ebpffix.rewriting.found import Found
from ebpffix.run.engine import Report, run
from ebpffix.run.settings import Settings
from ebpffix.sources.discover import discover
from ebpffix.sources.source import Source
from ebpffix.transform import load_transforms

PATH = Path("/tree/a.bpf.c")


def fix(data: bytes, what: bytes, safety: Safety = Safety.SAFE, becomes: bytes = b"x", message: str = "why") -> Fix:
    start = data.index(what)
    at = Span(PATH, start, start + len(what))
    edits = [] if safety is Safety.ADVICE else [Edit(PATH, at.start, at.end, becomes)]
    return Fix(at, message, safety, edits, reason="" if safety is Safety.SAFE else "a reason")


def listed(data: bytes, *fixes: Fix, verbose: bool = False, width: int = 0) -> list[str]:
    report = Report([], {PATH: data}, {}, [], [], [], [])
    found = [Found("a-transform", one, PATH) for one in fixes]
    return [str(line) for line in listing.lines(report, found, verbose=verbose, width=width)]


# -- the listing


def test_a_finding_with_its_line_and_what_it_becomes(tree: Path) -> None:
    lines = ebpffix(cwd=tree).out.splitlines()
    head = lines[0]
    assert head.startswith("src/count.bpf.c:20:2: redundant-map-update [safe]: ")
    code = lines[2]
    assert code.startswith("20 |     bpf_map_update_elem(") and code.endswith(";")
    assert lines[3] == "   |     " + "^" * (len(code) - len("20 |     ;"))
    assert lines[4:] == ["   = help: delete this line", "", "1 finding (1 safe); 1 eBPF file: 1 analysed"]


def test_the_safe_first_and_advice_of_a_file_in_one_line() -> None:
    data = b"int a;\nint b;\nint c;\nint d;\n"
    fixes = [
        fix(data, b"int a", Safety.ADVICE),
        fix(data, b"int b", Safety.SUGGESTED),
        fix(data, b"int c"),
        fix(data, b"int d", Safety.ADVICE),
    ]
    heads = [line for line in listed(data, *fixes) if line.startswith("/tree/a.bpf.c")]
    assert heads == [
        "/tree/a.bpf.c:3:1: a-transform [safe]: why",
        "/tree/a.bpf.c:2:1: a-transform [suggested]: why",
        "/tree/a.bpf.c:1,4: a-transform [advice] 2 times, first: why",
    ]
    unfolded = [line for line in listed(data, *fixes, verbose=True) if "[advice]" in line]
    assert unfolded == [f"/tree/a.bpf.c:{line}:1: a-transform [advice]: why" for line in (1, 4)]
    assert listed(data, fixes[0])[0] == "/tree/a.bpf.c:1:1: a-transform [advice]: why"


@pytest.mark.parametrize(
    ("becomes", "said"),
    [
        (b"", "delete this line"),
        (b"\tint b;\n", "int b;"),
        (b"\tint b;\n\tint c;\n\tint d;\n", "int b; \u2026 and 2 more lines"),
        (b"\tint a;\n\tint b;\n", "int b;"),
    ],
)
def test_what_it_becomes(becomes: bytes, said: str) -> None:
    data = b"\tint a;\nint z;\n"
    assert listing.becomes(fix(data, b"\tint a;\n", becomes=becomes), Source(PATH, data)) == said


def test_what_is_new_in_a_long_line_is_seen() -> None:
    data = b"f(" + b"one, " * 60 + b"two, three);\n"
    said = listing.becomes(fix(data, b"two", becomes=b"2"), Source(PATH, data))
    assert said.startswith("\u2026") and "one, 2, three);" in said and len(said) <= 100


def test_what_becomes_of_another_file() -> None:
    data = b"int a;\n"
    other = Edit(Path("/tree/b.h"), 0, 0, b"x")
    at = Span(PATH, 0, 3)
    source = Source(PATH, data)
    assert listing.becomes(Fix(at, "m", Safety.SAFE, [other]), source) == "the change is in /tree/b.h"
    both = Fix(at, "m", Safety.SAFE, [Edit(PATH, 0, 3, b"long"), other])
    assert listing.becomes(both, source) == "long a; (and 1 more file)"


@pytest.mark.parametrize(
    ("data", "what", "code", "mark"),
    [
        (b"\tint a;\r\n", b"int a", "    int a;", "    ^^^^^"),
        (b"\xef\xbb\xbfint a;\n", b"int a", "int a;", "^^^^^"),
        (b's = "\xe4\xb8\xad"; f(a);', b"f(a)", 's = "\u4e2d"; f(a);', "          ^^^^"),
        (b's = "\xe9"; f(a);', b"f(a)", 's = "\xe9"; f(a);', "         ^^^^"),
        (b"/*\x1b[2J*/ f(a);", b"f(a)", "/*\\x1b[2J*/ f(a);", "            ^^^^"),
        (b"f(a,\n  b);\n", b"f(a,\n  b)", "f(a,", "^^^^"),
    ],
)
def test_the_mark_stands_under_what_is_meant(data: bytes, what: bytes, code: str, mark: str) -> None:
    lines = listed(data, fix(data, what))
    assert lines[2:4] == [f"1 | {code}", f"  | {mark}"]


def test_a_long_line_shows_what_is_meant() -> None:
    data = b"a" * 5000 + b" f(a) " + b"b" * 5000
    code, mark = listed(data, fix(data, b"f(a)"), width=80)[2:4]
    assert len(code) <= 80
    start = mark.index("^")
    assert code[start : start + 4] == "f(a)" and mark.count("^") == 4


# -- terminals


def test_wrapped_at_words_and_code_is_cut() -> None:
    prose, code = Line((("one two three four five six seven", ""),), 2), Line((("x" * 40, ""),), None)
    assert drawn([prose, code], colour=False, width=24).splitlines() == [
        "one two three four",
        "  five six seven",
        "x" * 23 + "\u2026",
    ]


def test_nothing_that_a_stranger_wrote_is_markup() -> None:
    line = Line((("[red]a[/red] :smile: [link=http://x]b", ""),))
    assert drawn([line], colour=True, width=0) == "[red]a[/red] :smile: [link=http://x]b\n"


def test_a_painted_diff_is_the_diff() -> None:
    diff = ["diff --git a/x b/x", "--- a/x", "@@ -1 +1 @@", " \tsame", "-\told", "+\tnew", ""]
    lines = painted(diff).split("\n")
    assert [line.replace("\x1b[", "\0").split("m", 1)[-1].split("\0")[0] for line in lines[4:6]] == diff[4:6]
    assert lines[3] == diff[3] and "\x1b[31m" in lines[4] and "\x1b[32m" in lines[5]


def test_when_to_colour(tree: Path) -> None:
    plain = {"NO_COLOR": "", "FORCE_COLOR": ""}
    for args, env, coloured in (
        ((), plain, False),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
        ((), {"NO_COLOR": "", "FORCE_COLOR": "1"}, True),
        ((), {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (("--color", "never"), {"NO_COLOR": "", "FORCE_COLOR": "1"}, False),
    ):
        for mode in ((), ("--diff",), ("--output-format", "concise")):
            assert ("\x1b[" in ebpffix(*mode, *args, cwd=tree, env=env).out) is coloured, (mode, args, env)


def test_json_is_never_coloured(tree: Path) -> None:
    assert "\x1b[" not in ebpffix("--output-format", "json", "--color", "always", cwd=tree).out
    ebpffix("--output-file", "report.txt", "--color", "always", cwd=tree)
    assert "\x1b" not in (tree / "report.txt").read_text()


@pytest.mark.parametrize("args", [["--version"], ["."], ["--diff", "."]])
def test_who_draws_nothing_does_not_load_rich(tree: Path, args: list[str]) -> None:
    (tree / "src" / "count.bpf.c").write_bytes(PROGRAM.replace(UPDATE, UPDATE))
    code = (
        "import sys\nfrom ebpffix.app.cli import main\n"
        f"sys.argv = ['ebpffix', *{args!r}]\n"
        "try: main()\nexcept SystemExit: pass\nassert 'rich' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, text=True)
    assert "AssertionError" not in done.stderr, done.stderr


def test_help_has_every_option_in_a_group_and_examples(tree: Path) -> None:
    from ebpffix.app.cli import command

    said = ebpffix("--help", cwd=tree).out
    assert "Options:" not in said and "Examples:\n    ebpffix src/  " in said
    for option in command.params:
        if isinstance(option, click.Option):
            assert f"\n  {option.opts[0]}" in said, option.opts
    order = ["  --diff", "Proof and repair:", "  --verify", "How it runs:", "  --jobs", "Other:", "  --version"]
    places = [said.index(name) for name in order]
    assert places == sorted(places)


def test_progress_knows_what_is_left(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    for number in range(3):
        (tmp_path / f"{number}.bpf.c").write_bytes(PROGRAM.replace(b"counts", b"counts%d" % number))
    (tmp_path / "nothing.bpf.c").write_bytes(b'#include <bpf/bpf_helpers.h>\nchar LICENSE[] SEC("license") = "GPL";\n')
    (transform,) = (known for name, known in load_transforms().items() if name == "redundant-map-update")
    settings = Settings({"redundant-map-update": transform}, Environment(Options()))
    run(discover([tmp_path]), settings, lambda done, of: told.append((done, of)))
    assert told[:4] == [(n, 3) for n in range(4)]  # the fourth has nothing to look for
