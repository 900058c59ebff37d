"""A run end to end, with small transforms of the tests' own."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import CACHE, Case, cases, fresh_cache
from support import transforms as real

from ebpffix.app import modes
from ebpffix.fix import BCC, LIBBPF, Edit, Fix, Safety, Span
from ebpffix.frontend import Unit
from ebpffix.frontend.environment import Environment, Options
from ebpffix.run import worker
from ebpffix.run.analyse import Job, Result, Status
from ebpffix.run.engine import Report, run
from ebpffix.run.settings import Settings
from ebpffix.sources.discover import discover
from ebpffix.sources.source import Source
from ebpffix.transform import Finder, Registered, Transform
from ebpffix.verify.session import Verifier

HEAD = '#include "vmlinux.h"\n#include <bpf/bpf_helpers.h>\n'
PROGRAM = HEAD + 'SEC("xdp")\nint prog(struct xdp_md *ctx)\n{\n\tint a = OLD;\n\treturn a;\n}\n'


def known(find: Finder, *triggers: bytes, name: str = "t") -> dict[str, Registered]:
    facts = Transform(name, 0, (BCC, LIBBPF), triggers or (rb"\bOLD\b",), "a test's transform")
    return {name: Registered(facts, find, "")}


def replacing(old: bytes, new: bytes, safety: Safety = Safety.SAFE) -> Finder:
    def find(unit: Unit) -> Iterator[Fix]:
        for path, source in unit.sources.items():
            for match in re.finditer(rb"\b%s\b" % old, source.code):
                edit = Edit(path, match.start(), match.end(), new)
                yield Fix(Span(path, match.start(), match.end()), "old", safety, [edit], "why" * (safety != "safe"))

    return find


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache without results, with the headers that other tests made: they cost seconds."""
    folder = tmp_path / "cache"
    folder.mkdir()
    return fresh_cache(folder)


def go(folder: Path, cache: Path | None, transforms: dict[str, Registered], **settings: object) -> Report:
    # The compiler sees the cache, but not what links in it lead to.
    environment = Environment(Options(cache=cache, defines=("OLD=1", "NEW=2"), given=(CACHE,)))
    found = discover([folder])
    return run(found, Settings(transforms=transforms, environment=environment, cache=cache, **settings))  # type: ignore[arg-type]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / ".git").mkdir()
    return folder


def test_fixes_and_reports(tree: Path, cache: Path) -> None:
    path = tree / "a.bpf.c"
    path.write_text(PROGRAM)
    report = go(tree, cache, known(replacing(b"OLD", b"NEW")))
    assert report.changed == {path: PROGRAM.replace("OLD", "NEW").encode()}
    assert [f.fix.safety for f in report.findings] == ["safe"]
    assert [str(f.status) for f in report.files] == ["analysed"]
    assert path.read_text() == PROGRAM


def test_suggested_only_when_asked(tree: Path, cache: Path) -> None:
    (tree / "a.bpf.c").write_text(PROGRAM)
    transforms = known(replacing(b"OLD", b"NEW", Safety.SUGGESTED))
    assert not go(tree, cache, transforms).changed
    assert go(tree, cache, transforms, unsafe=True).changed


def test_without_trigger_is_skipped(tree: Path, cache: Path) -> None:
    (tree / "a.bpf.c").write_text(PROGRAM.replace("OLD", "3"))
    report = go(tree, cache, known(replacing(b"OLD", b"NEW")))
    assert [str(f.status) for f in report.files] == ["skipped"]


def test_header_of_two_programs_is_fixed_once(tree: Path, cache: Path) -> None:
    (tree / "h.bpf.h").write_text("static int shared(void)\n{\n\treturn OLD;\n}\n")
    for name in "ab":
        text = PROGRAM.replace("OLD", "shared()").replace(HEAD, HEAD + '#include "h.bpf.h"\n')
        (tree / f"{name}.bpf.c").write_text(text)
    report = go(tree, cache, known(replacing(b"OLD", b"NEW")))
    assert {p.name: d.count(b"NEW") for p, d in report.changed.items()} == {"h.bpf.h": 1}
    assert len(report.findings) == 1


def test_header_that_changes_between_two_runs_of_one_process(tree: Path) -> None:
    program = Source(tree / "a.bpf.c", PROGRAM.encode())
    environment = Environment(Options())
    digests = set()
    for text in ("a", "b"):
        (tree / "vmlinux.h").write_text("/* " + text * 500_000 + " */\n")
        setup = environment.setup(program, LIBBPF, [tree], tree / "vmlinux.h")
        assert str(tree / "vmlinux.h") in setup.prefix
        digests.add(setup.digest)
    assert len(digests) == 2


def test_header_that_user_space_includes_is_only_suggested(tree: Path, cache: Path) -> None:
    (tree / "h.h").write_text("static int shared(void)\n{\n\treturn OLD;\n}\n")
    text = PROGRAM.replace("OLD", "shared()").replace(HEAD, HEAD + '#include "h.h"\n')
    (tree / "a.bpf.c").write_text(text)
    (tree / "main.c").write_text('#include "h.h"\nint main(void) { return shared(); }\n')
    report = go(tree, cache, known(replacing(b"OLD", b"NEW")))
    assert not report.changed
    assert [(f.fix.safety, "user-space" in f.fix.reason) for f in report.findings] == [("suggested", True)]


