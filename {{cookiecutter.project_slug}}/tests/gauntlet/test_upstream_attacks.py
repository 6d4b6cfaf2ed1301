"""What a route makes of services that fail is seen: a handler that hides it is found, one that says it holds."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.gauntlet.run import RouteResult, run_gauntlet
from tests.support.service import ROOT

if TYPE_CHECKING:
    from pathlib import Path

HANDLERS = """
from fastapi import APIRouter
from pydantic import BaseModel
from app.dependencies import Payments, Session, UpstreamError

router = APIRouter(prefix="/v1/candidates")
CHARGE = {"amount": 100, "currency": "EUR", "reference": "candidate"}

class Done(BaseModel):
    paid: bool

@router.post("/honest")
async def honest(payments: Payments) -> Done:
    await payments.post("/v1/charges", json=CHARGE)
    return Done(paid=True)

@router.post("/hiding")
async def hiding(payments: Payments) -> Done:
    try:
        await payments.post("/v1/charges", json=CHARGE)
    except UpstreamError:
        pass
    return Done(paid=True)
"""
ENTRY = """
[routes."POST /v1/candidates/{name}"]
allow = ["breakwater:closed"]
outbound = ["payments"]
timeout = "2s"
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RouteResult]:
    folder: Path = tmp_path_factory.mktemp("candidates")
    (folder / "handlers").mkdir()
    (folder / "handlers" / "candidate_payers.py").write_text(HANDLERS, "utf-8")
    shutil.copy(ROOT / "policy.toml", folder / "policy.toml")
    names = ("honest", "hiding")
    with (folder / "policy.toml").open("a", encoding="utf-8") as policy:
        policy.writelines(ENTRY.replace("{name}", name) for name in names)
    only = {f"POST /v1/candidates/{name}" for name in names}
    found = run_gauntlet(only=only, candidates=folder / "handlers", attacks={"upstreams"})
    return {result.name.rpartition("/")[2]: result for result in found}


def test_a_handler_that_lets_it_through_holds(results: dict[str, RouteResult]) -> None:
    assert results["honest"].outcomes == {"upstreams": "ok"}
    assert results["honest"].faults == []


def test_a_handler_that_hides_it_is_found_in_whatever_way_it_fails(results: dict[str, RouteResult]) -> None:
    texts = [fault.text for fault in results["hiding"].faults]
    for mood in ("down", "failing", "overloaded", "lying"):  # where it hangs, the deadline may speak first
        assert any(f"what it calls is {mood}" in text for text in texts), texts
