"""The gate against handlers as models write them: each fault named on its line, nothing good refused."""

from __future__ import annotations

from collections import Counter
from typing import Final

import pytest

from tests.admission.corpus import Case, cases

BAD = [*cases("bad"), *cases("held_out_bad")]
GOOD = [*cases("good"), *cases("held_out_good")]
OUTSIDE_BAD = cases("outside_bad")
OUTSIDE_GOOD = cases("outside_good")

MISSED: Final = {
    "606_function_authorisation_team_role_change": "names the row that is fetched by id (BW414):"
    " who gives roles in a team is a rule of this team, and of no other handler",
    "662_failure_told_as_success_seat_swap_200_error": "names the answer without a model (BW408):"
    " that `ok: False` means a failure, and is no answer, nobody can tell",
    "666_csv_from_text_attendees_csv_formula": "a remark (BW114): the table is shared,"
    " and nothing in the module says who writes into it",
    "703_client_decides_chat_post_message": "admitted: `author` is a column of nobody's table, and of books too;"
    " that it is who writes, the name alone does not say",
    "710_client_decides_subscription_checkout": "admitted: an amount that the client chooses may be what is meant,"
    " as in a donation; this one is a price",
    "714_module_state_sensor_ingest": "admitted: the list that grows is a value of the dictionary under another name,"
    " and the object that holds it is made once in the module",
    "716_pii_in_log_salary_change": "admitted: what a decorator is called with, `**kwargs`, is not followed from the"
    " handlers that it wraps",
    "720_csv_from_text_contact_export": "admitted: the table is the caller's own, and no handler of the module says"
    " that others write into it",
    "722_shared_between_callers_dashboard_cache": "names the cache where it is written, as one that grows (BW504): that"
    " its key leaves out the caller, while the rows are the caller's, is not seen",
    "733_failure_told_as_success_seat_upgrade": "admitted: that an answer with `error` in it means a failure nobody can"
    " tell, as in 662",
    "740_effect_not_once_gift_card_issue": "admitted: an id that is drawn is in the body of a `post`, and which of its"
    " fields the other service takes for its key is that service's",
    "742_code_from_input_order_book_filter": "a remark (BW507): the name that the client sends has a pattern, and that"
    " this one lets every column through is not asked of it",
    "749_call_without_bound_category_breadcrumb": "admitted: whether rows that point at one another form a ring is in"
    " the rows, and not in the source",
    "756_client_decides_leave_approval": "admitted: which states an owner may set, and which only others, is a rule of"
    " this table; most states are the owner's to set",
    "758_unbounded_number_availability_calendar": "admitted: the number of days is the difference of two dates, each of"
    " which is as good as any",
}
"""Faulty handlers of outsiders that the gate does not name rightly, and what it does instead."""

REFUSED: Final = {
    "644_poll_vote_once": "its groups are as many as a column has values (BW405), which another handler bounds when it"
    " writes; `limit(10)` would say so",
    "653_profile_patch_allowlist": "`setattr` over what the client sent is refused on purpose (BW410, BW111): the next"
    " field of the model need not be harmless",
}
"""Good handlers of outsiders that the gate refuses, and why."""

