"""What nodes and types answer, and that nobody but the frontend knows libclang."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from ebpffix.fix import BCC, LIBBPF
from ebpffix.frontend import Node, Unit
from ebpffix.frontend.environment import Environment, Options
from ebpffix.frontend.parse import parse
from ebpffix.sources.source import Source

ROOT = Path(__file__).parent.parent
Make = Callable[..., Unit]

# What only cindex has.
_CINDEX = frozenset(
    """cursor _cursor _type tu get_canonical get_size get_align get_declaration get_fields get_pointee get_result
    get_definition get_usr get_children get_field_offsetof get_bitfield_width element_type element_count storage_class
    semantic_parent lexical_parent argument_types is_const_qualified is_volatile_qualified is_anonymous""".split()
)


def _outside() -> list[Path]:
    files = [*(ROOT / "ebpffix").rglob("*.py"), *(ROOT / "transforms").rglob("*.py")]
    return [file for file in files if "frontend" not in file.relative_to(ROOT).parts]


def _knows(text: str) -> list[str]:
    """Where a module's text touches libclang."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and node.attr in _CINDEX:
            found.append(f"line {node.lineno}: .{node.attr}")
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        else:
            continue
        if any(name.split(".")[0] == "clang" or name.startswith("ebpffix.frontend.clang") for name in names):
            found.append(f"line {node.lineno}: imports {names[-1]}")
    return found


def test_only_the_frontend_knows_libclang() -> None:
    assert len(_outside()) > 80
    assert {str(file): said for file in _outside() if (said := _knows(file.read_text()))} == {}


@pytest.mark.parametrize(
    "text",
    [
        "x.cursor",
        "n.type.get_canonical()",
        "import clang",
        "from clang import cindex",
        "from ebpffix.frontend import clang",
    ],
)
def test_that_is_seen(text: str) -> None:
    assert _knows(text)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(text: str, dialect: str = LIBBPF) -> Unit:
        source = Source(tmp_path / "program.c", text.encode())
        setup = Environment(Options()).setup(source, dialect)
        parsed = parse(source, setup, {str(source.path): source.data}, pch=None)
        return Unit(source.path, dialect, parsed, {source.path: source})

    return made


def _named(unit: Unit, name: str, kind: str = "VAR_DECL") -> Node:
    return next(node for node in unit.find(kind) if node.name == name)


# -- types


def test_a_type_without_its_typedefs(make: Make) -> None:
    unit = make("typedef unsigned int u32; typedef const u32 *pointer; pointer p; volatile u32 v; int a[3][2];")
    p, v, a = (_named(unit, name).type for name in "pva")
    assert p.spelling == "pointer" and p.is_pointer and p.pointee.is_const and p.pointee.kind == "UINT"
    assert v.is_volatile and not v.is_pointer and v.pointee.kind == "UINT" and v.size == 4
    assert a.is_array and a.length == 3 and a.size == 24 and a.pointee.length == 2
    assert not p.is_array and p.length is None and not p.pointee.is_record


def test_fields(make: Make) -> None:
    unit = make(
        "struct inner { int x; }; struct all { char c; struct { short s; union { long l; char t[9]; }; };"
        " unsigned b : 3; unsigned : 0; struct inner in; char rest[]; } all; struct only_declared *p;"
    )
    type_ = _named(unit, "all").type
    assert type_.is_record and not type_.is_union and type_.name == "all" and type_.is_complete
    assert [(f.name, f.offset, f.is_bitfield) for f in type_.fields][:3] == [
        ("c", 0, False),
        ("", 64, False),
        ("b", 256, True),
    ]
    through = type_.member("t")
    assert through is not None and through.offset == 128 and through.type.length == 9 and through.bits == 72
    assert type_.member("nothing") is None and type_.alignment == 8
    missing = _named(unit, "p").type.pointee
    assert missing.name == "only_declared" and not missing.is_complete and missing.size == 0 and missing.fields == ()


def test_where_a_struct_is_declared(make: Make) -> None:
    unit = make("#include <linux/bpf.h>\nstruct own { int x; } a; struct bpf_sock b; int c;")
    assert _named(unit, "a").type.declared_in == unit.path
    where = _named(unit, "b").type.declared_in
    assert where is not None and where != unit.path and where.name == "bpf.h"
    assert _named(unit, "c").type.declared_in is None


def test_functions(make: Make) -> None:
    unit = make("int f(const char *text, int n); int (*p)(long); void g(void) { f(0, 1); }")
    f = _named(unit, "f", "FUNCTION_DECL")
    assert f.type.parameters is not None and [t.kind for t in f.type.parameters] == ["POINTER", "INT"]
    assert f.type.result.kind == "INT" and [p.name for p in f.parameters] == ["text", "n"]
    pointed = _named(unit, "p").type.parameters
    assert pointed is not None and [t.kind for t in pointed] == ["LONG"]
    assert _named(unit, "g", "FUNCTION_DECL").type.result.is_void
    assert pointed[0].parameters is None


