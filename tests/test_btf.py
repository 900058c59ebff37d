"""BTF: read, refuse what is broken, and write C that has the layout of what was read."""

from __future__ import annotations

import ctypes
import io
import os
import random
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from ebpffix.kernel.btf import Btf, BtfError, Kind, Struct, load
from ebpffix.kernel.btf_c import _HeaderWriter, declare, func, stub, write_header

KERNEL = Path("/sys/kernel/btf/vmlinux")


def missing(what: str) -> None:
    """Skip for want of a tool; where the tests must be complete, fail."""
    if os.environ.get("EBPFFIX_REQUIRE_VERIFIER") == "1":
        pytest.fail(f"{what} is wanted here")
    pytest.skip(f"no {what}")


class Maker:
    """Builds BTF type by type; `add` answers the new type's id."""

    def __init__(self, order: str = "<", first_id: int = 1, strings: bytes = b"\0", string_base: int = 0) -> None:
        self.order, self.types, self.strings = order, b"", strings
        self.next, self.string_base = first_id, string_base

    def text(self, name: str) -> int:
        if not name:
            return 0
        self.strings += name.encode() + b"\0"
        return self.string_base + len(self.strings) - len(name.encode()) - 1

    def add(self, kind: int, name: str, third: int, *tail: int, entries: int = 0, flag: bool = False) -> int:
        info = kind << 24 | entries | flag << 31
        words = (self.text(name), info, third, *tail)
        self.types += struct.pack(f"{self.order}{len(words)}I", *(w & 0xFFFFFFFF for w in words))
        self.next += 1
        return self.next - 1

    def integer(self, name: str, size: int, encoding: int = 0) -> int:
        return self.add(Kind.INT, name, size, encoding << 24 | size * 8)

    def record(
        self, name: str, size: int, *members: tuple[str, int, int] | tuple[str, int, int, int], union: bool = False
    ) -> int:
        """Members are (name, type, bit offset) with a bitfield's width behind them."""
        flag = any(len(m) == 4 for m in members)
        tail = [w for n, t, o, *b in members for w in (self.text(n), t, o | (b[0] << 24 if b else 0))]
        return self.add(Kind.UNION if union else Kind.STRUCT, name, size, *tail, entries=len(members), flag=flag)

    def ptr(self, target: int) -> int:
        return self.add(Kind.PTR, "", target)

    def array(self, element: int, count: int) -> int:
        return self.add(Kind.ARRAY, "", 0, element, element, count)

    def proto(self, returns: int, *params: tuple[str, int]) -> int:
        tail = [w for n, t in params for w in (self.text(n), t)]
        return self.add(Kind.FUNC_PROTO, "", returns, *tail, entries=len(params))

    def data(self) -> bytes:
        sizes = (24, 0, len(self.types), len(self.types), len(self.strings))
        return struct.pack(self.order + "HBBIIIII", 0xEB9F, 1, 0, *sizes) + self.types + self.strings

    def btf(self) -> Btf:
        return Btf(Path("made.btf"), self.data())


def every_kind(order: str = "<") -> Maker:
    """One of each kind, some of them of several shapes."""
    m = Maker(order)
    integer, char = m.integer("int", 4, 1), m.integer("char", 1)
    m.integer("long unsigned int", 8)
    m.integer("_Bool", 1, 4)
    sock = m.add(Kind.FWD, "sock", 0)
    sock_ptr = m.ptr(sock)
    callback = m.ptr(m.proto(integer, ("", sock_ptr), ("", integer)))
    m.add(Kind.TYPEDEF, "callback_t", callback)
    inner = m.record("", 8, ("low", integer, 0), ("high", integer, 32), union=False)
    choice = m.record("", 8, ("", inner, 0), ("whole", m.array(char, 8), 0), union=True)
    comm = m.array(m.add(Kind.CONST, "", char), 16)
    tagged = m.ptr(m.add(Kind.TYPE_TAG, "user", char))
    bits = (("a", integer, 0, 3), ("b", integer, 3, 20))
    m.record("task", 48, *bits, ("", choice, 64), ("comm", comm, 128), ("run", callback, 256), ("from", tagged, 320))
    m.add(Kind.ENUM, "state", 4, m.text("DEAD"), -1, m.text("RUNS"), 1, entries=2, flag=True)
    m.add(Kind.ENUM64, "wide", 8, m.text("HUGE"), 5, 1, m.text("TOP"), 0, 0x80000000, entries=2)
    m.add(Kind.ENUM, "", 4, m.text("NAMELESS"), 7, entries=1)
    m.add(Kind.FLOAT, "double", 8)
    m.add(Kind.VOLATILE, "", m.add(Kind.RESTRICT, "", sock_ptr))
    func = m.add(Kind.FUNC, "wake", m.proto(0, ("who", sock_ptr), ("", 0)))
    var = m.add(Kind.VAR, "counter", integer, 1)
    m.add(Kind.DATASEC, ".bss", 4, var, 0, 4, entries=1)
    m.add(Kind.DECL_TAG, "kfunc", func, 0xFFFFFFFF)
    return m