# The classes of issue and README, each with the rules that are about it.
RULES = {
    "sql-from-input": "BW101",
    "shell-from-input": "BW102",
    "code-from-input": "BW103 BW111 BW502",
    "path-from-input": "BW104",
    "url-from-input": "BW105",
    "html-from-input": "BW106",
    "blocking-in-async": "BW201",
    "undeclared-outbound": "BW501",
    "call-without-bound": "BW202",
    "hand-made-retry": "BW203",
    "swallowed-exception": "BW210",
    "internals-in-answer": "BW307",
    "secret-in-log": "BW301",
    "pii-in-log": "BW301",
    "hard-coded-secret": "BW302",
    "weak-hash": "BW303",
    "weak-random": "BW304",
    "secret-compare": "BW305",
    "unsafe-deserialisation": "BW110",
    "regex-from-input": "BW108",
    "catastrophic-regex": "BW109",
    "mass-assignment": "BW410",
    "client-decides": "BW411",
    "unbounded-number": "BW402",
    "unbounded-string": "BW401",
    "unbounded-list": "BW403",
    "unbounded-page": "BW404",
    "unbounded-result": "BW405",
    "module-state": "BW504",
    "no-response-model": "BW408",
    "leaking-response": "BW408 BW409",
    "naive-datetime": "BW412",
    "float-money": "BW413",
    "check-then-act": "BW206",
    "transaction-across-outbound": "BW207",
    "query-in-loop": "BW208",
    "orphan-task": "BW204",
    "lost-work": "BW205",
    "redirect-to-input": "BW107",
    "loosened-headers": "BW416 BW417 BW418",
    "debug-endpoint": "BW419",
    "verification-off": "BW306",
    "unbounded-upload": "BW406 BW421",
    "unbounded-decompression": "BW407",
    "own-authentication": "BW415",
    "environment-read": "BW420",
    "not-owned": "BW414",
    "commit-in-handler": "BW506",
    "scaffold-patched": "BW503 BW508",
}

ONLY_OUTSIDE = {
    "check-not-asked": "BW423",
    "csv-from-text": "BW114",
    "effect-not-once": "BW211",
    "failure-told-as-success": "",
    "function-authorisation": "",
    "header-from-text": "BW113",
    "made-once": "BW422",
    "shared-between-callers": "BW418 BW504",
    "shared-session": "BW213",
    "template-from-input": "BW112",
    "unconditional-write": "BW214",
    "undone-write": "BW212",
}
"""Classes of which only outsiders wrote, with their rules; of two there is no rule."""


def test_every_class_has_three_guises_and_one_that_was_held_out() -> None:
    assert set(RULES) == {case.fault for case in cases("bad")} == {case.fault for case in cases("held_out_bad")}
    assert min(Counter(case.fault for case in cases("bad")).values()) >= 3
    assert len(BAD) >= 120
    assert len(GOOD) >= 60
    assert not [case.name for case in BAD if case.fault is None]
    assert not [case.name for case in GOOD if case.fault is not None]


def test_what_outsiders_wrote_is_of_a_class_that_is_listed() -> None:
    assert {case.fault for case in OUTSIDE_BAD} <= RULES.keys() | ONLY_OUTSIDE.keys()
    assert len(OUTSIDE_BAD) == 302
    assert len(OUTSIDE_GOOD) == 205
    assert not [case.name for case in OUTSIDE_GOOD if case.fault is not None]
    assert set(MISSED) <= {case.name for case in OUTSIDE_BAD}
    assert set(REFUSED) <= {case.name for case in OUTSIDE_GOOD}


def rules_of_its_class(case: Case, refused: dict[int, set[str]]) -> set[str]:
    """Return the rules of its class that refuse a handler on a line that is right."""
    found = {rule for line in case.lines & refused.keys() for rule in refused[line]}
    return found & set((RULES | ONLY_OUTSIDE)[str(case.fault)].split())


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_a_fault_is_refused_on_its_line_by_a_rule_of_its_class(case: Case) -> None:
    refused = case.refused()
    assert rules_of_its_class(case, refused), refused


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
def test_what_only_looks_dangerous_is_admitted(case: Case) -> None:
    assert case.refused() == {}


@pytest.mark.parametrize("case", OUTSIDE_BAD, ids=lambda case: case.name)
def test_a_fault_that_an_outsider_wrote_is_refused_on_its_line_unless_it_is_known_to_be_missed(case: Case) -> None:
    refused = case.refused()
    assert bool(rules_of_its_class(case, refused)) is (case.name not in MISSED), refused


@pytest.mark.parametrize("case", OUTSIDE_GOOD, ids=lambda case: case.name)
def test_what_an_outsider_wrote_without_a_fault_is_admitted_unless_it_is_known_to_be_refused(case: Case) -> None:
    refused = case.refused()
    assert bool(refused) is (case.name in REFUSED), refused
