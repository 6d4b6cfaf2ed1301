"""What is somebody's is told from what is everybody's: who shares is not accused, and who takes is not let off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.gauntlet.candidates import dropped
from tests.gauntlet.run import RouteResult, run_gauntlet

if TYPE_CHECKING:
    from pathlib import Path

ATTACK = "somebody elses object"
TRUSTED = ".execution_options(ownership_trusted=True)"


def texts(result: RouteResult) -> list[str]:
    return [fault.text for fault in result.faults]


def test_what_everybody_shares_may_be_read_and_marked_by_everybody(tmp_path: Path) -> None:
    handlers, routes = dropped(tmp_path, "shared")
    found = run_gauntlet(only=routes, candidates=handlers, attacks={ATTACK})
    assert [f"{result.name}: {fault.rule} {fault.text}" for result in found for fault in result.faults] == []
    assert [result.outcomes[ATTACK] for result in found] == ["-", "ok", "ok", "ok"]


def test_a_handler_that_changes_what_is_somebody_else_s_is_found_on_what_everybody_shares(tmp_path: Path) -> None:
    handlers, routes = dropped(tmp_path, "shared")
    (file,) = handlers.glob("*shared.py")
    text = file.read_text("utf-8")
    text = text.replace("import String,", "import String, delete,").replace("select(Mark)", f"select(Mark){TRUSTED}")
    taking = f"await session.execute(delete(Mark).where(Mark.shelf_id == shelf.id){TRUSTED})"
    text = f"{text.partition('    for mark in')[0]}    {taking}\n"
    file.write_text(text, "utf-8")
    changing = {name for name in routes if name.startswith(("PUT", "DELETE"))}
    changed, taken = run_gauntlet(only=changing, candidates=handlers, attacks={ATTACK})
    assert any(said.startswith("what everybody shares: the answer is a 500: Unscoped") for said in texts(changed)), (
        changed
    )
    assert texts(taken) == ["a stranger changed what belongs to somebody else (guard: unit_of_work)"]