def elf(section: bytes, wide: bool, order: str, name: bytes = b".BTF") -> bytes:
    """An ELF file with one section beside the null one and the names."""
    names = b"\0" + name + b"\0.shstrtab\0"
    header_size, entry = (64, "IIQQQQIIQQ") if wide else (52, "10I")
    body = section + names
    table = header_size + len(body)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    entry_size = struct.calcsize(order + entry)
    form = order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH")
    header = ident + struct.pack(form, 1, 247, 1, 0, 0, table, 0, header_size, 0, 0, entry_size, 3, 2)
    rows = [(0,) * 10, (1, 1, 0, 0, header_size, len(section), 0, 0, 1, 0)]
    rows.append((len(name) + 2, 3, 0, 0, header_size + len(section), len(names), 0, 0, 1, 0))
    return header + body + b"".join(struct.pack(order + entry, *row) for row in rows)


def header_of(btf: Btf) -> str:
    out = io.StringIO()
    write_header(btf, out)
    return out.getvalue()


def the(btf: Btf, name: str) -> Struct:
    found = btf.struct(name)
    assert found
    return found


# -- what must be refused


def patched(at: int, new: bytes) -> bytes:
    data = every_kind().data()
    return data[:at] + new + data[at + len(new) :]


def one_type(*words: int) -> bytes:
    m = Maker()
    m.types = struct.pack(f"<{len(words)}I", *words)
    return m.data()


