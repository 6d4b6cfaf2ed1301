"""Each rule has a page, and both of the page's examples are run."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from admission.rule import RULES
from admission.source import check_source

PAGES = Path(__file__).parents[2] / "admission" / "rules"
HEADINGS = ["What", "Why", "Bad", "Good", "Mend"]

LATER = {
    *("BW601", "BW602", "BW611", "BW612"),
    *(f"BW{number}" for number in range(701, 715)),
    *(f"BW{number}" for number in (*range(901, 913), *range(920, 923))),
}
"""Rules of the layers after the first; the examples on their pages are run by the tests of those layers."""


@dataclass(frozen=True)
class Page:
    text: str
    bad: str
    good: str


def page(rule: str) -> Page:
    text = (PAGES / f"{rule}.md").read_text()
    bad, good = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return Page(text, bad, good)


def marked(source: str, rule: str) -> set[int]:
    return {number for number, line in enumerate(source.splitlines(), 1) if line.endswith(f"# <- {rule}")}


def test_there_is_a_page_for_each_rule_and_for_nothing_else() -> None:
    pages = {path.stem for path in PAGES.glob("*.md")}
    assert {rule for rule in pages if re.fullmatch(r"BW[1-5]\d\d", rule)} == set(RULES)
    assert pages - set(RULES) == LATER


def test_an_id_is_given_once() -> None:
    assert len(RULES) == len({rule.title for rule in RULES.values()})
    assert all(re.fullmatch(r"BW[1-5]\d\d", rule) for rule in RULES)


@pytest.mark.parametrize("rule", RULES)
def test_a_page_has_its_headings_in_order(rule: str) -> None:
    lines = page(rule).text.splitlines()
    assert lines[0] == f"# {rule}: {RULES[rule].title}"
    assert [line.removeprefix("## ") for line in lines if line.startswith("## ")] == HEADINGS


@pytest.mark.parametrize("rule", RULES)
def test_the_bad_example_is_found_on_its_line_and_nowhere_else(rule: str) -> None:
    bad = page(rule).bad
    found = {finding.line for finding in check_source(bad, "bad.py") if finding.rule == rule}
    assert marked(bad, rule)
    assert found == marked(bad, rule)


@pytest.mark.parametrize("rule", RULES)
def test_the_good_example_is_admitted_without_a_word(rule: str) -> None:
    assert check_source(page(rule).good, "good.py") == []


@pytest.mark.parametrize("rule", RULES)
def test_a_finding_has_the_severity_of_its_rule_and_says_how_to_mend(rule: str) -> None:
    bad = page(rule).bad
    for finding in check_source(bad, "bad.py"):
        if finding.rule == rule:
            assert finding.severity == RULES[rule].severity
            assert finding.message.endswith((".", "`"))
            assert finding.mend


@pytest.mark.parametrize("rule", RULES)
def test_a_finding_lies_within_the_source(rule: str) -> None:
    bad = page(rule).bad
    lines = bad.split("\n")
    for finding in check_source(bad, "bad.py"):
        assert 1 <= finding.line <= finding.end_line <= len(lines)
        assert 1 <= finding.column <= len(lines[finding.line - 1]) + 1
        assert finding.end_column <= len(lines[finding.end_line - 1]) + 1
        assert (finding.line, finding.column) < (finding.end_line, finding.end_column)


@pytest.mark.parametrize("rule", RULES)
def test_the_examples_are_whole_modules(rule: str) -> None:
    for example in (page(rule).bad, page(rule).good):
        assert "APIRouter" in example
        ast.parse(example)


@pytest.mark.parametrize("rule", sorted(LATER))
def test_a_page_of_a_later_layer_has_the_same_headings(rule: str) -> None:
    lines = (PAGES / f"{rule}.md").read_text().splitlines()
    assert lines[0].startswith(f"# {rule}: ")
    assert [line.removeprefix("## ") for line in lines if line.startswith("## ")] == HEADINGS


def test_the_example_of_what_does_not_parse() -> None:
    bad, fine = re.findall(r"```python\n(.*?)```", (PAGES / "BW901.md").read_text(), re.DOTALL)
    assert [(finding.rule, finding.line) for finding in check_source(bad, "bad.py")] == [("BW901", 1)]
    assert check_source(fine, "fine.py") == []


MENDED = """from fastapi import APIRouter
from pydantic import BaseModel, Field
router = APIRouter()
class ReviewIn(BaseModel):
    stars: str
    comment: str = ""
    place: str | None = None
    title: str = Field(default="none", min_length=1)
@router.post("/v1/book-reviews/{review_id}")
async def make(wanted: ReviewIn):
    return 1
"""


def mends(rule: str) -> list[str]:
    return [finding.mend for finding in check_source(MENDED, "mended.py") if finding.rule == rule]


def test_a_mend_keeps_the_default_that_stands_there() -> None:
    assert [mend.partition(";")[0] for mend in mends("BW401")] == [
        "`stars: str = Field(max_length=200)`",
        "`comment: str = Field(default='', max_length=200)`",
        "`place: str | None = Field(default=None, max_length=200)`",
        "`title: str = Field(default='none', max_length=200)`",
    ]


def test_a_mend_names_the_model_after_what_the_route_is_about() -> None:
    assert [re.findall(r"class (\w+)", mend) for mend in mends("BW408")] == [["BookReviewOut"]]
