"""The pages that `ebpffix --explain` prints: each says when it acts and when not, and shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import Case, cases, transforms

from ebpffix.report.explain import page

LESSONS = Path(__file__).parent.parent / "docs" / "lessons.md"
TRANSFORMS = sorted(transforms())


def shown(transform: str) -> list[Case]:
    return [case for case in cases(transform) if case.keys.get("explain") == "yes"]


@pytest.mark.parametrize("name", TRANSFORMS)
def test_page(name: str) -> None:
    known = transforms()[name]
    text = page(known)
    assert re.search(r"^(Safe|Suggested|Advice)\b", text, re.MULTILINE), "no paragraph says how sure its fixes are"
    assert re.search(r"^Left alone\b", text, re.MULTILINE), "no paragraph says what stays as it is"
    assert not known.facts.pattern or f"lesson {known.facts.pattern} in docs/lessons.md\n" in text
    assert text.endswith(f"/transforms/{name}/")
    # One heading and one hunk at least for each example: a fixture that changes nothing is none.
    assert text.count("\nExample: ") == len(shown(name)) == len(re.findall(r"^Example: .*\n\n@@", text, re.MULTILINE))


@pytest.mark.parametrize("name", [n for n in TRANSFORMS if any(case.fixed for case in cases(n))])
def test_page_has_an_example(name: str) -> None:
    examples = shown(name)
    assert 1 <= len(examples) <= 2, "choose one or two telling fixtures with explain=yes"
    for case in examples:
        assert case.fixed[case.program].splitlines()[0] == case.files[case.program].splitlines()[0]
        assert f"Example: {case.name} ({case.dialect}, {case.expect[0]}" in page(transforms()[name])


def sections() -> dict[int, str]:
    """The lessons' sections by number."""
    parts = re.split(r"^## (\d)", LESSONS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if transforms()[name].facts.pattern])
def test_lessons_name_the_transform(name: str) -> None:
    """Pages end with a link to the lesson, so the lesson must speak of the transform."""
    assert f"`{name}`" in sections()[transforms()[name].facts.pattern]


@pytest.mark.parametrize("number", range(10))
def test_lessons_show_what_the_pages_show(number: int) -> None:
    """A change in a lesson is part of an example, so that it is one that ebpffix makes."""
    pages = [page(known) for known in transforms().values() if known.facts.pattern == number]
    for diff in re.findall(r"^```diff\n(.*?)^```", sections()[number], re.MULTILINE | re.DOTALL):
        assert any(diff in text + "\n" for text in pages), diff
