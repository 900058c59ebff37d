"""The log fixtures are verifier logs of our own programs (`fixtures/logs/CLASS/CASE.bpf.c`) on the kernel in the name.

A program's line with the word "refused" is the one that the verifier must be understood to refuse, and its line
`// transform: NAME` is the cure. `around/` holds what loaders print around a log, `accepted/` logs that refuse nothing.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Compile
from hypothesis import given, settings
from hypothesis import strategies as st
from support import transforms

from ebpffix.fix import LIBBPF
from ebpffix.sources.source import Source
from ebpffix.transform import Cure, Transform
from ebpffix.verify.explain import BY_KEY, TABLE, cured_by, explain
from ebpffix.verify.lineinfo import line_of
from ebpffix.verify.load import load
from ebpffix.verify.logs import Rejection, SourceLine, locate, read

LOGS = Path(__file__).parent.parent / "fixtures" / "logs"
FIXTURES = sorted(p for p in LOGS.glob("*/*.log") if p.parent.name not in ("around", "accepted"))
# What an older kernel refuses first, for another reason than the class of the folder.
OTHERWISE = {
    "dynptr/never_made.5.10": ("helper-not-allowed", None),
    "uninit-stack/wide_member_first.5.10": ("spill-overwrite", None),
    "uninit-stack/wide_member_first.6.1": ("spill-overwrite", None),
}
# Kernels that refuse these before they look at an instruction, so that their logs name no line.
NO_LINE = re.compile(
    r"global-function/(pointer_to_pointer\.(5\.10|6\.1)|wrong_size\.5\.10)$"
    r"|stack-bounds/two_frames|unreachable/|program-size/|co-re/"
)


def cured(rejection: Rejection) -> str | None:
    return cured_by(rejection.class_, rejection.context, [known.facts for known in transforms().values()])


def rejections(data: bytes) -> list[Rejection]:
    return list(read(io.BytesIO(data)))


def only(data: bytes) -> Rejection:
    (rejection,) = rejections(data)
    return rejection


@pytest.mark.parametrize(
    ("line", "transform"),
    [
        ("libbpf: map 'counts': failed to create: Invalid argument(-22)", "map-size"),
        ("libbpf: failed to create map (name: 'counts'): Invalid argument(-22)", "map-size"),
        ("libbpf: map 'counts': failed to create: Argument list too long(-7)", None),
    ],
)
def test_map_that_was_not_made(line: str, transform: str | None) -> None:
    rest = "libbpf: failed to load object 'x.bpf.o'\nError: failed to load object file\n"
    found = only(f"libbpf: loading x.bpf.o\n{line}\n{rest}".encode())
    assert (found.class_, cured(found), found.loader) == ("map-creation", transform, "libbpf")
    assert found.message == line.removeprefix("libbpf: ")


def around(name: str) -> list[Rejection]:
    return rejections((LOGS / "around" / f"{name}.log").read_bytes())


# What must give nothing


@pytest.mark.parametrize("log", sorted((LOGS / "accepted").glob("*.log")), ids=lambda p: p.stem)
def test_accepted_log_yields_nothing(log: Path) -> None:
    assert rejections(log.read_bytes()) == []


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n\n",
        b"cc -c main.c\nmain.c:3: error: expected expression\n",
        b"libbpf: prog 'a': found program at insn offset 0\nlibbpf: loading kernel BTF '/sys/kernel/btf/vmlinux': 0\n",
        b"0: (b7) r0 = 0\n1: (95) exit\nprocessed 2 insns (limit 1000000)\n",
        b"processed 2 insns (limit 1000000)\n",
        b"9: (95) exit\n78: safe\n(0) frame 0 insn 16 +live -8\n(0) live stack update done\nprocessed 9 insns\n",
        b"; // R1 invalid mem access 'inv'\n0: (95) exit\nprocessed 1 insns\n",
        b"libbpf: prog 'a': -- BEGIN PROG LOAD LOG --\n0: (95) exit\nprocessed 1 insns\n-- END PROG LOAD LOG --\n",
    ],
)
def test_text_without_a_rejection(text: bytes) -> None:
    assert rejections(text) == []


# The fixtures


@pytest.mark.parametrize("log", FIXTURES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_fixture(log: Path) -> None:
    rejection = only(log.read_bytes())
    case = f"{log.parent.name}/{log.stem}"
    program = log.parent / f"{log.name.split('.')[0]}.bpf.c"
    source = program.read_text() if program.exists() else ""
    cure = re.search(r"^// transform: (\S+)$", source, re.M)
    expected = OTHERWISE.get(case, (log.parent.name, cure[1] if cure else None))
    assert (rejection.class_, cured(rejection)) == expected
    assert rejection.explanation == BY_KEY[rejection.class_].text
    if "7.3" in log.stem:
        return
    if NO_LINE.match(case):
        assert rejection.source is None or "refused" not in rejection.source.text
    else:
        assert rejection.source is not None and "refused" in rejection.source.text
        found = locate(rejection, [Source.read(program)])[0]
        assert source.splitlines()[found.line - 1].strip() == rejection.source.text
        if rejection.source.line:
            assert rejection.source == SourceLine(program.name, found.line, found.text)
        assert rejection.instruction and rejection.instruction.text


def test_every_class_has_a_log() -> None:
    logged = {p.parent.name for p in FIXTURES}
    by_message = {explain(m).key for m in MESSAGES}  # type: ignore[union-attr]
    assert {e.key for e in TABLE} <= logged | by_message


# Messages that no kernel here gives for a C program.
MESSAGES = {
    "map 'counts': failed to create: Invalid argument(-22)": "map-creation",
    "misaligned packet access off 0+14+0 size 4": "misaligned-access",
    "R1 invalid mem access 'map_ptr'": "typed-pointer-deref",
    "attach_btf_id 7 is not a function": "btf",
    "R3 type=map_value expected=fp": "wrong-pointer",
    "back-edge from insn 7 to 2": "loop",
    "The sequence of 8193 jumps is too complex.": "program-size",
    "R0 invalid mem access 'mem_or_null'": "null-check",
    "R2 min value is negative, either use unsigned index or do a if (index >=0) check.": "map-value-bounds",
    "R4 !read_ok": "uninit-register",
    "R2 pointer arithmetic on map_value_or_null prohibited, null-check it first": "null-check",
    "invalid variable-offset indirect access to stack R2": "unclamped-index",
}


@pytest.mark.parametrize(("message", "key"), MESSAGES.items())
def test_message(message: str, key: str) -> None:
    found = explain(message)
    assert found is not None and found.key == key


def test_cures_are_of_classes() -> None:
    cures = [cure for known in transforms().values() for cure in known.facts.cures]
    assert {cure.refusal for cure in cures} <= BY_KEY.keys()
    assert all(re.compile(cure.pattern) for cure in cures)


def test_a_cure_with_a_pattern_speaks_first() -> None:
    general = Transform("general", 0, (LIBBPF,), (), "", cures=(Cure("lock"),))
    special = Transform("special", 9, (LIBBPF,), (), "", cures=(Cure("lock", r"^@bcc"),))
    assert cured_by("lock", "@bcc\n\n\nm", [general, special]) == "special"
    assert cured_by("lock", "@libbpf\n\n\nm", [general, special]) == "general"
    assert cured_by("loop", "@bcc\n\n\nm", [general, special]) is None


def test_value_written_back_is_a_redundant_update() -> None:
    log = b"7: (85) call bpf_map_update_elem#2\nR3 type=map_value expected=fp\nprocessed 8 insns\n"
    assert cured(only(log)) == "redundant-map-update"


@pytest.mark.parametrize(
    ("loader", "line", "transform"),
    [
        (b"bpf: Failed to load program: Permission denied\n", b"d = ntohs(sk->d);", "split-byteorder"),
        (b"bpf: Failed to load program: Permission denied\n", b"d = sk->d;", "unsafe-deref"),
        (b"bpf: Failed to load program: Permission denied\n", b"d = bpf_ntohs(sk->d);", "unsafe-deref"),
        (b"libbpf: prog 'a': BPF program load failed: Permission denied\n", b"d = ntohs(sk->d);", "unsafe-deref"),
        (b"", b"memcpy(d, t->comm, 16);", "builtin-memcpy"),
        (b"", b"strcpy(d, t->comm);", "libc-string"),
        (b"", b"my_memory(d, t->comm);", "unsafe-deref"),
    ],
)
def test_cure_of_a_number_used_as_pointer(loader: bytes, line: bytes, transform: str) -> None:
    log = loader + b"; " + line + b"\n1: (69) r3 = *(u16 *)(r1 +12)\nR1 invalid mem access 'inv'\nprocessed 2 insns\n"
    assert cured(only(log)) == transform


# What loaders print around it


@pytest.mark.parametrize(
    ("name", "program", "class_", "loader"),
    [
        ("bpftool", "time_to_live", "packet-bounds", "libbpf"),
        ("bpftool-debug", "time_to_live", "packet-bounds", "libbpf"),
        ("bcc", "on_connect", "scalar-deref", "bcc"),
        ("bcc-2017", "on_connect", "scalar-deref", "bcc"),
        ("cilium-long", "count_packets", "null-check", "cilium/ebpf"),
        ("libbpf-0.x", "count_packets", "scalar-deref", "libbpf"),
        ("journal", "count", "null-check", "libbpf"),
        ("cut-off", "outer", "cut-off", "libbpf"),
        ("no-privilege", "count", "no-privilege", "libbpf"),
    ],
)
def test_surroundings(name: str, program: str, class_: str, loader: str) -> None:
    (rejection,) = around(name)
    assert (rejection.program, rejection.class_, rejection.loader) == (program, class_, loader)


def test_cilium_one_liners() -> None:
    whole, cut = around("cilium-short")
    assert (whole.program, whole.class_, whole.message) == (
        "count_packets",
        "null-check",
        "R0 invalid mem access 'map_value_or_null'",
    )
    assert whole.instruction and (whole.instruction.number, whole.instruction.text) == (7, "(79) r1 = *(u64 *)(r0 +0)")
    assert cut.class_ == "cut-off"


def test_last_words_of_a_loader_are_no_second_rejection() -> None:
    log = (LOGS / "around" / "cilium-long.log").read_bytes() + b"2024/05/01 10:00:01 load program: permission denied\n"
    assert [r.class_ for r in rejections(log)] == ["null-check"]
    assert only(b"program a: load program: invalid argument\n").class_ == "empty-log"


def test_bcc_log_in_full() -> None:
    (rejection,) = around("bcc")
    assert rejection.source == SourceLine("main.c", 17, "u16 port = ntohs(sk->__sk_common.skc_dport);")
    assert (cured(rejection), rejection.registers) == ("split-byteorder", "R1=scalar()")


def test_journal_prefix_goes() -> None:
    (rejection,) = around("journal")
    assert rejection.source == SourceLine("count.bpf.c", 18, "*value += 1;")
    assert rejection.registers == "R0=map_value_or_null(id=1,map=values,ks=4,vs=8)"


def test_several_programs_in_one_stream() -> None:
    names = ["bpftool", "bcc", "libbpf-0.x", "cut-off", "journal", "no-privilege", "cilium-long"]
    stream = b"".join((LOGS / "around" / f"{n}.log").read_bytes() for n in names if n != "journal")
    expected = [around(n)[0] for n in names if n != "journal"]
    assert rejections(stream) == expected


def test_plain_logs_one_after_the_other() -> None:
    stream = b"unreachable insn 2\nprocessed 0 insns\n0: (95) exit\nR0 !read_ok\nprocessed 1 insns\n"
    stream += b"0: (95) exit\nprocessed 1 insns\njump out of range from insn 7 to 9\nprocessed 0 insns\n"
    found = [(r.class_, r.instruction.number if r.instruction else None) for r in rejections(stream)]
    assert found == [("unreachable", 2), ("uninit-register", 0), ("unreachable", 7)]


def test_a_quoted_line_is_enough() -> None:
    assert only(b"help, what is this:\nR1 invalid mem access 'inv'\n").class_ == "scalar-deref"


def test_unknown_message_is_told_as_it_is() -> None:
    rejection = only(b"0: (95) exit\nthe moon is in the wrong house\nprocessed 1 insns\n")
    assert (rejection.class_, rejection.message) == ("other", "the moon is in the wrong house")


def test_refused_before_the_verifier() -> None:
    rejection = only(b"libbpf: prog 'a': BPF program load failed: Invalid argument\n")
    assert (rejection.program, rejection.class_, rejection.message) == ("a", "empty-log", "Invalid argument")


@pytest.mark.parametrize("log", FIXTURES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_cut_off_before_the_reason(log: Path) -> None:
    last = re.search(rb"(?s).*^(?:\d+: \(|;)[^\n]*\n", log.read_bytes(), re.M)
    if last:
        assert [r.class_ for r in rejections(last[0])] == ["cut-off"]
        assert [r.class_ for r in rejections(last[0][:-7])] == ["cut-off"]


def test_log_that_did_not_fit() -> None:
    failed = b"libbpf: prog 'a': BPF program load failed: No space left on device\n"
    assert only(failed + b"0: (95) exit\nprocessed 1 insns\n").class_ == "cut-off"


# Linux 7.3 (by hand)


def test_block_of_7_3_beside_the_message() -> None:
    rejection = only((LOGS / "uninit-register" / "no_return.7.3.log").read_bytes())
    assert (rejection.message, rejection.source) == (
        "R0 !read_ok",
        SourceLine("nothing.bpf.c", 5, "int nothing(void *ctx)"),
    )
    assert rejection.suggestion == "Give R0 a value on every path to this instruction."


def test_block_of_7_3_alone() -> None:
    rejection = only((LOGS / "packet-bounds" / "block_only.7.3.log").read_bytes())
    assert rejection.message.startswith("The read of 1 byte at offset 22 is outside of the packet")
    assert rejection.source == SourceLine("short_check.bpf.c", 16, "return ip->ttl;")
    assert rejection.instruction and rejection.instruction.text == "(71) r0 = *(u8 *)(r1 +22)"


# Size and hostility


class Endless(io.RawIOBase):
    """A log of `size` bytes, made while it is read."""

    def __init__(self, size: int, pattern: bytes, end: bytes) -> None:
        self.size, self.pattern, self.end = size, pattern, end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        source = self.pattern if self.size > 0 else self.end
        if self.size <= 0:
            self.end = b""
        count = min(len(source), len(buffer))
        buffer[:count] = source[:count]
        self.size -= count
        return count


# States are as long as those of a big program; tracing many short lines would only take time.
STATE = b" ".join(b"R%d=scalar(umax=4294967295,var_off=(0x0; 0xffffffff))" % n for n in range(10))
LOOP = b"; sum += i; @ loop.bpf.c:9\n5: (0f) r1 += r2      ; %b\nfrom 7 to 5: %b\nparent %b\n" % (STATE, STATE, STATE)


@pytest.mark.parametrize("pattern", [LOOP, b"x" * 4096, b"\0" * 4096, b"what is this %b\n" % STATE])
def test_memory_does_not_grow_with_the_log(pattern: bytes) -> None:
    stream = io.BufferedReader(Endless(16 << 20, pattern, b"\n5: (95) exit\nR0 !read_ok\nprocessed 9 insns\n"))  # type: ignore[type-var]
    tracemalloc.start()
    found = list(read(stream))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [r.class_ for r in found] == ["uninit-register"]
    assert peak < 1 << 20


def test_no_control_character_reaches_the_terminal() -> None:
    rejection = only(b"; \x1b[2J\x07 = 1; @ a\x1b.c:3\n0: (95) exit\n\x1b[31mR0 !read_ok\xff\nprocessed 1 insns\n")
    assert rejection.source is not None
    for text in (rejection.message, rejection.source.file, rejection.source.text):
        assert text.isprintable() and text


@pytest.mark.parametrize(
    "line",
    [
        b"1" * 4090 + b": (95) exit",
        b"1: (95) " + b" " * 4000 + b"; R",
        b"1: (95) " + b" 1: " * 1000,
        b"R1=" + b"(" * 4000,
        b"a.c" * 1300 + b":",
        b"program " * 500 + b"load program: a",
        b"> " * 2000 + b"1: (9",
        b"; @" + b" @ :1" * 800,
    ],
)
def test_lines_made_for_backtracking(line: bytes) -> None:
    block = b"\nR1 is bad\nVerification failed: x\nReason:\nx\nAt:\n" + b"\n".join([line] * 64)
    found = rejections(b"\n".join([line] * 64) + block + b"\nprocessed 1 insns\n")
    assert found and all(r.class_ in BY_KEY for r in found)


WORDS = sorted({line for log in FIXTURES for line in log.read_bytes().splitlines(keepends=True)})
LINES = st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=40)), max_size=30)


@settings(max_examples=300, deadline=None)
@given(LINES, st.data())
def test_any_bytes_are_taken(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(lines)
    stream = stream[: data.draw(st.integers(0, len(stream)))]
    for rejection in rejections(stream):
        assert rejection.class_ in BY_KEY and rejection.message.isprintable()


# Where the line is


def test_locate_by_text_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.bpf.c"
    path.write_bytes(b"int a;\r\n\treturn x->y;\r\nint b;\r\n\treturn x->y;\r\n")
    rejection = only(b"; return x->y;\n1: (61) r0 = *(u32 *)(r0 +0)\nR0 invalid mem access 'inv'\nprocessed 2 insns\n")
    places = [SourceLine(str(path), n, "return x->y;") for n in (2, 4)]
    assert locate(rejection, [Source.read(path)]) == places
    assert locate(rejection, []) == []


def test_locate_the_nearest_line_of_the_named_file(tmp_path: Path) -> None:
    for name in ("a.bpf.c", "b.bpf.c"):
        (tmp_path / name).write_text("return 1;\n\n\nreturn 1;\n")
    sources = [Source.read(tmp_path / n) for n in ("a.bpf.c", "b.bpf.c")]
    rejection = only(b"; return 1; @ b.bpf.c:5\n1: (95) exit\nR0 !read_ok\nprocessed 2 insns\n")
    assert [(Path(f.file).name, f.line) for f in locate(rejection, sources)] == [("b.bpf.c", 4), ("b.bpf.c", 1)]


def test_locate_a_program_of_bcc_in_its_python_host(tmp_path: Path) -> None:
    tool = tmp_path / "tool.py"
    tool.write_text('text = """\nint f(void *ctx) {\n  u16 port = ntohs(sk->__sk_common.skc_dport);\n}"""\n')
    assert [f.line for f in locate(around("bcc")[0], [Source.read(tool)])] == [3]


def clang() -> str:
    found = next(filter(None, map(shutil.which, ("clang", "clang-19", "clang-14"))), None)
    if found is None:
        if os.environ.get("EBPFFIX_REQUIRE_VERIFIER") == "1":
            pytest.fail("no clang")
        pytest.skip("no clang")
    return found


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("object")
    (folder / "two.bpf.c").write_text(
        '__attribute__((section("a"))) int first(int *p)\n{\n\treturn p[0];\n}\n'
        '__attribute__((section("a"))) int second(int *p)\n{\n\treturn p[1];\n}\n'
    )
    command = [clang(), "-O2", "-g", "-target", "bpf", "-c", "two.bpf.c", "-o", "two.o"]
    subprocess.run(command, cwd=folder, check=True, timeout=60)
    return (folder / "two.o").read_bytes()


@pytest.mark.parametrize(("name", "line", "text"), [("first", 3, "return p[0];"), ("second", 7, "return p[1];")])
def test_line_of_an_instruction(program: bytes, name: str, line: int, text: str) -> None:
    found = line_of(program, name, 0)
    assert found is not None
    assert (Path(found.file).name, found.line, found.text) == ("two.bpf.c", line, text)


def test_line_of_what_is_not_there(program: bytes) -> None:
    assert line_of(program, "third", 0) is None
    assert line_of(program, "first", 99) is None


def broken(program: bytes) -> Iterator[bytes]:
    yield from (b"", b"\x7fELF", b"\x7fELF\x02\x01" + b"\0" * 20, b"int main;")
    yield from (program[:n] for n in range(0, len(program), 97))
    yield from (program[:n] + b"\xff\xff\xff\xff" + program[n + 4 :] for n in range(0, len(program), 41))


def test_line_of_survives_broken_objects(program: bytes) -> None:
    for data in broken(program):
        try:
            line_of(data, "first", 0)
        except ValueError as error:
            assert "ELF" in str(error)


# The running kernel


@pytest.mark.parametrize(
    "case", ["packet-bounds/short_check", "scalar-deref/raw_task", "reference/reservation", "accepted/everything"]
)
def test_this_kernel_refuses_the_programs_for_the_same_reasons(case: str, compiled: Compile, verifier: None) -> None:
    (result,) = load(compiled(LOGS / f"{case}.bpf.c"))
    expected = case.split("/")[0]
    assert result.verdict == ("accepted" if expected == "accepted" else "rejected")
    if result.verdict == "rejected":
        rejection = only(result.log.encode())
        assert rejection.class_ == expected
        assert rejection.source is not None and "refused" in rejection.source.text
