"""What AGENTS.md and the skill show is admitted as it stands, and the loop that they describe ends."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from admission.report import Verdict
from admission.source import check_source
from tests.admission.sources import ROOT
from tests.support.service import copy_project, run_to_end

if TYPE_CHECKING:
    from pathlib import Path

AGENTS = ROOT / "AGENTS.md"
SKILL = ROOT / ".agents" / "skills" / "write-a-handler" / "SKILL.md"


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", [AGENTS, SKILL], ids=lambda page: page.name)
def test_the_source_rules_have_nothing_to_say_of_the_examples(page: Path) -> None:
    assert blocks(page)
    for block in blocks(page):
        assert check_source(block, page.name) == []


def test_the_page_is_one_page_and_the_skill_says_when_to_use_it() -> None:
    assert len(AGENTS.read_text("utf-8").splitlines()) <= 90
    head = SKILL.read_text("utf-8").split("---")[1]
    assert re.search(r"^name: write-a-handler$", head, re.MULTILINE)
    assert re.search(r"^description: \S.{40,}$", head, re.MULTILINE)


def test_what_the_page_points_at_is_there_without_the_example_too() -> None:
    example = {"orders", "inventory", "notifications"}
    named = set(re.findall(r"`([\w./-]+/[\w./-]+\.(?:py|md))`", AGENTS.read_text("utf-8")))
    named = {path for path in named if "NAME" not in path}
    assert named
    for path in named:
        assert (ROOT / path).is_file() or path == "app/handlers/_NAME.py"
        assert not example & set(re.split(r"[/.]", path)), path


def test_the_verdicts_that_end_the_loop_are_those_of_the_report() -> None:
    text = AGENTS.read_text("utf-8")
    assert {f"`{verdict}`" in text for verdict in Verdict if verdict is not Verdict.REFUSED} == {True}


def test_what_may_be_asked_for_is_all_on_the_page() -> None:
    offered = set(re.findall(r"^(\w+) = Annotated\[", (ROOT / "app" / "dependencies.py").read_text(), re.MULTILINE))
    assert offered == set(re.findall(r"^\| `\w+: (\w+)` \|", AGENTS.read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize(
    "layers",
    [("source", "lint", "boot"), pytest.param(("source", "lint", "types", "boot", "gauntlet"), marks=pytest.mark.wide)],
    ids=len,
)
def test_the_loop_ends_with_an_admission(tmp_path: Path, layers: tuple[str, ...]) -> None:
    project = copy_project(tmp_path / "service", dropped=False, gate=True)
    model, handler = blocks(SKILL)
    (project / "app" / "models" / "notes.py").write_text(model, "utf-8")
    (project / "app" / "handlers" / "notes.py").write_text(handler, "utf-8")
    (project / "app" / "handlers" / "greetings.py").write_text(blocks(AGENTS)[0], "utf-8")
    made = run_to_end(project, "migration", "add notes")
    assert made.returncode == 0, made.stderr

    def check() -> tuple[int, dict[str, Any]]:
        named = [part for layer in layers for part in ("--layer", layer)]
        done = run_to_end(project, "check", "--format", "json", *named)
        return done.returncode, json.loads(done.stdout)

    # What a person does with the entries that the gate proposes: says who may call it.
    status, report = check()
    entries = {entry for finding in report["findings"] for entry in re.findall(r'\[routes\."[^"]+"\]', finding["mend"])}
    assert status == 1
    assert {finding["rule"] for finding in report["findings"]} == {"BW910"}
    assert len(entries) == 5
    with (project / "policy.toml").open("a", encoding="utf-8") as policy:
        policy.writelines(f'\n{entry}\nallow = ["notes:use"]\n' for entry in sorted(entries))
    text = (project / "policy.toml").read_text("utf-8")
    (project / "policy.toml").write_text(text.replace("\n[roles]\n", '\n[roles]\nauthor = ["notes:use"]\n', 1), "utf-8")
    status, report = check()
    assert (status, report["verdict"]) == (0, "admitted"), report["findings"]
