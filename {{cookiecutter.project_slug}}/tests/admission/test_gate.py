"""The gate as it is used: one command, a verdict, an exit status, whatever lies among the handlers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from admission.cache import MAX_ENTRIES, Cache
from admission.finding import Finding
from admission.gate import Gate
from admission.reports.text import render
from tests.admission.sources import ROOT, good
from tests.support.service import copy_project, run_to_end

if TYPE_CHECKING:
    from pathlib import Path

FAULTY = good("faulty").replace(
    "async def read() -> Thing:\n", "async def read(q: str) -> Thing:\n    print(eval(q))  # noqa\n"
)
"""Has a text without a bound, and runs it."""


def judge(*paths: Path, layers: tuple[str, ...] = ("source",), cached: bool = False) -> list[str]:
    report = Gate(ROOT, layers=layers, cached=cached).judge(paths)
    return [finding.rule for finding in report.findings]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_project(tmp_path / "service", dropped=False, gate=True)


def check(project: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = run_to_end(project, "check", "--format", "json", *arguments)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_handler_that_was_dropped_in_is_refused_and_then_admitted(project: Path) -> None:
    handler = project / "app" / "handlers" / "faulty.py"
    handler.write_text(FAULTY)
    with (project / "policy.toml").open("a") as policy:
        policy.write('\n[routes."GET /v1/faulty"]\nallow = ["probe:read"]\n')
    layers = ("--layer", "source", "--layer", "boot")
    status, report = check(project, *layers)
    assert (status, report["verdict"]) == (1, "refused")
    found = {
        (entry["rule"], entry["line"]) for entry in report["findings"] if entry["file"] == "app/handlers/faulty.py"
    }
    assert {("BW103", 15), ("BW401", 14)} <= found
    handler.write_text(good("faulty"))
    status, report = check(project, *layers)
    assert (status, report["verdict"], report["complete"]) == (0, "admitted", True)


def test_a_suppression_is_listed_and_lets_the_handler_in_until_it_ends(project: Path) -> None:
    handler = project / "app" / "handlers" / "faulty.py"
    handler.write_text(good("faulty").replace("async def read() ", "async def read(q: str) "))
    entry = '[suppress."BW401 app/handlers/faulty.py"]\nreason = "a partner sends it; OPS-7 bounds it"\nexpires = {}\n'
    (project / "admission.toml").write_text(entry.format("2027-01-31"))
    paths = ("app/handlers/faulty.py", "--layer", "source")
    status, report = check(project, *paths)
    assert status == 0
    assert [found["rule"] for found in report["suppressed"]] == ["BW401"]
    (project / "admission.toml").write_text(entry.format("2020-01-31"))
    status, report = check(project, *paths)
    assert (status, report["suppressed"]) == (1, [])
    assert {found["rule"] for found in report["findings"]} == {"BW401", "BW921"}


def test_a_handler_cannot_suppress_anything_from_inside(tmp_path: Path) -> None:
    path = tmp_path / "faulty.py"
    path.write_text(
        "# ruff: noqa\n# mypy: ignore-errors\n# admission: off\n__all__: list[str] = []  # nosec\n" + FAULTY
    )
    assert "BW103" in judge(path)


def test_what_does_not_exist_could_not_be_judged(project: Path) -> None:
    done = run_to_end(project, "check", "app/handlers/nothing.py")
    assert done.returncode == 2
    assert "no such file" in done.stderr


def test_an_engine_that_is_missing_admits_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")  # an interpreter without ruff
    path = tmp_path / "a.py"
    path.write_text(good("a"))
    report = Gate(ROOT, layers=("source", "lint"), cached=False).judge([path])
    assert [layer.name for layer in report.failures] == ["lint"]


def test_each_layer_is_reported_as_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(FAULTY)
    said: list[str] = []
    Gate(ROOT, layers=("source", "lint", "gauntlet"), cached=False, progress=said.append).judge([path])
    assert [line.split()[0] for line in said] == ["source", "lint", "gauntlet"]
    assert "refusal" in said[0]
    assert "what is refused is not attacked" in said[2]


def test_the_gauntlet_admits_nothing_whose_routes_nobody_has_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(good("a"))
    report = Gate(ROOT, layers=("gauntlet",), cached=False).judge([path])
    assert [(layer.name, layer.judged) for layer in report.failures] == [("gauntlet", "nothing")]
    assert "--layer boot" in str(report.failures[0].failure)
    assert "\nadmitted" not in f"\n{render(report)}"


@pytest.mark.parametrize("text", ["def (:\n", "x = '\\ud800'\n\0", "(" * 5000, "x = " + "-" * 50_000 + "1\n", ""])
def test_any_text_is_judged_by_every_cheap_layer(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.py"
    path.write_text(text)
    report = Gate(ROOT, layers=("source", "lint"), cached=False).judge([path])
    assert not report.failures
    assert (report.verdict == "admitted") == (text == "")


def test_what_was_judged_once_is_remembered_until_it_changes(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    found = [Finding("BW101", "a.py", 1, 2, 3, 4, "Wrong.", "Right.", "refuse")]
    key = cache.key("source", b"one")
    assert cache.get(key) is None
    cache.put(key, found)
    assert cache.get(key) == found
    assert cache.get(cache.key("source", b"other")) is None
    assert cache.get(cache.key("lint", b"one")) is None
    assert cache.key("source", b"ab", b"c") != cache.key("source", b"a", b"bc")


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"rule": 3}]', '[{"rule": "BW101", "line": "x"}]'])
def test_a_memory_that_does_not_read_is_none(tmp_path: Path, text: str) -> None:
    cache = Cache(tmp_path)
    key = cache.key("source", b"one")
    (tmp_path / f"{key}.json").write_text(text)
    assert cache.get(key) is None


def test_the_memory_is_bounded(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for number in range(MAX_ENTRIES):
        (tmp_path / f"{number}.json").write_text("[]")
    cache.put(cache.key("source", b"one"), [])
    assert len(list(tmp_path.glob("*.json"))) <= MAX_ENTRIES
    assert cache.get(cache.key("source", b"one")) == []


def test_a_page_is_explained_and_a_wrong_id_is_answered_with_near_ones(project: Path) -> None:
    assert run_to_end(project, "explain", "bw101").stdout.startswith("# BW101: ")
    done = run_to_end(project, "explain", "BW1010")
    assert done.returncode == 2
    assert "BW101" in done.stderr
    assert "BW405  " in run_to_end(project, "explain").stdout