BROKEN = {
    "empty": b"",
    "text": b"int main(void) { return 0; } /* long enough */",
    "short header": every_kind().data()[:20],
    "version": patched(2, b"\x07"),
    "header size": patched(4, b"\x08\0\0\0"),
    "types beyond the end": patched(12, b"\xfc\xff\xff\x7f"),
    "strings beyond the end": every_kind().data()[:-1],
    "types of half a word": patched(12, b"\x03"),
    "strings without end": every_kind().data()[:-1] + b"x",
    "unknown kind": one_type(0, 20 << 24, 0),
    "last kind": one_type(0, 31 << 24, 0),
    "void in the file": one_type(0, 0, 0),
    "type cut in its head": one_type(0),
    "type cut in its tail": one_type(0, Kind.STRUCT << 24 | 0xFFFF, 4),
    "split without base": Maker(strings=b"x\0").data(),
    "ELF, nothing more": b"\x7fELF",
    "ELF of no class": b"\x7fELF" + bytes(60),
    "ELF without BTF": elf(b"data", True, "<", b".text"),
    "ELF truncated": elf(every_kind().data(), True, "<")[:-40],
    "ELF with broken BTF": elf(b"data", False, ">"),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_broken_file_is_one_clear_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "broken"
    path.write_bytes(data)
    with pytest.raises(BtfError) as caught:
        load(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and "\n" not in text
    assert any(cure in text for cure in ("give", "build it again", "put"))


@pytest.mark.parametrize("path", ["absent", ".", "/dev/zero"])
def test_what_is_no_file_is_refused(path: str) -> None:
    with pytest.raises(BtfError, match="give"):
        load(Path(path))


def test_references_beyond_the_file() -> None:
    m = Maker()
    pointer, bad_name = m.ptr(99), m.record("s", 4, ("x", 77, 0))
    btf = m.btf()
    for query in (lambda: declare(btf, pointer, "p"), lambda: btf.size_of(bad_name + 5), lambda: btf.kind(99)):
        with pytest.raises(BtfError):
            query()
    with pytest.raises(BtfError):
        header_of(btf)
    with pytest.raises(BtfError, match="name"):
        Btf(Path("x"), one_type(500, Kind.PTR << 24, 0)).name(1)


def loops() -> dict[str, Btf]:
    typedef, array, by_value, nameless, params, arrays = (Maker() for _ in range(6))
    typedef.add(Kind.TYPEDEF, "t", 2)
    typedef.add(Kind.TYPEDEF, "u", 1)
    array.add(Kind.ARRAY, "", 0, 1, 1, 2)
    array.record("s", 8, ("a", 1, 0))
    by_value.record("s", 8, ("a", 2, 0))
    by_value.record("t", 8, ("a", 1, 0))
    nameless.record("", 8, ("a", 1, 0), ("b", 1, 0), union=True)
    nameless.record("s", 8, ("", 1, 0))
    params.ptr(2)
    params.proto(0, ("a", 1), ("b", 1))
    params.record("s", 8, ("f", 1, 0))
    arrays.integer("int", 4, 1)
    for i in range(80):
        arrays.array(1 + i, 0xFFFFFFFF)
    arrays.record("s", 8, ("f", 81, 0))
    found = {"typedef": typedef, "array": array, "by value": by_value, "nameless": nameless}
    return {n: m.btf() for n, m in (found | {"parameters": params, "deep": arrays}).items()}


@pytest.mark.parametrize("btf", loops().values(), ids=loops())
def test_types_that_contain_themselves(btf: Btf) -> None:
    with pytest.raises(BtfError):
        header_of(btf)
    for type_id in range(len(btf)):
        exercise(btf, type_id)


def test_small_file_cannot_make_endless_text() -> None:
    m = Maker()
    inner = m.integer("int", 4, 1)
    for _ in range(40):
        inner = m.record("", 4, ("a", inner, 0), ("b", inner, 0), union=True)
    m.record("s", 4, ("", inner, 0))
    pointer = inner = m.integer("char", 1)
    for _ in range(40):
        pointer = m.ptr(m.proto(0, ("", pointer), ("", pointer)))
    with pytest.raises(BtfError, match="more text"):
        header_of(m.btf())
    with pytest.raises(BtfError, match="more text"):
        declare(m.btf(), pointer, "f")
    assert the(m.btf(), "s").find("absent") is None


def test_typedef_without_a_name() -> None:
    m = Maker()
    m.record("s", 4, ("x", m.add(Kind.TYPEDEF, "", m.integer("int", 4, 1)), 0))
    assert "\tint x;\n" in header_of(m.btf())


def test_overlap_and_overflow() -> None:
    for offset, size in ((16, 8), (64, 8)):
        m = Maker()
        integer = m.integer("int", 4, 1)
        m.record("s", size, ("a", integer, 0), ("b", integer, offset))
        with pytest.raises(BtfError):
            header_of(m.btf())


def test_padding_that_would_not_end() -> None:
    m = Maker()
    m.record("s", 0xFFFFFFF8, ("a", m.integer("int", 4, 1), 0))
    assert len(header_of(m.btf())) < 2000


def exercise(btf: Btf, type_id: int) -> None:
    """Ask everything about a type; BtfError, and ValueError of a stub, are the only errors there may be."""
    for ask in (
        lambda: btf.kind(type_id), lambda: btf.size_of(type_id), lambda: declare(btf, type_id, "x"),
        lambda: btf.members(type_id), lambda: btf.enumerators(type_id), lambda: btf.struct(btf.name(type_id)),
        lambda: func(btf, btf.name(type_id)), lambda: btf.struct_of(type_id).find("run.low"),
        lambda: both_stubs(btf, btf.struct_of(type_id)),
    ):  # fmt: skip
        try:
            ask()
        except BtfError as error:
            assert "\n" not in str(error)


def both_stubs(btf: Btf, record: Struct) -> None:
    for core in (True, False):
        try:
            stub(btf, record.name, [m.name for m in record.members if m.name], core=core, release="6.1")
        except ValueError as error:
            assert str(error) and "\n" not in str(error)


def mutations(data: bytes, count: int, seed: int) -> list[bytes]:
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        copy = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 8))):
            copy[rng.randrange(len(copy))] ^= 1 << rng.randrange(8)
        made.append(bytes(copy[: rng.randrange(len(copy))] if rng.random() < 0.1 else copy))
        made.append(data[:24] + rng.randbytes(len(data) - 24))
    return made


