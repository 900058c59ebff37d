"""C in the strings of host programs: what is a program, decoding, the way back, and runs of the command."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from support import CACHE, FIXTURES

from ebpffix.app.cli import command
from ebpffix.fix import BCC, LIBBPF, Edit, apply
from ebpffix.sources import hosts, islands
from ebpffix.sources.discover import Discovery, discover
from ebpffix.sources.files import HOSTS
from ebpffix.sources.islands import CannotWrite, Island

C = """
#include <uapi/linux/ptrace.h>

struct info_t { u32 pid; char kind; };
BPF_HASH(last, u32, struct info_t, 4096);

int note(struct pt_regs *ctx)
{
    struct info_t info;
    u32 key = 0;

    info.pid = 1;
    info.kind = 'x';
    last.update(&key, &info);
    return 0;
}
"""
LOOKUP = """
#include <uapi/linux/ptrace.h>
BPF_HASH(seen, u32, u64, 4096);
int probe(struct pt_regs *ctx)
{
    u32 key = 1;
    u64 *value = seen.lookup(&key);
    if (!value)
        return 0;
    *value += 1;
    seen.update(&key, value);
    return 0;
}
"""
MENDED = C.replace("u32 key = 0;\n", "u32 key = 0;\n    __builtin_memset(&info, 0, sizeof(info));\n")


def found(tmp_path: Path, name: str, text: str | bytes) -> Discovery:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return discover([path])


def run(*args: object, text: bytes | None = None) -> Result:
    env = {"EBPFFIX_CACHE_DIR": str(CACHE)}
    return CliRunner().invoke(command, [str(arg) for arg in args], input=text, env=env)


# -- what is no program


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("docstring.py", f'"""Use it so:\n{C}"""\nimport bcc\n'),
        ("docstring.py", f'def f():\n    """{C}"""\n    return 1\n'),
        ("help.py", 'print("BPF_HASH(counts, u32); is a map, see int f(struct pt_regs *ctx) {}")\n'),
        (
            "help.py",
            'HELP = """\nThe macro declares a map.\n\nBPF_HASH(counts, u32);\nint f(struct pt_regs *ctx) {}\n"""\n',
        ),
        ("help.py", 'HELP = """\nexamples:\n    BPF_HASH(counts, u32);\nint f(struct pt_regs *ctx) {}\n"""\n'),
        ("fragment.py", 'text = text.replace("STORAGE", "BPF_HASH(start, u32);")\n'),
        ("fragment.py", 'storage = "BPF_HASH(start, u32);"\n'),
        ("comment.py", f"# '''{C.replace(chr(10), ' ')}'''\n"),
        ("comment.go", f"package p\n/* `{C}` */\n"),
        ("comment.cc", f'/* R"({C})" */\nint main() {{ return 0; }}\n'),
        ("comment.lua", f"--[==[ [[{C}]] ]==]\nreturn 1\n"),
        ("user.cc", 'int main() { puts("int f(struct nothing *ctx) { return 0; }"); }\n'),
        ("none.py", "print(1)\n"),
        ("broken.py", "x = '''" + C),
    ],
)
def test_what_is_no_program(tmp_path: Path, name: str, text: str) -> None:
    discovery = found(tmp_path, name, text)
    assert discovery.programs == []
    assert discovery.unread == {}
    assert discovery.skipped == [tmp_path / name]


def test_an_f_string_with_fields_is_told(tmp_path: Path) -> None:
    body = C.replace("{", "{{").replace("}", "}}")
    plain = found(tmp_path, "plain.py", f"x = f'''{body}'''\n")
    assert [p.source.data.decode() for p in plain.programs] == [C]
    fields = found(tmp_path, "fields.py", "\nx = f'''" + body.replace("4096", "{size}") + "'''\n")
    assert fields.programs == []
    assert fields.unread == {tmp_path / "fields.py": ["line 2: eBPF C in an f-string with fields is not read"]}


def test_half_a_function_is_told(tmp_path: Path) -> None:
    cut = C[: C.index("return 0")]
    discovery = found(tmp_path, "half.py", f"x = '''{cut}'''\ny = '''return 0; }}'''\n")
    assert discovery.programs == []
    assert "part of a function" in discovery.unread[tmp_path / "half.py"][0]


# -- what is one


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", f'x = """{C}"""\n'),
        ("a.py", f"x = r'''{C}'''\n"),
        ("a.py", f'def f(x=b"""{C}"""):\n    pass\n'),
        ("a.py", f'print "old"\nexec """{C}""" in x\n'),
        ("a.py", "x = (" + "\n     ".join(json.dumps(line) for line in C.splitlines(keepends=True)) + ")\n"),
        ("a.go", f"package p\nvar q = '\"'\nconst x = `{C}`\n"),
        (
            "a.go",
            "package p\nconst x = " + " +\n\t".join(json.dumps(line) for line in C.splitlines(keepends=True)) + "\n",
        ),
        ("a.cc", f'auto x = R"{C and "d"}({C})d";\n'),
        ("a.cpp", "auto x =\n" + "\n".join(json.dumps(line) for line in C.splitlines(keepends=True)) + ";\n"),
        ("a.hpp", f'int n = 1\'000; auto x = u8R"({C})";\n'),
        ("a.lua", f"local x = [==[\n{C}]==]\n"),
        ("a.lua", f"local x = f{{text=[[\n{C}]]}}\n"),
    ],
)
def test_the_c_is_what_the_compiler_gets(tmp_path: Path, name: str, text: str) -> None:
    (program,) = found(tmp_path, name, text).programs
    assert program.source.data.decode() == C
    assert program.dialect == BCC
    assert program.path == tmp_path / f"{name}@1.c"
    assert program.file == tmp_path / name


def test_sections_make_it_libbpf(tmp_path: Path) -> None:
    (program,) = found(tmp_path, "a.py", 'x = """SEC("xdp")\nint p(struct xdp_md *ctx) { return 2; }\n"""\n').programs
    assert program.dialect == LIBBPF


def test_a_named_host_without_c_is_told_as_other_files_are(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("print(1)\n")
    done = run(tmp_path / "a.py")
    assert "no eBPF C in it" in done.output


def test_a_line_continuation_is_none_in_a_raw_string(tmp_path: Path) -> None:
    text = "#define BOTH(a) \\\n    (a)\n" + C
    (cooked,) = found(tmp_path, "a.py", f"x = '''{text}'''\n").programs
    (raw,) = found(tmp_path, "b.py", f"x = r'''{text}'''\n").programs
    assert cooked.source.data.startswith(b"#define BOTH(a)     (a)\n")
    assert raw.source.data.startswith(b"#define BOTH(a) \\\n    (a)\n")


def test_what_the_host_puts_in_is_read_in_its_place(tmp_path: Path) -> None:
    text = C.replace("u32 key = 0;", "u32 key = 0;\n    FILTER\n    key = SIZE;\n    OTHER\n")
    host = f"t = '''{text}'''\nt = t.replace('FILTER', 'if (key != %d) {{ return 0; }}' % 7)\n"
    host += "t = t.replace('SIZE', str(8)).replace('OTHER', what())\n"
    (program,) = found(tmp_path, "a.py", host).programs
    assert b"    if (key != 1) { return 0; }\n    key = 1;\n    \n" in program.source.data


def test_a_text_goes_with_those_that_declare_what_it_uses(tmp_path: Path) -> None:
    maps, rest = C[: C.index("int note")], C[C.index("int note") :]
    other = rest.replace("note", "other")
    host = f"a = '''{maps}'''\nb = '''{rest}'''\nc = '''{other}'''\n"
    programs = found(tmp_path, "a.py", host).programs
    assert [p.source.data.decode() for p in programs[-2:]] == [maps + rest, maps + other]


def test_the_other_text_is_read_where_one_is_not_understood(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    text = C.replace(
        "info.pid = 1;", "struct task_struct *t = (void *)bpf_get_current_task();\n    info.pid = t->MEMBER;"
    )
    text = "#include <linux/sched.h>\n" + text
    for values in ("'no_such_member' if old() else 'pid'", "'pid' if new('x') else 'no_such_member'"):
        path.write_text(f'x = """{text}""".replace("MEMBER", {values})\n')
        report = json.loads(run("--output-format", "json", path).stdout)
        assert [file["status"] for file in report["files"]] == ["analysed"]
        assert [f["transform"] for f in report["findings"]] == ["padded-init"]


def test_maps_of_a_string_in_several_programs_are_told_once(tmp_path: Path) -> None:
    maps = "#include <uapi/linux/ptrace.h>\nBPF_HASH(one, u32);\n"
    use = "int {0}(struct pt_regs *ctx)\n{{\n    u32 k = 1;\n    one.delete(&k);\n    return 0;\n}}\n"
    path = tmp_path / "a.py"
    path.write_text(
        f"a = '''{maps}'''\nb = '''BPF_HASH(two, u32);\n{use.format('b')}'''\nc = '''{use.format('c')}'''\n"
    )
    (finding,) = json.loads(run("--output-format", "json", path).stdout)["findings"]
    assert "2 maps (`one`, `two`)" in finding["message"] and finding["safety"] == "advice"


def test_a_map_that_another_string_deletes_from(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    for more, safety in (("", "safe"), ("d = 'seen.delete(&key);'\n", "suggested")):
        path.write_text(f"x = '''{LOOKUP}'''\n{more}")
        (finding,) = json.loads(run("--output-format", "json", path).stdout)["findings"]
        assert (finding["transform"], finding["safety"]) == ("redundant-map-update", safety)


# -- decoding and the way back

PYTHON = st.lists(
    st.sampled_from(
        ["a", "é", " ", "\\\\", "\\n", "\\t", "\\'", '\\"', "\\x41", "\\101", "\\é", "\\d", "\\\n", "{", "%"]
    ),
    max_size=20,
)
BREAKS = st.sampled_from(["\n", "\r\n"])
NEW = st.text(st.sampled_from("ab \\\n\t\"'{}%"), max_size=6)


@st.composite
def python_hosts(draw: st.DrawFn) -> tuple[bytes, str]:
    """A module `x = …` and the literals in it."""
    literals = []
    for _ in range(draw(st.integers(1, 3))):
        quote = draw(st.sampled_from(['"', "'", '"""', "'''"]))
        prefix = draw(st.sampled_from(["", "r", "u"]))
        parts = draw(PYTHON)
        if len(quote) == 3:
            parts = [part + draw(st.sampled_from(["", "\n"])) for part in parts]
        body = "".join(parts)
        literals.append(f"{prefix}{quote}{body}{quote}")
    text = "(" + draw(st.sampled_from([" ", "\n  ", " # it's\n"])).join(literals) + ")"
    return f"# it's\nx = {text}\ny = 'z'\n".replace("\n", draw(BREAKS)).encode(), text


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@given(python_hosts())
def test_python_is_decoded_as_python_does(host: tuple[bytes, str]) -> None:
    data, text = host
    first = hosts.read(Path("/a.py"), data).texts[0]
    assert first.data == ast.literal_eval(text).encode()


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@given(python_hosts(), st.data())
def test_an_edit_changes_its_span_and_nothing_else(host: tuple[bytes, str], data: st.DataObject) -> None:
    island = Island(hosts.read(Path("/a.py"), host[0]), (0,))
    start = data.draw(st.integers(0, len(island.data)))
    end = data.draw(st.integers(start, len(island.data)))
    wanted = Edit(Path("/a.py@1.c"), start, end, data.draw(NEW).encode())
    try:
        (made,) = island.edits([wanted])
    except (CannotWrite, UnicodeDecodeError):
        return
    again = apply(host[0], [made])
    module = ast.parse(again.decode(errors="surrogateescape")) if apply(island.data, [wanted]).isascii() else None
    assert Island(hosts.read(Path("/a.py"), again), (0,)).data == apply(island.data, [wanted])
    if module:
        assert ast.literal_eval(module.body[0].value).encode() == apply(island.data, [wanted])  # type: ignore[attr-defined]
    if start < end:
        assert island.span(start, end)[0] <= made.start <= made.end <= island.span(start, end)[1]


