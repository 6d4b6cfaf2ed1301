"""What the gauntlet found is said to whoever has only the report: where, why, and what to write instead."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from admission.files import find_sources
from admission.layers.gauntlet import _EXAMPLES, _MENDS, NOT_EXERCISED, _finding
from admission.pages import page
from tests.admission.sources import ROOT

if TYPE_CHECKING:
    from admission.finding import Finding

ATTACKS = "".join(path.read_text("utf-8") for path in sorted((ROOT / "tests" / "gauntlet").glob("*.py")))


def finding(rule: str, text: str) -> Finding:
    entry = {"rule": rule, "text": text, "route": "POST /v1/things", "file": "app/handlers/things.py", "line": 7}
    return _finding(entry, {})


def test_every_rule_that_an_attack_names_has_a_mend_and_a_page() -> None:
    assert set(re.findall(r"\"(BW7\d\d)\"", ATTACKS)) == set(_MENDS)
    assert all(page(rule) for rule in {*_MENDS, NOT_EXERCISED})


def test_no_mend_sends_who_writes_handlers_to_edit_what_is_people_s() -> None:
    for rule in _MENDS:
        for text in (_MENDS[rule], (page(rule) or "").partition("## Mend")[2]):
            assert "policy.toml" not in text or "people" in text, rule
            assert not re.search(r"order|customer|admin|operator|inventory", text), rule


def test_a_guard_that_may_have_failed_is_named_and_is_for_people_to_see() -> None:
    mend = finding("BW701", "without a token (guard: authentication): 200 where 401 was due").mend
    assert mend.startswith(_MENDS["BW701"])
    assert "the guard authentication failed" in mend.replace("`", "")
    assert finding("BW710", "the answer shows the inside of the service").mend == _MENDS["BW710"]


@pytest.mark.parametrize(
    ("reason", "mend"),
    [
        ("the route is closed", "Show this to a person, who opens it"),
        ("there is no simulator of web", "Show this to a person: what these services"),
        ("what a body of application/xml holds is not known here", "Take JSON"),
        ("a body may take 30 s", "allows more than is tried here"),
        ("a body of 104857600 bytes would have to be sent", "allows more than is tried here"),
        ("2000 requests would be needed to see its rate", "allows more than is tried here"),
        ("101 requests take longer than the 1 s of its rate", "allows more than is tried here"),
        ("its example is answered without a call to them", "`outbound` in its entry may go"),
        ("its example is answered with 409: taken", _EXAMPLES),
        ("no text for the pattern ^(?!)$", _EXAMPLES),
    ],
)
def test_what_could_not_be_attacked_is_a_remark_whose_mend_is_about_its_reason(reason: str, mend: str) -> None:
    found = finding(NOT_EXERCISED, f"an attack: {reason}")
    assert found.severity == "remark"
    assert mend in found.mend


def test_a_finding_stands_where_the_handler_stands() -> None:
    (source,) = find_sources((ROOT / "tests" / "support" / "dropped" / "probe.py",), ROOT)
    entry = {"rule": "BW707", "text": "a", "route": "GET /a", "file": source.name, "line": 7}
    found = _finding(entry, {source.name: source})
    assert (found.file, found.line) == (source.name, 7)
    assert _finding(entry, {}).file == ""
