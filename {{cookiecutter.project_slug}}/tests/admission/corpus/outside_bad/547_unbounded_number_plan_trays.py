"""Add an endpoint that plans how many trays a sowing needs."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/tray-plans", tags=["garden"])


class PlanIn(BaseModel):
    """What is to be sown."""

    model_config = ConfigDict(extra="forbid")

    seeds: int  # expect: unbounded-number
    cells_per_tray: int = Field(ge=1, le=500)


class PlanOut(BaseModel):
    """The trays, each with how many seeds it takes."""

    trays: list[int]


@router.post("")
async def plan_trays(wanted: PlanIn) -> PlanOut:
    """Plan trays."""
    full, rest = divmod(wanted.seeds, wanted.cells_per_tray)
    return PlanOut(trays=[wanted.cells_per_tray] * full + ([rest] if rest else []))
