"""Waits for a report by sleeping."""

from __future__ import annotations

from time import sleep as wait

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/reports", tags=["reports"])


class State(BaseModel):
    state: str


def _settle(times: int) -> None:
    for _ in range(times):
        wait(0.2)  # expect: blocking-in-async


@router.get("/state")
async def state() -> State:
    """Say how far a report is."""
    _settle(3)
    return State(state="done")