@pytest.mark.parametrize("order", "<>")
def test_fuzz_types(order: str) -> None:
    for data in mutations(every_kind(order).data(), 400, 1):
        try:
            btf = Btf(Path("fuzz"), data)
            for type_id in range(min(len(btf), 60)):
                exercise(btf, type_id)
            header_of(btf)
        except BtfError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("wide", [True, False])
def test_fuzz_elf(tmp_path: Path, wide: bool) -> None:
    path = tmp_path / "fuzz.o"
    whole = elf(every_kind().data(), wide, "<")
    rng = random.Random(2)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(3):  # the tables stand at both ends
            data[rng.choice((rng.randrange(64), -1 - rng.randrange(200)))] = rng.randrange(256)
        path.write_bytes(data[: rng.randrange(len(data))] if rng.random() < 0.2 else data)
        try:
            load(path)
        except BtfError as error:
            assert "\n" not in str(error)


# -- reading


@pytest.mark.parametrize("order", "<>")
def test_all_kinds(order: str) -> None:
    btf = every_kind(order).btf()
    assert {btf.kind(i) for i in range(len(btf))} == set(Kind)
    task = the(btf, "task")
    assert (task.size, task.is_union, len(task.members)) == (48, False, 6)
    places = {p: (m.offset, m.bits) for p in ("a", "b", "high", "whole", "comm", "from") if (m := task.find(p))}
    assert places == {"a": (0, 3), "b": (3, 20), "high": (96, 0), "whole": (64, 0), "comm": (128, 0), "from": (320, 0)}
    for absent in ("", "zz", "comm.x", "from.x", "a.b", "high.", ".high"):
        assert task.find(absent) is None
    enums = {btf.name(i): btf.enumerators(i) for i in range(len(btf)) if btf.kind(i) in (Kind.ENUM, Kind.ENUM64)}
    assert enums["state"] == [("DEAD", -1), ("RUNS", 1)]
    assert enums["wide"] == [("HUGE", 5 | 1 << 32), ("TOP", 1 << 63)]
    wake = func(btf, "wake")
    assert wake and wake.returns == "void" and [(p.name, p.c_type) for p in wake.params] == [
        ("who", "struct sock *"), ("", "..."),
    ]  # fmt: skip
    assert func(btf, "task") is None and btf.struct("wake") is None and btf.struct("") is None and not btf.struct("as")


def test_declarations() -> None:
    m = Maker()
    integer, char = m.integer("int", 4, 1), m.integer("char", 1)
    sock = m.ptr(m.record("sock", 4, ("x", integer, 0)))
    proto = m.proto(integer, ("", sock), ("", integer))
    callback = m.ptr(proto)
    table = m.ptr(m.array(callback, 4))
    constant = m.add(Kind.CONST, "", char)
    matrix = m.array(m.array(constant, 3), 2)
    fixed = m.add(Kind.CONST, "", m.ptr(constant))
    factory = m.ptr(m.proto(callback))
    btf = m.btf()
    assert declare(btf, callback, "f") == "int (*f)(struct sock *, int)"
    assert declare(btf, proto, "f") == "int f(struct sock *, int)"
    assert declare(btf, table, "t") == "int (*(*t)[4])(struct sock *, int)"
    assert declare(btf, matrix, "m") == "const char m[2][3]"
    assert declare(btf, fixed, "p") == "const char *const p"
    assert declare(btf, factory, "g") == "int (*(*g)(void))(struct sock *, int)"
    assert declare(btf, sock, "") == "struct sock *" and declare(btf, 0, "") == "void"
    assert btf.size_of(matrix) == 6 and btf.size_of(table) == 8


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("order", "<>")
def test_elf(tmp_path: Path, wide: bool, order: str) -> None:
    path = tmp_path / "x.o"
    path.write_bytes(elf(every_kind(order).data(), wide, order))
    btf = load(path)
    assert the(btf, "task").size == 48 and btf.pointer_size == (8 if wide else 4)