OTHER = st.text(st.sampled_from("ab\\\n\"'`{}%)]-/*é"), max_size=20)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("a.go", "x := `", "`\n"), ("a.cc", 'auto x = R"d(', ')d";\n'), ("a.lua", "x = [==[", "]==]\n")],
)
@given(OTHER, NEW, st.data())
def test_raw_strings_hold_themselves(
    name: str, before: str, after: str, text: str, new: str, data: st.DataObject
) -> None:
    text = text.replace("`", "").lstrip("\n")
    host = hosts.read(Path("/" + name), (before + text + after).encode())
    island = Island(host, (0,))
    assert island.data == text.encode()
    start = data.draw(st.integers(0, len(text.encode())))
    end = data.draw(st.integers(start, len(text.encode())))
    edit = Edit(Path("/c"), start, end, new.encode())
    try:
        made = island.edits([edit])
    except CannotWrite:
        return
    assert apply(host.source.data, made) == before.encode() + apply(island.data, [edit]) + after.encode()


@pytest.mark.parametrize(
    ("name", "literal", "text"),
    [
        ("a.go", r'"a\"\x41\101\u00e9\\n\n"', 'a"AAé\\n\n'),
        ("a.cc", r'"a\"\x41" "\101\u00e9\?\\n\n"', 'a"AAé?\\n\n'),
        ("a.cc", '"a\\\nb"', "ab"),
        ("a.lua", r'"a\"\x41\065\u{e9}\\n\z   b"', 'a"AAé\\nb'),
        ("a.lua", "'a\\\nb'", "a\nb"),
        ("a.lua", "[[\r\na\r\nb]]", "a\nb"),
        ("a.go", "`a\r\nb`", "a\nb"),
        ("a.py", r"'\N{DEGREE SIGN}\u00e9\q'", "°é\\q"),
        ("a.py", r"'\x4'", "\\x4"),
    ],
)
def test_escapes(name: str, literal: str, text: str) -> None:
    assert hosts.read(Path("/" + name), f"x = {literal}\n".encode()).texts[0].data.decode() == text


