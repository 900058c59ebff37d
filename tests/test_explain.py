"""The pages that `ebpffix --explain` prints: each says when it acts and when not, and shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import SAFE, UNSAFE, Case, cases, transforms

from ebpffix.report.explain import page

LESSONS = Path(__file__).parent.parent / "docs" / "lessons.md"
TRANSFORMS = sorted(transforms())


def shown(transform: str) -> list[Case]:
    return [case for case in cases(transform) if case.keys.get("explain") == "yes"]


@pytest.mark.parametrize("name", TRANSFORMS)
def test_page(name: str) -> None:
    known = transforms()[name]
    text = page(known)
    for word in ("left alone", *sorted(SAFE if "Safe" in known.page else UNSAFE - SAFE)):
        assert re.search(rf"^{word}", text, re.IGNORECASE | re.MULTILINE), f"no paragraph says what is {word}"
    assert text.endswith(f"lesson {known.facts.pattern} in docs/lessons.md")
    assert max(map(len, text.splitlines())) <= 120
    # One heading and one hunk at least for each example: a fixture that changes nothing is none.
    assert text.count("\nExample: ") == len(shown(name)) == len(re.findall(r"^Example: .*\n\n@@", text, re.MULTILINE))


@pytest.mark.parametrize("name", [n for n in TRANSFORMS if any(case.fixed for case in cases(n))])
def test_page_has_an_example(name: str) -> None:
    examples = shown(name)
    assert 1 <= len(examples) <= 2, "choose one or two telling fixtures with explain=yes"
    for case in examples:
        assert case.fixed[case.program].splitlines()[0] == case.files[case.program].splitlines()[0]
        assert f"Example: {case.name} ({case.dialect}, {case.expect[0]}" in page(transforms()[name])


@pytest.mark.parametrize("name", TRANSFORMS)
def test_lessons_name_the_transform(name: str) -> None:
    """Pages end with a link to the lesson, so the lesson must speak of the transform."""
    lesson = re.split(r"^## (\d)", LESSONS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = dict(zip(lesson[1::2], lesson[2::2], strict=True))
    assert f"`{name}`" in sections[str(transforms()[name].facts.pattern)]