def test_split(tmp_path: Path) -> None:
    base_maker = every_kind()
    (tmp_path / "vmlinux").write_bytes(base_maker.data())
    m = Maker(first_id=base_maker.next, strings=b"", string_base=len(base_maker.strings))
    base = load(tmp_path / "vmlinux")
    m.record("of_module", 56, ("task", the(base, "task").id, 0), ("more", 1, 384))
    (tmp_path / "module").write_bytes(m.data())
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/module").write_bytes(m.data())
    with pytest.raises(BtfError, match="put the kernel's own next to it"):
        load(tmp_path / "elsewhere/module")
    assert the(load(tmp_path / "module"), "of_module").size == 56  # vmlinux is beside it
    btf = load(tmp_path / "module", base)
    found = the(btf, "of_module").find("task.high")
    assert found and found.offset == 96 and btf.first_id == len(base) and the(btf, "task").size == 48
    assert base.struct("of_module") is None
    assert "struct of_module {" in header_of(btf) and "struct task {" in header_of(btf)


def test_old_bitfields() -> None:
    m = Maker()
    narrow = m.add(Kind.INT, "unsigned int", 4, 5 << 16 | 3)
    m.record("s", 4, ("x", narrow, 8))
    found = the(m.btf(), "s").find("x")
    assert found and (found.offset, found.bits) == (13, 3)


# -- C


@pytest.fixture(params=["clang-19", "clang-14"])
def clang(request: pytest.FixtureRequest) -> str:
    found = shutil.which(str(request.param))
    if not found:
        missing(request.param)
    assert found
    return found