def test_an_edit_over_two_literals_is_not_made() -> None:
    host = hosts.read(Path("/a.py"), b'x = ("int a;" "int b;")\n')
    island = Island(host, (0,))
    with pytest.raises(CannotWrite):
        island.edits([Edit(Path("/c"), 4, 9, b"z")])
    (inside,) = island.edits([Edit(Path("/c"), 4, 9, b"z;int")])  # what stays the same needs no edit
    assert (inside.start, inside.end, inside.text) == (10, 11, b"z")


@pytest.mark.parametrize(
    ("name", "host", "new", "written"),
    [
        ("a.py", "x = 'int a;' % ()", "100%;", "100%%;"),
        ("a.py", "x = 'int {};'.format(1)", "{1};", "{{1}};"),
        ("a.py", "x = f'int a;'", "{1};", "{{1}};"),
        ("a.py", "x = 'int a;'", "'\\\\n';\n", r"\'\\\\n\';\n"),
        ("a.py", "x = r'int a;'", "\\\\n", r"\\n"),
        ("a.go", 'x := "int a;"', '"%d"', r"\"%d\""),
        ("a.cc", 'auto x = R"(int a;)";', '"\\\\n"', r'"\\n"'),
        ("a.lua", "x = 'int a;'", "\n", r"\n"),
    ],
)
def test_new_text_is_escaped(name: str, host: str, new: str, written: str) -> None:
    island = Island(hosts.read(Path("/" + name), host.encode()), (0,))
    (made,) = island.edits([Edit(Path("/c"), 0, 0, new.encode())])
    assert made.text == written.encode()


