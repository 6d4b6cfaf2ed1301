"""One fault in many guises, and what only looks like one: each snippet stands behind the same prelude of imports.

In ``guises/bad_*.txt`` a line ``--- BW101`` begins a snippet and names the rules, one of which has to refuse each line
that ends with ``#!``. In ``guises/good*.txt`` a line ``---`` begins a snippet of which nothing may be refused.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from admission.source import check_source, read_models

GUISES = Path(__file__).with_name("guises")
PRELUDE = (GUISES / "prelude.txt").read_text()
MODELS = read_models({"": "from app.models.shop import Pigeonhole", "shop": (GUISES / "models.txt").read_text()})
"""What `app.models` holds for the snippets that import from it."""


def snippets(name: str) -> list[tuple[list[str], str]]:
    parts = ("\n" + (GUISES / name).read_text()).split("\n---")[1:]
    return [(head.split(), body) for head, _, body in (part.partition("\n") for part in parts)]


BAD = [snippet for path in sorted(GUISES.glob("bad_*.txt")) for snippet in snippets(path.name)]
GOOD = [body for path in sorted(GUISES.glob("good*.txt")) for _, body in snippets(path.name)]


def first_line(body: str) -> str:
    return next((line.strip() for line in body.splitlines() if "#!" in line), body.splitlines()[-1].strip())[:50]


def test_there_are_snippets() -> None:
    assert len(BAD) > 200
    assert len(GOOD) > 60


def test_the_prelude_alone_is_admitted() -> None:
    assert check_source(PRELUDE, "prelude.py") == []


@pytest.mark.parametrize(("rules", "body"), BAD, ids=[f"{rules[0]} {first_line(body)}" for rules, body in BAD])
def test_a_fault_is_refused_on_its_line(rules: list[str], body: str) -> None:
    source = f"{PRELUDE}{body}\n"
    lines = {number for number, line in enumerate(source.splitlines(), 1) if line.rstrip().endswith("#!")}
    refused = {
        finding.line
        for finding in check_source(source, "bad.py", MODELS)
        if finding.rule in rules and finding.severity == "refuse"
    }
    assert lines
    assert lines <= refused


@pytest.mark.parametrize("body", GOOD, ids=[first_line(body) for body in GOOD])
def test_what_only_looks_dangerous_is_admitted(body: str) -> None:
    assert [
        finding for finding in check_source(f"{PRELUDE}{body}\n", "good.py", MODELS) if finding.severity == "refuse"
    ] == []