@pytest.mark.parametrize(
    "case",
    [case for case in cases() if "safe" in case.expect and any(name.endswith(".h") for name in case.fixed)],
    ids=str,
)
def test_real_fixes_in_a_header_that_user_space_includes(case: Case, tree: Path, cache: Path) -> None:
    for name, data in case.files.items():
        (tree / name).write_bytes(data)
    headers = [name for name in case.fixed if name.endswith(".h")]
    includes = "".join(f'#include "{name}"\n' for name in headers)
    (tree / "main.c").write_text(f"#include <stdio.h>\n{includes}int main(void)\n{{\n\treturn 0;\n}}\n")
    report = go(tree, cache, {case.transform: real()[case.transform]})
    found = [f.fix for f in report.findings if any(edit.path.name in headers for edit in f.fix.edits)]
    assert found and all(fix.safety is Safety.SUGGESTED for fix in found)
    assert all("user-space code includes" in fix.reason for fix in found)


def test_a_fix_that_does_not_compile_is_left_out_and_told(tree: Path, cache: Path) -> None:
    (tree / "a.bpf.c").write_text(PROGRAM)
    transforms = known(replacing(b"OLD", b"NEW"), name="good") | known(replacing(b"a", b"("), rb"\ba\b", name="bad")
    report = go(tree, cache, transforms)
    assert report.changed == {tree / "a.bpf.c": PROGRAM.replace("OLD", "NEW").encode()}
    assert {f.transform for f, _ in report.dropped} == {"bad"}
    assert "clang errors" in report.dropped[0][1]


def test_a_mistake_in_a_transform_is_told(tree: Path, cache: Path) -> None:
    def find(unit: Unit) -> Iterator[Fix]:
        raise LookupError("gone")
        yield

    (tree / "a.bpf.c").write_text(PROGRAM)
    report = go(tree, cache, known(find))
    assert [str(f.status) for f in report.files] == ["failed"]
    assert "gone" in report.files[0].notes[-1]