def test_new_lines_get_literals_of_their_own() -> None:
    host = hosts.read(Path("/a.cc"), b'auto x =\r\n    "int a;\\n"\r\n    "int b;\\n";\r\n')
    made = Island(host, (0,)).edits([Edit(Path("/c"), 6, 6, b'\nint "c";')])
    assert b'    "int a;\\n"\r\n    "int \\"c\\";\\n"\r\n' in apply(host.source.data, made)


# -- runs


@pytest.mark.parametrize("name", ["counts.py", "returns.py", "lines.go", "raw.cc", "probe.lua"])
def test_fixtures(tmp_path: Path, name: str) -> None:
    case = FIXTURES / "hosts" / name
    fixed = case.with_name(f"{case.stem}.fixed{case.suffix}").read_bytes()
    path = tmp_path / name
    shutil.copy(case, path)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    diff = run("--diff", "--unsafe-fixes", path).stdout_bytes
    done = run("--apply", "--unsafe-fixes", path)
    assert path.read_bytes() == fixed, done.output
    again = run("--apply", "--unsafe-fixes", path)
    assert path.read_bytes() == fixed, again.output
    shutil.copy(case, path)
    subprocess.run(["git", "apply"], cwd=tmp_path, input=diff, check=True)
    assert path.read_bytes() == fixed


