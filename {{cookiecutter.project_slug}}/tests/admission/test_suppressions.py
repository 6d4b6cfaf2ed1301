"""A suppression has a rule, a file, a reason and an end; whatever is wrong with one is said with its line."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from admission.finding import Finding
from admission.suppressions import LONGEST, MAX_ENTRIES, MIN_REASON, Suppressions, read_suppressions
from tests.admission.sources import examples, marked

if TYPE_CHECKING:
    from pathlib import Path

TODAY = date(2026, 11, 27)
RULES = {"BW405", "BW101", "BW901"}
REASON = "one row a country; OPS-12 adds pages"


def entry(
    head: str = "BW405 app/handlers/a.py", reason: str = REASON, expires: str = "2027-01-31", more: str = ""
) -> str:
    return f'[suppress."{head}"]\nreason = "{reason}"\nexpires = {expires}\n{more}\n'


def read(folder: Path, text: str, today: date = TODAY) -> Suppressions:
    (folder / "admission.toml").write_text(text)
    return read_suppressions(folder / "admission.toml", RULES, today)


def finding(rule: str = "BW405", file: str = "app/handlers/a.py") -> Finding:
    return Finding(rule, file, 3, 1, 3, 9, "Wrong.", "Right.", "refuse")


def problems(folder: Path, text: str, today: date = TODAY) -> list[tuple[str, int]]:
    return [(problem.rule, problem.line) for problem in read(folder, text, today).problems]


def test_without_a_file_nothing_is_suppressed(tmp_path: Path) -> None:
    found = read_suppressions(tmp_path / "admission.toml", RULES, TODAY)
    assert found.problems == []
    assert found.match(finding(), "x") is None


def test_an_entry_suppresses_its_rule_in_its_file_and_no_other(tmp_path: Path) -> None:
    found = read(tmp_path, entry())
    match = found.match(finding(), "anything")
    assert match is not None
    assert (match.reason, match.expires, match.at) == (REASON, date(2027, 1, 31), 1)
    assert found.match(finding("BW101"), "x") is None
    assert found.match(finding(file="app/handlers/b.py"), "x") is None


def test_an_entry_for_lines_suppresses_only_those(tmp_path: Path) -> None:
    found = read(tmp_path, entry(more='lines = ["  rows = all_of_them()  "]'))
    assert found.match(finding(), "    rows = all_of_them()") is not None
    assert found.match(finding(), "    rows = more_of_them()") is None


def test_an_entry_holds_on_its_last_day_and_not_on_the_next(tmp_path: Path) -> None:
    assert problems(tmp_path, entry(expires="2026-11-27")) == []
    late = read(tmp_path, entry(expires="2026-11-27"), TODAY + timedelta(days=1))
    assert [problem.rule for problem in late.problems] == ["BW921"]
    assert late.match(finding(), "x") is None


def test_an_entry_may_end_so_late_and_no_later(tmp_path: Path) -> None:
    assert problems(tmp_path, entry(expires=str(TODAY + LONGEST))) == []
    assert problems(tmp_path, entry(expires=str(TODAY + LONGEST + timedelta(days=1)))) == [("BW920", 1)]


def test_a_reason_has_a_least_length(tmp_path: Path) -> None:
    assert problems(tmp_path, entry(reason="r" * MIN_REASON)) == []
    assert problems(tmp_path, entry(reason="r" * (MIN_REASON - 1))) == [("BW920", 1)]


@pytest.mark.parametrize(
    "text",
    [
        entry("BW405"),
        entry("BW499 app/handlers/a.py"),
        entry("BW901 app/handlers/a.py"),
        entry(expires="'2027-01-31'"),
        entry(expires="2027-01-31T00:00:00"),
        entry(more="line = 3"),
        entry(more="lines = []"),
        entry(more="lines = [3]"),
        "other = 1\n",
        "suppress = 1\n",
        "[suppress\n",
        '[suppress."BW405 app/handlers/a.py"]\n',
    ],
)
def test_a_faulty_entry_is_named_and_suppresses_nothing(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, text)
    assert {problem.rule for problem in found.problems} == {"BW920"}
    assert {problem.file for problem in found.problems} == {"admission.toml"}
    assert all(problem.mend for problem in found.problems)
    assert found.match(finding(), "x") is None


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "admission.toml").write_bytes(b"\xff\xfe")
    found = read_suppressions(tmp_path / "admission.toml", RULES, TODAY)
    assert [problem.rule for problem in found.problems] == ["BW920"]


def test_more_entries_than_anybody_looks_after_are_refused(tmp_path: Path) -> None:
    def text(count: int) -> str:
        return "\n".join(entry(f"BW405 app/handlers/a{number}.py") for number in range(count))

    assert problems(tmp_path, text(MAX_ENTRIES)) == []
    assert problems(tmp_path, text(MAX_ENTRIES + 1)) == [("BW920", 1)]


def test_the_line_of_the_second_entry_is_its_own(tmp_path: Path) -> None:
    assert problems(tmp_path, entry() + entry("BW101 app/handlers/a.py", reason="short")) == [("BW920", 5)]


def test_an_entry_that_nothing_needs_is_a_remark(tmp_path: Path) -> None:
    found = read(tmp_path, entry() + entry("BW101 app/handlers/a.py"))
    assert found.match(finding(), "x") is not None
    files = {"app/handlers/a.py"}
    (unused,) = found.unused(files, RULES)
    assert (unused.rule, unused.severity, unused.line) == ("BW922", "remark", 5)
    assert list(found.unused(set(), RULES)) == []
    assert list(found.unused(files, {"BW405"})) == []


@pytest.mark.parametrize("rule", ["BW920", "BW921"])
def test_the_examples_of_the_pages(tmp_path: Path, rule: str) -> None:
    bad, fine = examples(rule, "toml")
    assert problems(tmp_path, bad) == [(rule, line) for line in marked(bad, rule)]
    assert problems(tmp_path, fine) == []


def test_the_example_of_an_unused_entry(tmp_path: Path) -> None:
    bad, fine = examples("BW922", "toml")
    files = {"app/handlers/things.py"}
    assert [found.line for found in read(tmp_path, bad).unused(files, RULES)] == marked(bad, "BW922")
    assert list(read(tmp_path, fine).unused(files, RULES)) == []
