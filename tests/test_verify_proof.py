"""The verdict on each fix, over programs made up here: a line `name: words` is a program, `bad` makes it refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ebpffix.verify.compile import CompileError
from ebpffix.verify.load import ProgramResult
from ebpffix.verify.proof import SPENT, Compiled, Proof, Verdict, prove

MAIN, HEADER = Path("/tree/main.bpf.c"), Path("/tree/shared.h")


@dataclass
class Made:
    """A target whose text is a line for each program; lines of the header belong to all programs."""

    path: Path
    compiler: str = "clang 0"
    kernel: str = "6.18"
    tries: list[str] = field(default_factory=list)

    def compile(self, overlay: Mapping[Path, bytes]) -> Compiled | CompileError:
        shared, text = overlay[HEADER].decode(), overlay[self.path].decode()
        self.tries.append(text)
        if "syntax" in text + shared:
            return CompileError((f"{self.path}:1:1: error: syntax",))
        lines = dict(line.split(": ", 1) for line in text.splitlines())
        parts = {f"program {name}": words for name, words in lines.items()}
        return Compiled({**parts, "shared": shared}, frozenset({self.path, HEADER}), lambda: load(lines, shared))


def load(lines: Mapping[str, str], shared: str) -> list[ProgramResult]:
    results = []
    for name, words in lines.items():
        if "older" in words:  # which another kernel refuses
            results.append(ProgramResult(name, "xdp", "accepted", len(words)))
            results.append(ProgramResult(name, "xdp", "rejected", len(words), "R1 is bad", kernel="5.10"))
        elif "both" in words:
            results += [ProgramResult(name, "xdp", "accepted", len(words), kernel=kernel) for kernel in ("", "5.10")]
        elif "odd" in words:
            results.append(ProgramResult(name, "odd", "untried", reason="odd section"))
        elif "bad" in words + shared:
            results.append(ProgramResult(name, "xdp", "rejected", len(words), "R1 is bad"))
        else:
            results.append(ProgramResult(name, "xdp", "accepted", len(words)))
    return results


@dataclass(frozen=True)
class Swap:
    """A fix: put `new` for `old` in one file."""

    old: str
    new: str
    path: Path = MAIN


def proofs(
    text: str, *fixes: Swap, header: str = "fine", others: Mapping[Path, str] | None = None
) -> tuple[list[Proof], list[Made]]:
    files = {MAIN: text, HEADER: header, **(others or {})}
    targets = [Made(p) for p in files if p != HEADER]

    def build(chosen: Sequence[Swap]) -> dict[Path, bytes]:
        now = dict(files)
        for fix in chosen:
            now[fix.path] = now[fix.path].replace(fix.old, fix.new)
        return {p: t.encode() for p, t in now.items()}

    return prove(fixes, targets, build, lambda fix: {fix.path}), targets


def verdicts(text: str, *fixes: Swap, header: str = "fine") -> list[Verdict]:
    return [p.verdict for p in proofs(text, *fixes, header=header)[0]]


@pytest.mark.parametrize(
    ("text", "fix", "verdict"),
    [
        ("a: x\nb: y", Swap("nothing", ""), "same-object"),
        ("a: bad\nb: y", Swap("bad", "good"), "fixed"),
        ("a: long\nb: y", Swap("long", "l"), "still-accepted"),
        ("a: bad x\nb: y", Swap("x", "y"), "still-rejected"),
        ("a: x\nb: y", Swap("x", "bad"), "worse"),
        ("a: x\nb: y", Swap("x", "syntax"), "worse"),
        ("a: x\nb: y", Swap("b: y", ""), "worse"),
        ("a: x\nb: y", Swap("y", "y\nc: bad"), "worse"),
        ("a: x\nb: y", Swap("y", "z\nc: new"), "still-accepted"),
        ("a: odd x\nb: y", Swap("x", "z"), "untried"),
        ("a: syntax\nb: y", Swap("syntax", "x"), "fixed"),
        ("a: syntax q\nb: y", Swap("q", "z"), "untried"),
        ("a: odd\nb: y", Swap("odd", "bad"), "untried"),
    ],
)
def test_each_verdict(text: str, fix: Swap, verdict: Verdict) -> None:
    (proof,), _ = proofs(text, fix)
    assert proof.verdict == verdict
    assert bool(proof.reason) == (verdict in ("worse", "untried"))


def test_a_fix_that_one_of_several_kernels_refuses_does_harm() -> None:
    (proof,), _ = proofs("a: both\nb: both", Swap("a: both", "a: older"))
    assert (proof.verdict, proof.reason) == ("worse", "a is refused by Linux 5.10")
    assert {(p.kernel, p.before, p.after) for p in proof.programs if p.name == "a"} == {
        ("", "accepted", "accepted"),
        ("5.10", "accepted", "rejected"),
    }
    (proof,), _ = proofs("a: both x\nb: both", Swap("x", "longer"))
    assert proof.verdict == "still-accepted"
    assert [(p.name, p.kernel) for p in proof.programs] == [("a", ""), ("a", "5.10")]  # and not b


def test_a_file_that_no_program_includes() -> None:
    (proof,) = prove([Swap("a", "b", HEADER)], [], lambda _: {}, lambda f: {f.path})
    assert (proof.verdict, proof.reason) == ("untried", "no program that was checked includes it")


@pytest.mark.parametrize("allowed", range(12))
def test_what_there_is_no_time_for_is_untried_and_what_is_known_stays(allowed: int) -> None:
    """However early the time is up: a fix is not said to be tried that was not, and none that does harm is kept which
    was found out."""
    fixes = [Swap("x", "bad"), Swap("y", "z"), Swap("fine", "good", HEADER)]
    files = {MAIN: "a: x\nb: y", HEADER: "fine"}
    target, asked = Made(MAIN), iter(range(100))

    def build(chosen: Sequence[Swap]) -> dict[Path, bytes]:
        now = dict(files)
        for fix in chosen:
            now[fix.path] = now[fix.path].replace(fix.old, fix.new)
        return {p: t.encode() for p, t in now.items()}

    found = prove(fixes, [target], build, lambda fix: {fix.path}, lambda: next(asked) >= allowed)
    assert len(target.tries) <= allowed
    for proof, wanted in zip(found, ("worse", "still-accepted", "still-accepted"), strict=True):
        assert (proof.verdict, proof.reason) == ("untried", SPENT) or proof.verdict == wanted, found


def test_the_programs_that_changed_are_named_with_their_numbers() -> None:
    (proof,), _ = proofs("a: bad\nb: y", Swap("bad", "longer"))
    (program,) = proof.programs
    assert (program.name, program.before, program.after) == ("a", "rejected", "accepted")
    assert (program.insns_before, program.insns_after, program.log) == (3, 6, "R1 is bad")
    assert (proof.compiler, bool(proof.kernel)) == ("clang 0", True)


def test_a_fix_answers_for_the_programs_that_it_changes() -> None:
    fixes = Swap("bad", "good"), Swap("long", "l"), Swap("nothing", "")
    assert verdicts("a: bad\nb: long", *fixes) == ["fixed", "still-accepted", "same-object"]


def test_two_fixes_that_one_program_needs_together() -> None:
    assert verdicts("a: bad1 bad2", Swap("bad1", "x"), Swap("bad2", "y")) == ["fixed", "fixed"]


def test_the_culprit_among_several() -> None:
    fixes = Swap("x", "1"), Swap("y", "bad"), Swap("z", "3"), Swap("w", "bad")
    found, _ = proofs("a: x y\nb: z w", *fixes)
    assert [p.verdict for p in found] == ["still-accepted", "worse", "still-accepted", "worse"]
    assert found[1].reason == "a is refused"
    assert [(p.name, p.before, p.after) for p in found[1].programs][:1] == [("a", "accepted", "rejected")]
    assert found[1].programs[0].log == "R1 is bad"


def test_what_only_another_fix_makes_good_is_kept_with_it() -> None:
    # The second fix alone is worse; on top of the first it is not.
    assert verdicts("a: x bed", Swap("bed", "good"), Swap("x", "y")) == ["still-accepted", "still-accepted"]


def test_a_header_that_one_program_does_not_bear_is_dropped_for_all() -> None:
    other = MAIN.with_name("other.bpf.c")
    fixes = Swap("fine", "bad", HEADER), Swap("x", "z")
    found, _ = proofs("a: x", *fixes, others={other: "b: y"})
    assert [p.verdict for p in found] == ["worse", "still-accepted"]


def test_a_header_answers_for_all_its_programs() -> None:
    other = MAIN.with_name("other.bpf.c")
    (proof,), _ = proofs("a: x", Swap("bad", "fine", HEADER), header="bad", others={other: "b: y"})
    assert proof.verdict == "fixed"
    assert [p.name for p in proof.programs] == ["a", "b"]


def test_the_same_text_is_compiled_once() -> None:
    _, (target,) = proofs("a: x\nb: y", Swap("x", "1"), Swap("y", "2"))
    assert len(target.tries) == len(set(target.tries)) == 4  # none, both, each alone


def test_no_fix_no_work() -> None:
    found, (target,) = proofs("a: x")
    assert (found, len(target.tries)) == ([], 0)


def test_only_the_fix_that_makes_it_compile_has_fixed_it() -> None:
    found = verdicts("a: x syntax\nb: y", Swap(" syntax", ""), Swap("b: y", "b: yy"))
    assert found == ["fixed", "still-accepted"]