@pytest.mark.parametrize(
    ("encoding", "newline", "mark"), [("utf-8", "\r\n", b""), ("utf-8", "\n", b"\xef\xbb\xbf"), ("latin-1", "\n", b"")]
)
def test_bytes_outside_of_the_edit_stay(tmp_path: Path, encoding: str, newline: str, mark: bytes) -> None:
    def host(c: str) -> bytes:
        text = f"# coding: {encoding}\ne = 'é%%d' % ()\nx = '''{c}''' + 'BPF_HASH(no, u32);'  # é \nz = 1"
        return mark + text.replace("\n", newline).encode(encoding)

    path = tmp_path / "a.py"
    path.write_bytes(host(C.replace("'x';", "'x'; // é")))
    run("--apply", path)
    assert path.read_bytes() == host(MENDED.replace("'x';", "'x'; // é"))


def test_mixed_line_ends_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    data = ("x = '''" + C.replace("0;\n\n", "0;\r\n\n") + "'''\n").encode()
    path.write_bytes(data)
    run("--apply", path)
    assert path.read_bytes().count(b"\r\n") == data.count(b"\r\n") + 1
    assert path.read_bytes().replace(b"\r\n", b"\n") == f"x = '''{MENDED}'''\n".encode()


def test_two_programs_in_one_host(tmp_path: Path) -> None:
    other = C.replace("note", "other")
    path = tmp_path / "a.py"
    path.write_text(f"a = '''{C}'''\nb = '''{other}'''\n")
    report = json.loads(run("--output-format", "json", path).stdout)
    assert [(f["line"], f["column"], f["safety"]) for f in report["findings"]] == [(9, 5, "safe"), (26, 5, "safe")]
    assert [f["path"].rpartition("/")[2] for f in report["files"]] == ["a.py"]
    assert len({f["fingerprint"] for f in report["findings"]}) == 2
    run("--apply", path)
    assert path.read_text() == f"a = '''{MENDED}'''\nb = '''{MENDED.replace('note', 'other')}'''\n"


def test_percent_stays_doubled(tmp_path: Path) -> None:
    text = C.replace("return 0;", 'bpf_trace_printk("%%d of %d", 1);\n    return 0;')
    path = tmp_path / "a.py"
    path.write_text(f"x = '''{text}''' % 3\n")
    (program,) = discover([path]).programs
    assert b'"%d of 1"' in program.source.data
    run("--apply", path)
    assert '"%%d of %d"' in path.read_text()
    assert "memset" in path.read_text()


@pytest.mark.parametrize(
    "host",
    [
        "x = '''"
        + C.replace("    struct info_t info;", "    // ebpffix: ignore[padded-init]\n    struct info_t info;")
        + "'''\n",
        f"# ebpffix: ignore[padded-init]\nx = '''{C}'''\n",
        f"x = '''{C}'''  # ebpffix: ignore\n",
        f"# ebpffix: ignore-file\ny = 1\nx = '''{C}'''\n",
    ],
)
def test_suppression(tmp_path: Path, host: str) -> None:
    path = tmp_path / "a.py"
    path.write_text(host)
    assert run(path).exit_code == 0
    path.write_text(host.replace("ebpffix:", "ebpffix"))
    assert run(path).exit_code == 1


def test_standard_input(tmp_path: Path) -> None:
    name = tmp_path / "tool.py"
    done = run("--apply", "--stdin-filename", name, "-", text=f"x = '''{C}'''\n".encode())
    assert done.stdout_bytes == f"x = '''{MENDED}'''\n".encode()
    none = run("--apply", "--stdin-filename", name, "-", text=b"print(1)\n")
    assert none.stdout_bytes == b"print(1)\n"


