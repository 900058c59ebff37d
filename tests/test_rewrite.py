"""Edits to new bytes: what excludes what, offsets through several passes, the fixpoint and its way back."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpffix.fix import Edit, Fix, Safety, Span, apply
from ebpffix.rewriting.choose import choose
from ebpffix.rewriting.fixpoint import Analysis, Outcome, fixpoint
from ebpffix.rewriting.found import Found, apply_all, edits_by_path
from ebpffix.rewriting.merge import merge
from ebpffix.rewriting.offsets import Change, Composition

A, B, H = Path("/t/a.bpf.c"), Path("/t/b.bpf.c"), Path("/t/common.h")


def found(
    *edits: tuple[int, int, bytes],
    at: tuple[int, int] | None = None,
    path: Path = A,
    message: str = "m",
    safety: Safety = Safety.SAFE,
    program: Path | None = None,
    transform: str = "t",
) -> Found:
    made = [Edit(path, *edit) for edit in edits]
    start, end = at or (edits[0][:2] if edits else (0, 0))
    reason = "" if safety is Safety.SAFE else "why"
    return Found(transform, Fix(Span(path, start, end), message, safety, made, reason), program or path)


# apply


def test_apply_changes_nothing_without_edits() -> None:
    assert apply(b"a\r\n\xff\x00", []) == b"a\r\n\xff\x00"


@pytest.mark.parametrize("start,end", [(-1, 0), (2, 1), (0, 4), (4, 4)])
def test_apply_refuses_a_range_outside_the_file(start: int, end: int) -> None:
    with pytest.raises(ValueError, match=r"a\.bpf\.c"):
        apply(b"abc", [Edit(A, start, end, b"")])


@pytest.mark.parametrize("second", [(1, 3), (0, 2), (1, 1)])
def test_apply_refuses_overlaps(second: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="overlap"):
        apply(b"abcd", [Edit(A, 0, 2, b"x"), Edit(A, *second, b"y")])


def test_apply_keeps_the_order_of_insertions_and_makes_equal_edits_once() -> None:
    edits = [Edit(A, 2, 2, b"2"), Edit(A, 1, 2, b"B"), Edit(A, 1, 1, b"z"), Edit(A, 1, 1, b"y"), Edit(A, 1, 1, b"z")]
    assert apply(b"abc", edits) == b"azyB2c"


# choose


def test_overlapping_and_touching_fixes_wait() -> None:
    first = found((4, 8, b"x"))
    for other in [(6, 9, b"y"), (8, 9, b"y"), (8, 8, b"y"), (5, 5, b"y"), (4, 8, b"y"), (4, 6, b"x")]:
        second = found(other, at=(5, 9))
        assert choose([second, first]) == ([first], [second]), other


def test_what_is_apart_or_in_another_file_goes_together() -> None:
    fixes = [found((4, 8, b"x")), found((9, 12, b"y")), found((4, 8, b"z"), path=B)]
    assert choose(reversed(fixes)) == (fixes, [])


def test_equal_edits_count_once_and_do_not_exclude() -> None:
    include = (0, 0, b"#include <a.h>\n")
    one, two = found(include, (10, 12, b"x"), at=(10, 12)), found(include, (20, 22, b"y"), at=(20, 22))
    taken, waiting = choose([two, one])
    assert (taken, waiting) == ([one, two], [])
    assert edits_by_path(taken)[A] == [Edit(A, *include), Edit(A, 10, 12, b"x"), Edit(A, 20, 22, b"y")]


def test_two_hoists_before_one_statement_are_both_made_in_order() -> None:
    one = found((3, 3, b"u16 a;"), (10, 12, b"a"), at=(10, 12))
    two = found((3, 3, b"u16 b;"), (14, 15, b"b"), at=(14, 15))
    assert choose([two, one])[0] == [one, two]


def test_two_pairs_of_brackets_do_not_cross() -> None:
    one, two = found((1, 1, b"("), (9, 9, b")"), at=(1, 5)), found((1, 1, b"["), (9, 9, b"]"), at=(1, 9))
    assert choose([one, two]) == ([one], [two])


def test_a_fix_is_made_in_all_its_files_or_in_none() -> None:
    both = Fix(Span(H, 0, 1), "m", Safety.SAFE, [Edit(H, 0, 1, b"x"), Edit(A, 4, 6, b"y")])
    waits = Found("t", both, A)
    first = found((5, 9, b"z"))
    taken, waiting = choose([waits, first])
    assert (taken, waiting) == ([first], [waits])


def test_a_fix_may_touch_itself() -> None:
    fix = found((4, 4, b"("), (4, 8, b"x"), (8, 8, b")"))
    assert choose([fix]) == ([fix], [])


# Composition

DATA = bytes(range(65, 85))


@st.composite
def passes(draw: st.DrawFn) -> list[list[Edit]]:
    """Passes of edits, each valid for what the one before left: free of overlaps, touching allowed."""
    size, result = len(DATA), []
    for _ in range(draw(st.integers(1, 4))):
        bounds = sorted(draw(st.lists(st.integers(0, size), max_size=8)))
        edits = {
            Edit(A, start, end, draw(st.sampled_from([b"", b"x", b"y", b"xyz"])))
            for start, end in zip(bounds[::2], bounds[1::2], strict=False)
        }
        ordered = draw(st.permutations(sorted(edits)))
        result.append(ordered)
        size += sum(len(edit.text) - (edit.end - edit.start) for edit in edits)
    return result


def compose(all_passes: list[list[Edit]]) -> tuple[Composition, bytes]:
    data, composition, number = DATA, Composition(), 0
    for edits in all_passes:
        data = apply(data, edits)
        composition = composition.then({edit: frozenset({number + i}) for i, edit in enumerate(edits)})
        number += len(edits)
    return composition, data


@settings(max_examples=300, deadline=None)
@given(passes())
def test_composed_edits_give_what_the_passes_gave(all_passes: list[list[Edit]]) -> None:
    composition, data = compose(all_passes)
    assert apply(DATA, composition.edits(A)) == data
    assert len(set(composition.edits(A))) == len(composition.changes)


@settings(max_examples=100, deadline=None)
@given(passes())
def test_a_kept_byte_is_mapped_back_to_itself(all_passes: list[list[Edit]]) -> None:
    composition, data = compose(all_passes)
    written: set[int] = set()  # current offsets of text that was put in
    for start, end, _ in composition._current():
        written.update(range(start, end))
    for offset in range(len(data)):
        start, end = composition.original(offset, offset + 1)
        assert 0 <= start <= end <= len(DATA)
        if offset not in written:
            assert (end - start, DATA[start]) == (1, data[offset])
            assert not composition.owners(offset, offset + 1)
    assert composition.original(0, len(data))[0] <= composition.original(0, len(data))[1]


@settings(max_examples=100, deadline=None)
@given(passes())
def test_every_edit_keeps_its_owner_and_owners_of_one_change_are_joined(all_passes: list[list[Edit]]) -> None:
    composition, _ = compose(all_passes)
    owners = frozenset().union(*(change.owners for change in composition.changes))
    assert owners == frozenset(range(sum(map(len, all_passes))))
    for change in composition.changes:
        assert len(change.owners) == 1 or any(change.owners <= one for one in composition.joined)


def test_a_later_edit_beside_an_earlier_one_stays_apart() -> None:
    composition = Composition().then({Edit(A, 4, 8, b"abc"): frozenset({0})})
    composition = composition.then({Edit(A, 7, 9, b"z"): frozenset({1})})
    assert composition.changes == (Change(4, 8, b"abc", frozenset({0})), Change(8, 10, b"z", frozenset({1})))
    assert composition.joined == ()


def test_a_later_edit_inside_inserted_text_joins() -> None:
    composition = Composition().then({Edit(A, 4, 4, b"abc"): frozenset({0})})
    assert composition.owners(5, 6) == {0}
    composition = composition.then({Edit(A, 5, 6, b"XY"): frozenset({1})})
    assert composition.changes == (Change(4, 4, b"aXYc", frozenset({0, 1})),)


@pytest.mark.parametrize("at,text", [(4, b"bA"), (5, b"Ab")])
def test_an_insertion_beside_an_earlier_one_joins(at: int, text: bytes) -> None:
    composition = Composition().then({Edit(A, 4, 4, b"A"): frozenset({0})})
    composition = composition.then({Edit(A, at, at, b"b"): frozenset({1})})
    assert composition.changes == (Change(4, 4, text, frozenset({0, 1})),)


def test_insertions_that_become_equal_are_one_change() -> None:
    composition = Composition().then({Edit(A, 4, 4, b"x"): frozenset({0}), Edit(A, 4, 4, b"y"): frozenset({1})})
    assert [change.text for change in composition.changes] == [b"x", b"y"]
    composition = composition.then({Edit(A, 5, 6, b"x"): frozenset({2})})
    assert composition.changes == (Change(4, 4, b"xx", frozenset({0, 1, 2})),)
    assert frozenset({0, 1, 2}) in composition.joined


def test_an_edit_may_bridge_two_changes() -> None:
    composition = Composition().then({Edit(A, 2, 4, b"ab"): frozenset({0}), Edit(A, 6, 8, b"cd"): frozenset({1})})
    composition = composition.then({Edit(A, 3, 7, b"-"): frozenset({2})})
    assert composition.changes == (Change(2, 8, b"a-d", frozenset({0, 1, 2})),)


# merge


def test_a_header_finding_of_many_programs_is_one_and_the_lowest_safety_wins() -> None:
    edit = (1, 2, b"x")
    seen = [
        found(edit, path=H, program=B),
        found(edit, path=H, program=A, safety=Safety.SUGGESTED),
        found(edit, path=H, program=Path("/t/c.bpf.c")),
    ]
    assert merge(seen) == ([seen[1]], [])


def test_advice_of_one_program_silences_the_edits_of_another() -> None:
    advice = found(at=(1, 2), path=H, program=B, safety=Safety.ADVICE)
    assert merge([found((1, 2, b"x"), path=H, program=A), advice]) == ([advice], [])


def test_programs_that_need_different_edits_are_told() -> None:
    merged, differing = merge([found((1, 2, b"x"), path=H, program=A), found((1, 2, b"y"), path=H, program=B)])
    assert merged == []
    assert [reason for _, reason in differing] == [f"{A.name} and {B.name} need different fixes for it"]


def test_programs_that_see_different_things_in_one_place_are_not_told_both() -> None:
    kernel = found((1, 2, b"kernel"), path=H, program=A, message="kernel")
    user = found((1, 2, b"user"), path=H, program=B, message="user")
    unknown = found(at=(1, 2), path=H, program=B, safety=Safety.ADVICE, message="unknown")
    assert merge([kernel, unknown]) == ([unknown], [])
    merged, differing = merge([kernel, user])
    assert merged == []
    assert [reason for _, reason in differing] == [f"{A.name} and {B.name} need different fixes for it"]


def test_two_messages_at_one_place_that_all_programs_see_stay_two() -> None:
    first = [found((1, 2, b"x"), path=H, program=program, message="first") for program in (A, B)]
    second = found(at=(1, 2), path=H, program=B, safety=Safety.ADVICE, message="second")
    assert merge([*first, second]) == ([first[0], second], [])


# fixpoint: a toy language, in which rules rewrite regexes and an error is a "!"

Rule = tuple[str, bytes, bytes | Callable[[bytes], bytes], Safety]


class Toy:
    """Analyses files by `rules` (transform, regex, replacement, safety); `includes` says what each program reads.

    A transform named hoist… puts the new text at the start of the line instead, and deletes what matched.
    """

    def __init__(self, includes: dict[Path, list[Path]], *rules: Rule) -> None:
        self.includes = includes
        self.rules = rules
        self.calls: list[set[Path] | None] = []

    def __call__(self, files: Mapping[Path, bytes], changed: set[Path] | None) -> Analysis:
        self.calls.append(changed)
        result, errors = [], {}
        for program, headers in self.includes.items():
            read = [program, *headers]
            if changed is not None and changed.isdisjoint(read):
                continue
            errors[program] = sum(files[path].count(b"!") for path in read)
            result += [one for path in read for one in self.find(path, files[path], program)]
        return Analysis(result, errors)

    def find(self, path: Path, data: bytes, program: Path) -> list[Found]:
        result = []
        for name, pattern, text, safety in self.rules:
            for match in re.finditer(pattern, data):
                new = text(match[0]) if callable(text) else text
                line = data.rfind(b"\n", 0, match.start()) + 1
                edits = [Edit(path, *match.span(), new)]
                if name.startswith("hoist"):
                    edits = [Edit(path, line, line, new), Edit(path, *match.span(), b"")]
                if safety is Safety.ADVICE:
                    edits = []
                reason = "" if safety is Safety.SAFE else "why"
                fix = Fix(Span(path, *match.span()), f"{name} here", safety, edits, reason)
                result.append(Found(name, fix, program))
        return result


def safe_only(one: Found) -> bool:
    return one.fix.safety is Safety.SAFE


def run(files: dict[Path, bytes], toy: Toy, accept: Callable[[Found], bool] = safe_only) -> Outcome:
    """The outcome, with what must hold of every outcome checked: its edits, made at once, give its files."""
    outcome = fixpoint(files, toy, accept)
    made = apply_all(files, outcome.applied)
    assert {path: data for path, data in made.items() if data != files[path]} == outcome.files
    return outcome


def test_nothing_found_changes_nothing() -> None:
    toy = Toy({A: []}, ("t", b"zz", b"y", Safety.SAFE))
    assert run({A: b"abc"}, toy) == Outcome({}, [], [], [])
    assert toy.calls == [None]


def test_what_is_not_accepted_is_told_and_not_made() -> None:
    rules: list[Rule] = [("s", b"s+", b"S", Safety.SUGGESTED), ("n", b"n+", b"", Safety.ADVICE)]
    outcome = run({A: b"a ss nn"}, Toy({A: []}, *rules))
    assert (outcome.files, outcome.applied, outcome.dropped) == ({}, [], [])
    assert [(one.transform, one.fix.at.start) for one in outcome.remaining] == [("n", 5), ("s", 2)]


def test_a_header_is_fixed_once_for_two_programs() -> None:
    outcome = run({A: b"a", B: b"b", H: b"-x-"}, Toy({A: [H], B: [H]}, ("t", b"x", b"yy", Safety.SAFE)))
    assert outcome.files == {H: b"-yy-"}
    assert [(one.program, one.fix.edits) for one in outcome.applied] == [(A, [Edit(H, 1, 2, b"yy")])]


def test_only_programs_that_a_pass_affects_are_analysed_again() -> None:
    toy = Toy({A: [], B: []}, ("t", b"x", b"y", Safety.SAFE), ("n", b"n", b"", Safety.ADVICE))
    outcome = run({A: b"x", B: b"n"}, toy)
    assert toy.calls == [None, {A}]
    assert [one.fix.at.path for one in outcome.remaining] == [B]


def test_a_fix_that_waited_is_made_in_the_next_pass_with_original_offsets() -> None:
    # "ff" and "gg" touch; the fix of gg waits, and what the first pass wrote is longer.
    rules: list[Rule] = [("f", b"ff", b"FFFF", Safety.SAFE), ("g", b"gg", b"G", Safety.SAFE)]
    outcome = run({A: b"..ffgg.."}, Toy({A: []}, *rules))
    assert outcome.files == {A: b"..FFFFG.."}
    assert [(one.transform, one.pass_number, one.fix.at, one.fix.edits) for one in outcome.applied] == [
        ("f", 1, Span(A, 2, 4), [Edit(A, 2, 4, b"FFFF")]),
        ("g", 2, Span(A, 4, 6), [Edit(A, 4, 6, b"G")]),
    ]


def test_a_fix_of_what_a_fix_wrote_is_one_finding_with_it() -> None:
    rules: list[Rule] = [("f", b"f", b"<gg>", Safety.SAFE), ("g", b"gg", b"h", Safety.SAFE)]
    (one,) = run({A: b"-f-"}, Toy({A: []}, *rules)).applied
    assert one.fix == Fix(Span(A, 1, 2), "f here; g here", Safety.SAFE, [Edit(A, 1, 2, b"<h>")])
    assert (one.transform, one.pass_number) == ("f", 1)


def test_a_joined_finding_is_as_safe_as_its_least_safe_part() -> None:
    rules: list[Rule] = [("f", b"f", b"g", Safety.SAFE), ("g", b"g", b"h", Safety.SUGGESTED)]
    (one,) = run({A: b"-f-"}, Toy({A: []}, *rules), accept=lambda one: True).applied
    assert (one.fix.safety, one.fix.reason) == (Safety.SUGGESTED, "why")


def test_a_told_finding_that_shifted_is_told_once_where_it_was() -> None:
    rules: list[Rule] = [("f", b"f", b"FFFF", Safety.SAFE), ("s", b"ss", b"S", Safety.SUGGESTED)]
    outcome = run({A: b"f ss f"}, Toy({A: []}, *rules))
    assert outcome.files == {A: b"FFFF ss FFFF"}
    assert [(one.fix.at, one.fix.edits) for one in outcome.remaining] == [(Span(A, 2, 4), [Edit(A, 2, 4, b"S")])]


def test_a_told_finding_keeps_its_place_when_part_of_it_was_deleted() -> None:
    rules: list[Rule] = [("d", b"d", b"", Safety.SAFE), ("n", b"d?nn", b"", Safety.ADVICE)]
    outcome = run({A: b"..dnn"}, Toy({A: []}, *rules))
    assert [one.fix.at for one in outcome.remaining] == [Span(A, 2, 5)]


def test_a_suggestion_that_stands_on_a_fix_carries_its_edits() -> None:
    rules: list[Rule] = [("f", b"f", b"<gg>", Safety.SAFE), ("s", b"gg", b"h", Safety.SUGGESTED)]
    outcome = run({A: b"-f-"}, Toy({A: []}, *rules))
    assert outcome.files == {A: b"-<gg>-"}
    (told,) = outcome.remaining
    assert apply(b"-f-", told.fix.edits) == b"-<h>-"


def test_accept_is_asked_with_places_from_before_the_run() -> None:
    asked = []

    def accept(one: Found) -> bool:
        asked.append((one.transform, one.fix.at.start))
        return True

    run({A: b"ff.gg"}, Toy({A: []}, ("f", b"ff", b"FFFF", Safety.SAFE), ("g", b"(?<=F.)gg", b"G", Safety.SAFE)), accept)
    assert asked == [("f", 0), ("g", 3)]


def test_one_bad_fix_is_dropped_and_the_others_stay() -> None:
    toy = Toy({A: []}, ("bad", b"b", b"!", Safety.SAFE), ("good", b"g", b"G", Safety.SAFE))
    outcome = run({A: b"g b g"}, toy)
    assert outcome.files == {A: b"G b G"}
    ((dropped, reason),) = outcome.dropped
    assert (dropped.transform, dropped.fix.at) == ("bad", Span(A, 2, 3))
    assert reason == f"clang errors in {A.name}: 1 with it, 0 without"
    assert outcome.remaining == []


def test_two_bad_fixes_are_both_found() -> None:
    toy = Toy({A: []}, ("bad", b"b", b"!", Safety.SAFE), ("good", b"g", b"G", Safety.SAFE))
    outcome = run({A: b"b g b g"}, toy)
    assert outcome.files == {A: b"b G b G"}
    assert [one.fix.at.start for one, _ in outcome.dropped] == [0, 4]


def test_a_bad_fix_in_a_header_and_one_that_needs_every_other_program_left_alone() -> None:
    toy = Toy({A: [H], B: []}, ("bad", b"h", b"!", Safety.SAFE), ("good", b"g", b"G", Safety.SAFE))
    outcome = run({A: b"g", B: b"g", H: b"h"}, toy)
    assert outcome.files == {A: b"G", B: b"G"}
    assert [one.fix.at.path for one, _ in outcome.dropped] == [H]


def test_errors_that_were_there_before_do_not_matter() -> None:
    outcome = run({A: b"!! g"}, Toy({A: []}, ("good", b"g", b"G", Safety.SAFE)))
    assert outcome.files == {A: b"!! G"}


def test_two_fixes_that_are_bad_only_together_lose_one() -> None:
    class Together(Toy):
        def __call__(self, files: Mapping[Path, bytes], changed: set[Path] | None) -> Analysis:
            analysis = super().__call__(files, changed)
            return replace(analysis, errors={A: int(files[A].count(b"X") == 2)})

    outcome = run({A: b"x x"}, Together({A: []}, ("t", b"x", b"X", Safety.SAFE)))
    assert outcome.files == {A: b"X x"}
    assert len(outcome.dropped) == 1


def test_a_run_away_is_not_written_and_leaves_other_fixes() -> None:
    toy = Toy({A: []}, ("grows", b"a", b"aa", Safety.SAFE), ("good", b"g", b"G", Safety.SAFE))
    outcome = run({A: b"a g"}, toy)
    assert outcome.files == {A: b"a G"}
    assert [reason for _, reason in outcome.dropped] == ["grows still finds more to fix here after 10 passes"]


def test_two_transforms_that_undo_each_other_are_told() -> None:
    toy = Toy({A: []}, ("up", b"x", b"X", Safety.SAFE), ("down", b"X", b"x", Safety.SAFE))
    outcome = run({A: b"x"}, toy)
    assert outcome.dropped
    assert all("after 10 passes" in reason for _, reason in outcome.dropped)


@pytest.mark.parametrize(
    "edits,reason",
    [
        ([Edit(B, 0, 1, b"x")], "not a file of this run"),
        ([Edit(A, 0, 9, b"x")], "the file has 3"),
        ([Edit(A, 0, 2, b"x"), Edit(A, 1, 3, b"y")], "edits overlap"),
        ([Edit(A, 0, 1, b"a")], "change nothing"),
    ],
)
def test_a_fix_that_cannot_be_made_is_dropped_with_the_reason(edits: list[Edit], reason: str) -> None:
    bad = Found("t", Fix(Span(A, 0, 1), "m", Safety.SAFE, edits), A)
    outcome = run({A: b"abc"}, lambda files, changed: Analysis([bad], {A: 0}))  # type: ignore[arg-type]
    assert (outcome.files, outcome.applied) == ({}, [])
    assert [one for one, _ in outcome.dropped] == [bad]
    assert reason in outcome.dropped[0][1]


def test_a_fix_found_in_what_a_fix_wrote_is_one_with_it_wherever_its_edits_are() -> None:
    def analyse(files: Mapping[Path, bytes], changed: set[Path] | None) -> Analysis:
        data = files[A]
        result = [found((5, 6, b"wrong"), transform="f")] if data == b"xyz..f" else []
        if data == b"xyz..wrong":
            result = [found((0, 0, b"#include\n"), at=(6, 7), transform="g", message="n")]
        return Analysis(result, {A: 0})

    (one,) = fixpoint({A: b"xyz..f"}, analyse, safe_only).applied
    assert (one.fix.message, one.fix.edits) == ("m; n", [Edit(A, 0, 0, b"#include\n"), Edit(A, 5, 6, b"wrong")])


def test_insertions_at_one_offset_keep_their_order_when_others_of_their_fixes_join() -> None:
    def analyse(files: Mapping[Path, bytes], changed: set[Path] | None) -> Analysis:
        first = [
            found((0, 1, b"A"), message="1"),
            found((4, 4, b"J"), at=(2, 3), message="2"),
            found((4, 4, b"K"), (6, 7, b"B"), at=(3, 4), message="3"),
        ]
        later = {b"a.....b": first, b"A...JK..B": [found((0, 1, b"Z"), (8, 9, b"Y"), message="4")]}
        return Analysis(later.get(files[A], []), {A: 0})

    outcome = fixpoint({A: b"a.....b"}, analyse, safe_only)
    assert outcome.files == {A: b"Z...JK..Y"}
    assert apply_all({A: b"a.....b"}, outcome.applied) == outcome.files


def test_errors_are_counted_against_the_pass_before() -> None:
    toy = Toy({A: []}, ("cures", b"!f", b"g", Safety.SAFE), ("harms", b"g", b"!", Safety.SAFE))
    outcome = run({A: b"!f"}, toy)
    assert (outcome.files, [one.transform for one, _ in outcome.dropped]) == ({A: b"g"}, ["harms"])


def test_the_search_for_a_bad_fix_leaves_other_programs_alone() -> None:
    toy = Toy({A: [], B: []}, ("bad", b"b", b"!", Safety.SAFE), ("good", b"g", b"G", Safety.SAFE))
    outcome = run({A: b"b g", B: b"g g"}, toy)
    assert outcome.files == {A: b"b G", B: b"G G"}
    assert toy.calls == [None, {A, B}, {A}, {A}, {A}, {A, B}]


def test_hoists_of_one_line_in_one_pass_stay_apart() -> None:
    rules: list[Rule] = [("hoist1", b"f", b"F;", Safety.SAFE), ("hoist2", b"g", b"G;", Safety.SAFE)]
    outcome = run({A: b"x\na f b g"}, Toy({A: []}, *rules))
    assert outcome.files == {A: b"x\nF;G;a  b "}
    assert [one.fix.message for one in outcome.applied] == ["hoist1 here", "hoist2 here"]


@settings(max_examples=300, deadline=None)
@given(
    st.text("abcdefgh!\n", max_size=30).map(str.encode),
    st.text("abcdefgh", max_size=20).map(str.encode),
    st.lists(
        st.tuples(
            st.sampled_from("abcdefgh"),
            st.text("abcdefgh!", max_size=3),
            st.sampled_from([Safety.SAFE, *Safety]),
            st.sampled_from(["t", "hoist"]),
        ),
        max_size=6,
    ),
)
def test_any_run_ends_explained_and_a_second_one_finds_nothing(
    data: bytes, header: bytes, drawn: list[tuple[str, str, Safety, str]]
) -> None:
    # A rule only writes letters after its own: no run away, so all that may be made is made.
    rules: list[Rule] = [
        (f"{name}{i}", old.encode(), "".join(c for c in new if c > old or c == "!").encode(), safety)
        for i, (old, new, safety, name) in enumerate(drawn)
    ]
    toy = Toy({A: [H], B: [H]}, *rules)
    files = {A: data, B: data[::-1], H: header}
    outcome = run(files, toy)
    if not outcome.dropped:
        again = run({**files, **outcome.files}, toy)
        assert (again.files, again.applied) == ({}, [])
    for one in [*outcome.remaining, *(one for one, _ in outcome.dropped)]:
        apply_all(files, [one])
