"""Every row of the threat model names tests, and every test that it names is there."""

from __future__ import annotations

import re

from tests.support.template import ROOT, SOURCE

TEXT = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\*|test_\w+)`", TEXT)


def test_all_ten_risks_have_a_row_with_a_test() -> None:
    rows = re.findall(r"^\| (API\d+) [^|]+\|([^|]+)\|([^|]+)\|([^|]+)\|$", TEXT, re.MULTILINE)
    assert [name for name, *_ in rows] == [f"API{number}" for number in range(1, 11)]
    assert all("::" in shown for _, _, shown, _ in rows)


def test_every_section_of_asvs_has_a_row_with_a_test() -> None:
    rows = re.findall(r"^\| (V\d+[^|]*)\|([^|]+)\|([^|]+)\|([^|]+)\|$", TEXT, re.MULTILINE)
    chapters = {int(number) for name, *_ in rows for number in re.findall(r"V(\d+)", name)}
    assert chapters == {1, 2, 4, 8, 9, 11, 12, 13, 14, 15, 16}
    assert all("::" in shown for _, _, shown, _ in rows)


def test_every_test_that_is_named_is_there() -> None:
    assert len(NAMED) > 25
    missing = []
    for file, name in NAMED:
        path = SOURCE / file
        text = path.read_text("utf-8") if path.is_file() else ""
        if not re.search(rf"^(async )?def {'test_' if name == '*' else name}\w*\(", text, re.MULTILINE):
            missing.append(f"{file}::{name}")
    assert missing == []


def test_every_rule_that_is_named_is_there() -> None:
    rules = set(re.findall(r"BW\d{3}", TEXT))
    assert rules
    assert [rule for rule in sorted(rules) if not (SOURCE / "admission" / "rules" / f"{rule}.md").is_file()] == []
