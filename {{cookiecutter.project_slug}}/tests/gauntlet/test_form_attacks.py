"""Forms are attacked as forms: handlers that read them with care hold, and each that does not is found."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.gauntlet.attack import ATTACKS
from tests.gauntlet.candidates import dropped
from tests.gauntlet.run import RouteResult, run_gauntlet

if TYPE_CHECKING:
    from pathlib import Path

DEAR = "POST /v1/candidates/dear-forms"
FORMS = {attack.name for attack in ATTACKS.attacks if attack.fire.__module__.endswith("attacks_forms")}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RouteResult]:
    handlers, routes = dropped(tmp_path_factory.mktemp("sound"), "forms")
    return {result.name: result for result in run_gauntlet(only=routes, candidates=handlers)}


@pytest.fixture(scope="module")
def crude(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    handlers, routes = dropped(tmp_path_factory.mktemp("crude"), "crude_forms")
    results = run_gauntlet(only=routes - {DEAR}, candidates=handlers, attacks={*FORMS, "hostile strings"})
    return {
        result.name.rpartition("/")[2]: [f"{each.rule} {each.text}" for each in result.faults] for result in results
    }


def test_a_handler_that_reads_its_form_with_care_holds(sound: dict[str, RouteResult]) -> None:
    assert [f"{result.name}: {fault.rule} {fault.text}" for result in sound.values() for fault in result.faults] == []


def test_every_attack_is_made_on_a_form_of_its_kind(sound: dict[str, RouteResult]) -> None:
    letters, parts = (sound[f"POST /v1/candidates/{name}"].outcomes for name in ("sound-forms", "sound-uploads"))
    assert {name for name in FORMS if letters[name] == "-"} == {"broken parts", "names of files", "a form again"}
    assert {name for name in FORMS if parts[name] == "-"} == {"broken form"}
    for outcomes in (letters, parts):
        also = {"no key", "a key again", "a client that leaves", "a full body", "past each bound", "unknown fields"}
        assert {outcomes[name] for name in also} == {"ok"}
        assert set(outcomes.values()) <= {"ok", "-"}


def test_a_text_that_is_taken_for_a_number_is_found(crude: dict[str, list[str]]) -> None:
    (said, *_) = [said for said in crude["crude-forms"] if "count=%00: the answer is a 500" in said]
    assert re.search("ValueError: .*, raised from line [0-9]+$", said), "who reads only this sees no log"


def test_the_name_of_a_file_that_comes_back_as_markup_is_found(crude: dict[str, list[str]]) -> None:
    assert any(said.startswith("BW710 a file whose name is markup") for said in crude["crude-uploads"]), crude


def test_a_handler_that_multiplies_what_it_is_sent_is_found(crude: dict[str, list[str]]) -> None:
    assert any(said.startswith("BW706") and "have it grow by" in said for said in crude["hoarding-uploads"]), crude


@pytest.mark.wide
def test_a_handler_that_takes_long_for_many_fields_is_found(tmp_path: Path) -> None:
    handlers, _ = dropped(tmp_path, "crude_forms")
    (result,) = run_gauntlet(only={DEAR}, candidates=handlers, attacks={"broken form"})
    assert any(fault.rule == "BW708" and "999 times" in fault.text for fault in result.faults)
