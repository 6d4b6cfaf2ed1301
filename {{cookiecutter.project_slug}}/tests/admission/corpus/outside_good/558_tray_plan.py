"""Add an endpoint that plans how many trays a sowing needs."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/tray-plans", tags=["garden"])


class PlanIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    seeds: Annotated[int, Field(ge=1, le=100_000)]
    cells_per_tray: Annotated[int, Field(ge=10, le=500)]


class PlanOut(BaseModel):
    full_trays: int
    last_tray: int


@router.post("")
def plan_trays(wanted: PlanIn) -> PlanOut:
    """Plan trays: how many are full, and how many seeds are in the last one."""
    full, rest = divmod(wanted.seeds, wanted.cells_per_tray)
    return PlanOut(full_trays=full, last_tray=rest)