def test_changed_lines_and_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q", "."], check=True)
    Path("a.py").write_text(f"x = '''{C}'''\n")
    hunk = "--- a/a.py\n+++ b/a.py\n@@ -9 +9 @@\n-old\n+    struct info_t info;\n"
    Path("here.diff").write_text(hunk)
    Path("there.diff").write_text(hunk.replace("-9 +9", "-1 +1"))
    assert run("--changed-lines", "here.diff", "a.py").exit_code == 1
    assert run("--changed-lines", "there.diff", "a.py").exit_code == 0
    run("--write-baseline", "base", "a.py")
    assert run("--baseline", "base", "a.py").exit_code == 0


def test_a_statement_that_the_host_puts_in_makes_it_doubtful(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    text = C.replace("u32 key = 0;", "u32 key = 0;\n    WHAT\n")
    for code, safety in (("what()", "suggested"), ("'if (key) { return 0; }'", "safe"), ("'key = 1;'", "suggested")):
        path.write_text(f"x = '''{text}'''.replace('WHAT', {code})\n")
        (finding,) = json.loads(run("--output-format", "json", path).stdout)["findings"]
        assert (finding["safety"], "`WHAT`" in finding["reason"]) == (safety, safety == "suggested")


def test_a_fix_over_two_strings_is_advice(tmp_path: Path) -> None:
    text = LOOKUP.replace("&key, value);", "&key, ''' '''value);")
    path = tmp_path / "a.py"
    path.write_text(f"x = ('''{text}''')\n")
    (finding,) = json.loads(run("--output-format", "json", path).stdout)["findings"]
    assert (finding["transform"], finding["safety"], finding["edits"]) == ("redundant-map-update", "advice", [])
    assert finding["reason"] == "to be made by hand: it reaches over strings that the host program joins"
    assert run("--diff", path).stdout == ""


def test_unread_strings_are_in_the_report(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = f'''" + C.replace("{", "{{").replace("}", "}}").replace("4096", "{size}") + "'''\n")
    done = run(path)
    assert "1 eBPF file: 1 analysed in part" in done.output
    assert "line 1: eBPF C in an f-string" in done.stderr


def test_ignored_and_excluded_hosts(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    for name in ("a.py", "b.py", "c.py"):
        (tmp_path / name).write_text(f"x = '''{C}'''\n")
    (tmp_path / ".gitignore").write_text("b.py\n")
    (tmp_path / "ebpffix.toml").write_text('exclude = ["c.py"]\n')
    done = discover([tmp_path], exclude=lambda path: path.name == "c.py")
    assert [p.file.name for p in done.programs] == ["a.py"]


def test_other_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.rs").write_text(C)
    (tmp_path / "a.py").write_text("print(1)\n")
    monkeypatch.setattr(islands, "read", lambda *_: pytest.fail("a file without a hint is not worth a lexer"))
    assert discover([tmp_path]).programs == []


def test_verify_compiles_the_string(tmp_path: Path, bcc: object) -> None:
    path = tmp_path / "a.py"
    waiting = C.replace("u32 key = 0;", "u32 key = 0;\n    WHAT").replace("note", "other")
    path.write_text(f'x = """{C}"""\ny = """{waiting}""".replace(\'WHAT\', what())\n')
    done = run("--verify", "--unsafe-fixes", "--output-format", "json", path)
    first, second = (finding["proof"] for finding in json.loads(done.stdout)["findings"])
    assert first["verdict"] in ("still-accepted", "same-object")
    assert second["verdict"] == "untried"
    assert f"{path}:29: WHAT stands for text that the host program puts in" in second["reason"]


@pytest.mark.parametrize("text", ["", "'", '"""', "\\", 'R"(', "x = 'é", "[==[", "`", "--[["])
@pytest.mark.parametrize("suffix", HOSTS)
def test_odd_files_do_no_harm(text: str, suffix: str) -> None:
    for data in (text.encode(), (text * 3 + "\n" + text).encode("latin-1")):
        for one in hosts.read(Path("/a" + suffix), data).texts:
            assert isinstance(one.data, bytes)