def compiles(clang: str, source: Path, *flags: str) -> None:
    command = [clang, "-target", "bpf", "-O2", "-Wall", "-Wextra", "-Werror", *flags, "-c", str(source)]
    run = subprocess.run([*command, "-o", str(source.with_suffix(".o"))], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr[:3000]


def asserts(btf: Btf, writer: _HeaderWriter, ids: list[int]) -> str:
    """C that holds where each of the structs has the size and each plain member the offset of the BTF."""
    lines = []
    for type_id in ids:
        record = btf.struct_of(type_id)
        name = f"{'union' if record.is_union else 'struct'} {writer.tag(type_id)}"
        lines.append(f'_Static_assert(sizeof({name}) == {record.size}, "");\n')
        todo = [(m, 0) for m in record.members]
        for m, start in todo:
            if m.name and not m.bits:
                at = (start + m.offset) // 8
                member = writer.identifier(m.name)
                lines.append(f'_Static_assert(__builtin_offsetof({name}, {member}) == {at}, "{member}");\n')
            elif not m.name and not m.bits:
                todo += [(inner, start + m.offset) for inner in btf.members(btf.resolve(m.type))]
    return "".join(lines)


def named_records(btf: Btf) -> list[int]:
    return [i for i in range(len(btf)) if btf.kind(i) in (Kind.STRUCT, Kind.UNION) and btf.name(i)]


def awkward() -> Btf:
    """The shapes that a header writer gets wrong."""
    m = every_kind()
    integer, char, long = 1, 2, 3
    short = m.integer("short int", 2, 1)
    flags = m.integer("unsigned int", 4)
    packed = m.record("packed", 7, ("a", char, 0), ("b", integer, 8), ("c", short, 40))
    m.record("packed_end", 5, ("a", integer, 0), ("b", char, 32))
    m.record("tail", 64, ("a", integer, 0))
    m.record("holes", 256, ("a", char, 0), ("b", char, 24), ("c", integer, 1024))
    m.record("bits", 16, ("a", flags, 0, 1), ("b", flags, 37, 5), ("c", char, 48), ("d", flags, 64, 32))
    m.record("bits_packed", 9, ("a", flags, 0, 30), ("b", flags, 30, 10), ("c", integer, 40))
    m.record("flexible", 8, ("n", integer, 0), ("data", m.array(char, 0), 32))
    m.record("flexible_tail", 16, ("n", long, 0), ("data", m.array(char, 0), 72))
    m.record("wide_union", 64, ("a", integer, 0), union=True)
    m.record("odd_union", 12, ("a", m.array(char, 3), 0), union=True)
    m.record("empty", 0)
    m.record("holder", 24, ("p", packed, 8), ("after", char, 160), ("last", char, 184))
    gap = m.record("", 200, ("x", char, 0), ("y", char, 1592))
    gap2 = m.record("", 200, ("z", char, 0), ("w", char, 1592))
    m.record("gaps", 400, ("", gap, 0), ("", gap2, 1600))
    m.record("task", 8, ("other", long, 0))
    m.record("task", 4, ("third", integer, 0), union=True)
    m.add(Kind.TYPEDEF, "callback_t", long)
    m.add(Kind.TYPEDEF, "RUNS", integer)
    m.add(Kind.TYPEDEF, "bool", 4)
    m.add(Kind.ENUM, "", 4, m.text("false"), 0, m.text("true"), 1, entries=2)
    m.add(Kind.ENUM, "tiny", 1, m.text("T0"), 0, entries=1)
    m.add(Kind.ENUM64, "padded", 8, m.text("P0"), 0, 0, entries=1)
    m.add(Kind.ENUM64, "low", 8, m.text("LOW"), 0, 0x80000000, entries=1, flag=True)
    sizes = [("t", m.next - 3, 0), ("p", m.next - 2, 64), ("l", m.next - 1, 128)]
    m.record("enums", 24, *sizes)
    twice = m.add(Kind.ENUM, "", 4, m.text("TWICE"), 3, entries=1)
    m.record("one", 4, ("e", twice, 0))
    m.record("two", 4, ("e", twice, 0))
    m.record("keywords", 8, ("int", integer, 0), ("2nd-name", integer, 32))
    m.add(Kind.FLOAT, "long double", 16)
    m.record("floats", 32, ("l", m.next - 1, 0), ("i", m.integer("__int128", 16, 1), 128))
    tag = m.record("__va_list_tag", 24, ("x", m.array(long, 3), 0))
    builtin = m.add(Kind.TYPEDEF, "__builtin_va_list", m.array(tag, 1))
    arguments = m.add(Kind.TYPEDEF, "va_list", builtin)
    m.record("arguments", 32, ("format", m.ptr(char), 0), ("list", arguments, 64))
    unseen = m.ptr(m.next + 1)
    m.record("late", 4, ("x", integer, 0))
    m.ptr(m.next + 1)
    m.record("node", 16, ("next", m.next - 1, 0), ("on", m.ptr(m.proto(0, ("", unseen))), 64))
    return m.btf()


def test_header_of_awkward_shapes(tmp_path: Path, clang: str) -> None:
    btf = awkward()
    text = header_of(btf)
    (tmp_path / "vmlinux.h").write_text(text)
    source = tmp_path / "x.c"
    checks = asserts(btf, _HeaderWriter(btf), named_records(btf))
    more = "_Static_assert(sizeof(callback_t___2) == 8 && RUNS___2 == 1 && TOP == 1ULL << 63 && true"
    more += ' && TWICE == 3 && sizeof(va_list) == 24, "");'
    source.write_text(f'#include "vmlinux.h"\n#include "vmlinux.h"\n{checks}{more}\n')
    compiles(clang, source)
    compiles(clang, source, "-DBPF_NO_PRESERVE_ACCESS_INDEX")
    compiles(clang, source, "-std=c2x")
    assert bitfields(load_compiled(clang, tmp_path, btf, text)) == bitfields(btf)
    assert "struct task___2 {" in text and "union task___3 {" in text
    assert text.count("attribute__((packed))") == 3  # "packed", "packed_end", "bits_packed"


def load_compiled(clang: str, folder: Path, btf: Btf, header: str) -> Btf:
    """What clang itself says of the structs with bitfields, once it has compiled the header."""
    writer = _HeaderWriter(btf)
    names = [f"{'union' if btf.struct_of(i).is_union else 'struct'} {writer.tag(i)}" for i in with_bitfields(btf)]
    (folder / "vmlinux.h").write_text(header)
    source = folder / "bits.c"
    source.write_text('#include "vmlinux.h"\n' + "".join(f"{n} v{i};\n" for i, n in enumerate(names)))
    compiles(clang, source, "-g", f"-I{folder}")
    return load(source.with_suffix(".o"))


def with_bitfields(btf: Btf) -> list[int]:
    return [i for i in named_records(btf) if any(m.bits for m in btf.members(i))]


def bitfields(btf: Btf) -> set[tuple[str, str, int, int]]:
    """Name of the struct (less the number of a namesake), name, bit offset and bits of each bitfield."""
    names = {i: re.sub(r"___\d+$", "", btf.name(i)) for i in with_bitfields(btf)}
    return {(n, m.name, m.offset, m.bits) for i, n in names.items() for m in btf.members(i) if m.bits and m.name}


@pytest.fixture(scope="module")
def kernel() -> Btf:
    if not KERNEL.exists():
        missing("kernel BTF")
    return load(KERNEL)


@pytest.fixture(scope="module")
def kernel_header(kernel: Btf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kernel") / "vmlinux.h"
    path.write_text(header_of(kernel))
    return path


def test_kernel_layouts(kernel: Btf, kernel_header: Path, clang: str) -> None:
    records = named_records(kernel)
    assert len(records) > 1000
    source = kernel_header.with_name("layout.c")
    source.write_text(f'#include "vmlinux.h"\n{asserts(kernel, _HeaderWriter(kernel), records)}')
    compiles(clang, source)


def test_kernel_bitfields(kernel: Btf, kernel_header: Path, clang: str) -> None:
    compiled = bitfields(load_compiled(clang, kernel_header.parent, kernel, kernel_header.read_text()))
    wanted = bitfields(kernel)
    assert len(wanted) > 1000 and wanted <= compiled


def test_kernel_types_are_those_of_bpftool(kernel_header: Path) -> None:
    bpftool = shutil.which("bpftool", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not bpftool:
        missing("bpftool")
    command = [str(bpftool), "btf", "dump", "file", str(KERNEL), "format", "c"]
    theirs = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    def defined(text: str) -> tuple[list[str], list[str], list[str]]:
        """Tags, typedefs, and constants."""
        typedefs = re.findall(r"^(?:typedef .*?|\}.*? )\(?\*?(\w+)(?:\[\d*\])*(?:\)\(.*\))?;$", text, re.MULTILINE)
        constants = re.findall(r"^\t(\w+) = ", text, re.MULTILINE)
        tags = re.findall(r"^(?:struct|union|enum) \w+ \{", text, re.MULTILINE)
        return sorted(tags), sorted(typedefs), sorted(constants)

    mine = kernel_header.read_text()
    assert defined(mine) == defined(theirs)


# -- stubs


def test_stub_for_co_re() -> None:
    made = stub(awkward(), "task", ["high", "comm", "run"], core=True, release="6.1")
    assert made.needs == () and "kernel 6.1" not in made.text
    assert made.text.split("*/\n")[1] == (
        "struct sock;\nstruct task {\n\tint high;\n\tconst char comm[16];\n"
        "\tint (*run)(struct sock *, int);\n} __attribute__((preserve_access_index));\n"
    )


def test_stub_looks_into_structs() -> None:
    m = Maker()
    state = m.record("css", 16, ("id", m.integer("int", 4, 1), 0), ("group", m.ptr(0), 64))
    m.record("task_group", 32, ("css", state, 0), ("shares", m.ptr(0), 192))
    cut = stub(m.btf(), "task_group", ["css.group"], core=True, release="6.1")
    assert "\tstruct {\n\t\tvoid *group;\n\t} css;\n" in cut.text and not cut.needs
    whole = stub(m.btf(), "task_group", ["css.group", "css"], core=True, release="6.1")
    assert "\tstruct css css;\n" in whole.text and whole.needs == ("struct css",)
    padded = stub(m.btf(), "task_group", ["css.group", "shares"], core=False, release="6.1")
    assert padded.needs == ("struct css",) and "[8];\n\tvoid *shares;\n" in padded.text
    assert "(struct task_group, css.group) == 8," in padded.text


def test_stub_refuses() -> None:
    btf = awkward()
    for name, path, reason in (
        ("absent", "x", "no struct absent"),
        ("task", "absent", "no member absent"),
        ("task", "from.x", "no member from.x"),
        ("bits_packed", "b", "no padding can place it"),
    ):
        with pytest.raises(ValueError, match=reason):
            stub(btf, name, [path], core=False, release="6.1")


STUBBED = {
    "task_struct": ["comm", "pid", "in_execve", "sched_task_group", "restart_block.fn", "se.vruntime", "cpus_mask"],
    "sock_common": ["skc_daddr", "skc_addrpair", "skc_num", "skc_family", "skc_reuse", "skc_dport", "skc_prot"],
    "sock": ["__sk_common.skc_dport", "sk_protocol", "sk_error_report", "sk_lock"],
    "task_group": ["css.cgroup", "css", "shares"],
    "page": ["flags", "_refcount"],
    "iphdr": ["saddr", "ihl", "protocol"],
    "ethhdr": ["h_proto"],
    "in6_addr": ["in6_u.u6_addr32"],
    "nsproxy": ["uts_ns"],
}


@pytest.mark.parametrize("core", [True, False])
def test_stubs_against_the_kernel(kernel: Btf, kernel_header: Path, clang: str, tmp_path: Path, core: bool) -> None:
    """Each stub, in a file where only what it says that it needs is complete, has the real layout."""
    alone, with_header = "", f'#include "{kernel_header}"\n'
    for name, paths in STUBBED.items():
        record = the(kernel, name)
        made = stub(kernel, name, paths, core=core, release="6.18")
        tag = f"{name}_stub"
        text = re.sub(rf"\bstruct {name}\b", f"struct {tag}", made.text)
        text += f"extern struct {tag} *use_{name};\n"
        if not core:
            text += f'_Static_assert(sizeof(struct {tag}) == {record.size}, "");\n'
            plain = [(p, m.offset // 8) for p in paths if (m := record.find(p)) and not m.bits]
            text += "".join(f'_Static_assert(__builtin_offsetof(struct {tag}, {p}) == {o}, "");\n' for p, o in plain)
        if made.needs:
            with_header += text
        else:
            alone += text
    for number, text in enumerate((alone, with_header)):
        source = tmp_path / f"{number}.c"
        source.write_text(text)
        compiles(clang, source)


CO_RE_PROGRAM = """
#define SEC(name) __attribute__((section(name), used))
static long (*get_current_task)(void) = (void *)35;
static long (*probe_read_kernel)(void *, unsigned int, const void *) = (void *)113;
char LICENSE[] SEC("license") = "GPL";
%s
int pid;
void *group;
SEC("raw_tp/sched_switch") int switched(void *ctx)
{
	struct task_struct *task = (void *)get_current_task();
	struct task_group *tg;

	probe_read_kernel(&pid, sizeof(pid), &task->pid);
	probe_read_kernel(&tg, sizeof(tg), (void *)&task->sched_task_group);
	probe_read_kernel(&group, sizeof(group), (void *)&tg->css.cgroup);
	return 0;
}
"""


def loads(path: Path) -> bool:
    """Whether libbpf relocates the object and the kernel takes its programs."""
    try:
        libbpf = ctypes.CDLL("libbpf.so.1")
    except OSError:
        missing("libbpf.so.1")
    libbpf.libbpf_set_print(None)
    libbpf.bpf_object__open.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(libbpf.bpf_object__open(str(path).encode()))
    assert handle.value
    try:
        return bool(libbpf.bpf_object__load(handle) == 0)
    finally:
        libbpf.bpf_object__close.restype = None
        libbpf.bpf_object__close(handle)


def test_co_re_stub_loads(kernel: Btf, clang: str, tmp_path: Path) -> None:
    if os.geteuid():
        missing("root")
    stubs = [("task_struct", ["pid", "sched_task_group"]), ("task_group", ["css.cgroup"])]
    text = "".join(stub(kernel, name, paths, core=True, release="6.18").text for name, paths in stubs)
    source = tmp_path / "x.c"
    source.write_text(CO_RE_PROGRAM % text)
    compiles(clang, source, "-g", "-Wno-unused-parameter")
    assert loads(source.with_suffix(".o"))
    source.write_text((CO_RE_PROGRAM % text).replace("cgroup", "no_such_member"))
    compiles(clang, source, "-g", "-Wno-unused-parameter")
    assert not loads(source.with_suffix(".o"))