def test_a_mistake_in_the_frontend_is_told(tree: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise LookupError("gone")

    monkeypatch.setattr(worker, "analyse", broken)
    (tree / "a.bpf.c").write_text(PROGRAM)
    report = go(tree, cache, known(replacing(b"OLD", b"NEW")))
    assert "gone" in report.files[0].notes[-1]


def test_a_crash_of_libclang_costs_that_file_alone(tree: Path, cache: Path) -> None:
    (tree / "a.bpf.c").write_text(PROGRAM)
    (tree / "deep.bpf.c").write_text(PROGRAM.replace("OLD", "OLD" + "+a" * 300_000))
    (tree / "z.bpf.c").write_text(PROGRAM)
    report = go(tree, cache, known(replacing(b"OLD", b"NEW")))
    assert [str(f.status) for f in report.files] == ["analysed", "failed", "analysed"]
    assert {p.name for p in report.changed} == {"a.bpf.c", "z.bpf.c"}


def test_a_mistake_in_the_analysis_is_told_at_once(tree: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def analyse(job: Job, *_: object) -> Result:
        if job.path.name == "bad.bpf.c":
            raise ZeroDivisionError("by nothing")
        return Result(Status.ANALYSED)

    monkeypatch.setattr(worker, "analyse", analyse)
    (tree / "a.bpf.c").write_text(PROGRAM)
    (tree / "bad.bpf.c").write_text(PROGRAM)
    report = go(tree, cache, known(replacing(b"OLD", b"NEW")))
    assert [str(f.status) for f in report.files] == ["analysed", "failed"]
    assert "ZeroDivisionError: by nothing" in report.files[1].notes[-1]


def test_a_hang_costs_that_file_alone(tree: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(unit: Unit) -> Iterator[Fix]:
        if unit.path.name == "hang.bpf.c":
            time.sleep(600)
        yield from replacing(b"OLD", b"NEW")(unit)

    monkeypatch.setattr(worker, "_STALL", 3.0)
    (tree / "a.bpf.c").write_text(PROGRAM)
    (tree / "hang.bpf.c").write_text(PROGRAM)
    report = go(tree, cache, known(find), jobs=2)
    assert [str(f.status) for f in report.files] == ["analysed", "failed"]
    assert len(report.changed) == 1


def test_a_program_understood_in_part_gives_no_safe_fix(tree: Path, cache: Path) -> None:
    (tree / "a.bpf.c").write_text(PROGRAM + "int lost(int g) { return g + ; }\n")
    report = go(tree, cache, known(replacing(b"OLD", b"NEW")))
    assert not report.changed
    assert [str(found.fix.safety) for found in report.findings] == ["suggested"]


def test_second_run_starts_no_worker(tree: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "a.bpf.c").write_text(PROGRAM)
    transforms = known(replacing(b"OLD", b"NEW"))
    first = go(tree, cache, transforms)
    monkeypatch.setattr(worker, "_Process", lambda serve: pytest.fail("a worker was started"))
    assert go(tree, cache, transforms).changed == first.changed


def test_a_changed_header_is_seen(tree: Path, cache: Path) -> None:
    (tree / "h.bpf.h").write_text("#define VALUE 1\n")
    (tree / "a.bpf.c").write_text(PROGRAM.replace(HEAD, HEAD + '#include "h.bpf.h"\n'))

    def find(unit: Unit) -> Iterator[Fix]:
        yield Fix(Span(unit.path, 0, 1), f"{len(unit.sources)}", Safety.ADVICE, [], "why")

    assert len(go(tree, cache, known(find)).findings) == 1
    (tree / "h.bpf.h").write_text("#error broken\n")
    assert "broken" in " ".join(go(tree, cache, known(find)).files[0].notes)


@pytest.mark.parametrize("harm", [b"", b"{", b"not a cache"], ids=["empty", "cut", "other"])
def test_a_broken_cache_is_made_anew(tree: Path, cache: Path, harm: bytes) -> None:
    (tree / "a.bpf.c").write_text(PROGRAM)
    transforms = known(replacing(b"OLD", b"NEW"))
    first = go(tree, cache, transforms)
    for entry in (cache / "results").iterdir():
        entry.write_bytes(harm)
    assert go(tree, cache, transforms).changed == first.changed


def test_a_broken_precompiled_header_is_made_anew(tree: Path, tmp_path: Path) -> None:
    for name in "abc":
        (tree / f"{name}.bpf.c").write_text(PROGRAM)
    cache = tmp_path / "own"
    transforms = known(replacing(b"OLD", b"NEW"))
    first = go(tree, cache, transforms)
    (made,) = (cache / "pch").glob("*.pch")
    made.write_bytes(made.read_bytes()[:-1000] + bytes(1000))
    for entry in (cache / "results").iterdir():
        entry.unlink()
    again = go(tree, cache, transforms)
    assert again.changed == first.changed
    assert [str(f.status) for f in again.files] == ["analysed"] * 3


def test_what_an_if_leaves_out_is_told(tree: Path, cache: Path) -> None:
    text = PROGRAM.replace("\tint a = OLD;\n", "\tint a = 1;\n#if 0\n\ta = OLD;\n#endif\n")
    (tree / "a.bpf.c").write_text(text)
    report = go(tree, cache, known(lambda unit: iter(())))
    assert any("left out by an #if" in note for note in report.files[0].notes)


def test_suppressed(tree: Path, cache: Path) -> None:
    (tree / "a.bpf.c").write_text(PROGRAM.replace("OLD;", "OLD; // ebpffix: ignore[t]"))
    report = go(tree, cache, known(replacing(b"OLD", b"NEW")))
    assert not report.findings


def test_undeclared_names_keep_their_statements(tree: Path, cache: Path) -> None:
    text = PROGRAM.replace("OLD;", "UNKNOWN_CONSTANT + OLD;\n\tunknown_function(a, &OLD_THING);")
    (tree / "a.bpf.c").write_text(text)

    def find(unit: Unit) -> Iterator[Fix]:
        yield Fix(Span(unit.path, 0, 1), ",".join(c.name for c in unit.calls), Safety.ADVICE, [], "why")

    report = go(tree, cache, known(find))
    calls = report.findings[0].fix.message.split(",")
    assert "unknown_function" in calls
    assert str(report.files[0].status) == "analysed"


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([*"{}();/*\"'\\#\n\r\t", "\r\n", "é", "int x;", "//", "#if 0\n", "\xff"]), max_size=12))
def test_without_fixes_no_byte_changes(tree: Path, cache: Path, pieces: list[str]) -> None:
    """Whatever the file holds, also what is no C: what no transform changes comes back as it was."""
    data = PROGRAM.encode() + "".join(pieces).encode("latin-1")
    path = tree / "a.bpf.c"
    path.write_bytes(data)
    report = go(tree, cache, known(lambda unit: iter(())))
    assert report.changed == {}
    assert [file.path for file in report.files] == [path]
    assert modes.apply(report, modes.Output(file=tree / "report.txt")).code in (0, 2)
    assert path.read_bytes() == data


def test_a_fix_that_the_verifier_refuses_is_left_out_and_told(tree: Path, cache: Path, verifier: None) -> None:
    """With proof: the bounds check that a fix takes away is missed by the kernel, not by the compiler."""
    packet = "\tvoid *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;\n\n"
    body = packet + "\tif (data + OLD > end)\n\t\treturn XDP_PASS;\n\treturn *(char *)data;\n"
    text = PROGRAM.replace("\tint a = OLD;\n\treturn a;\n", body) + 'char LICENSE[] SEC("license") = "GPL";\n'
    (tree / "a.bpf.c").write_text(text)
    prover = Verifier()
    try:
        report = go(tree, cache, known(replacing(b"OLD", b"0")), verifier=prover)
    finally:
        prover.close()
    assert not report.changed
    ((found, why),) = report.dropped
    assert found.transform == "t"
    assert "prog is refused" in why
    assert [proof.verdict for proof in report.proofs.values()] == ["worse"]