def test_a_struct_of_the_programs_own_that_the_kernel_has_too(tmp_path: Path) -> None:
    """It keeps its name, and so do the kernel's members that are called like it."""
    kernel, project = tmp_path / "kernel", tmp_path / "project"
    kernel.mkdir()
    project.mkdir()
    (kernel / "types.h").write_text("struct load { long a; }; struct task { struct load *load; };")
    (project / "own.h").write_text("struct load {\n\tint weight;\n};\n")
    text = (
        b'#include <types.h>\n#include "own.h"\nstruct load own, *p = &own;\nint f(struct task *t) { return !t->load; }'
    )
    source = Source(project / "program.c", text)
    options = Options(include_dirs=(kernel,), given=(kernel,))
    setup = Environment(options).setup(source, LIBBPF, [project])
    parsed = parse(source, setup, {str(source.path): text}, pch=None)
    header = Source.read(project / "own.h")
    unit = Unit(source.path, LIBBPF, parsed, {source.path: source, header.path: header})
    assert not unit.errors and not unit.made_up
    p = _named(unit, "p").type
    assert p.spelling == "struct load *" and p.pointee.name == "load" and p.pointee.fields[0].name == "weight"
    assert _named(unit, "load", "STRUCT_DECL").path == header.path
    assert _named(unit, "load", "MEMBER_REF_EXPR").owner[:1] == ("task",)  # type: ignore[index]


# -- nodes


def test_what_is_on_the_stack(make: Make) -> None:
    unit = make(
        "int global; static int own; extern int other;"
        "int f(int argument) { int local; static int kept; extern int other;"
        " return global + own + other + argument + local + kept; }"
    )
    names = {n.name: n for n in unit.find("DECL_REF_EXPR")}
    assert {name for name, node in names.items() if node.is_local} == {"argument", "local"}
    assert {name for name, node in names.items() if node.is_global} >= {"global", "own"}
    assert {n.name for n in unit.find("VAR_DECL", "PARM_DECL") if n.is_local} == {"argument", "local"}
    assert _named(unit, "own").is_static and _named(unit, "other").is_extern and not _named(unit, "global").is_static


def test_assignments(make: Make) -> None:
    unit = make(
        "#define ZERO 0\nint f(int *p) { int a = 1, b, c[2], d = ZERO; b = (2); *p = 3; a += 4; ++b; f(&a); return b; }"
    )
    found = {}
    for node in unit.find("VAR_DECL", "BINARY_OPERATOR"):
        if node.assignment is not None:
            target, value = node.assignment
            found[target.name or target.operator] = value.constant
    assert found == {"a": 1, "d": 0, "b": 2, "*": 3}
    written = [n.written.name or n.written.operator for n in unit.walk() if n.written is not None]
    assert written == ["b", "*", "a", "b"]
    call = next(unit.find("CALL_EXPR"))
    assert call.arguments[0].address_of is not None and call.arguments[0].address_of.name == "a"
    assert call.address_of is None


def test_match(make: Make) -> None:
    unit = make("int f(int a) { a = 1 + (a); return a; }")
    match next(unit.find("BINARY_OPERATOR")):
        case Node("BINARY_OPERATOR", "=", [Node(name="a"), Node("BINARY_OPERATOR", "+", [_, Node("DECL_REF_EXPR")])]):
            pass
        case _:
            pytest.fail("no match")


def test_calls(make: Make) -> None:
    unit = make(
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
        "struct ops { int (*update)(int *); }; static int inner(int x); int outside(void);"
        "int f(struct ops *ops, int k) { ops->update(&k); bpf_map_lookup_elem(0, &k); outside(); return inner(k); }"
        "static int inner(int x) { return x; }"
    )
    by_name = {call.method or call.name: call for call in unit.calls}
    assert by_name["update"].method == "update" and by_name["update"].helper is None
    lookup = by_name["bpf_map_lookup_elem"]
    assert lookup.method == "" and lookup.helper is not None and lookup.helper.returns.may_be_null
    definition = by_name["inner"].definition
    assert definition is not None and definition.is_definition and definition.body is not None
    assert by_name["outside"].definition is None


def test_a_method_of_bccs_maps_is_known(make: Make) -> None:
    unit = make("BPF_HASH(m, u32);\nint f(void *ctx) { u32 k = 0; m.lookup(&k); return 0; }", BCC)
    (call,) = unit.calls
    assert call.helper is not None and call.helper.reads == {0: None}
    (on_map,) = unit.map_calls
    assert on_map.op == "lookup" and not on_map.changes and on_map.key is not None and on_map.value is None


def test_around_a_node(make: Make) -> None:
    unit = make("int f(int a) { for (;;) { if ((long)a > 1) return a; } }")
    name = next(unit.find("DECL_REF_EXPR"))
    assert name.outer is not None and name.outer.kind == "CSTYLE_CAST_EXPR"
    assert name.outer_uncast is not None and name.outer_uncast.operator == ">"
    loop = name.enclosing("FOR_STMT", "WHILE_STMT")
    assert loop is not None and loop.enclosing("FOR_STMT") is None
    assert name.function is not None and name.function.name == "f"
