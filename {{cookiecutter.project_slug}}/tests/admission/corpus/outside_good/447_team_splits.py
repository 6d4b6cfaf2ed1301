"""Add an endpoint which proposes how to split a group into equal teams, as a playful extra for event organisers."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

router = APIRouter(prefix="/v1/teams", tags=["events"])


class Split(BaseModel):
    teams: int
    people: int


class Splits(BaseModel):
    options: list[Split]


@router.get("/splits", response_model=Splits)
def splits(people: Annotated[int, Query(ge=2, le=1000)]) -> Splits:
    """List every way to make equal teams of at least two."""
    return Splits(
        options=[Split(teams=n, people=people // n) for n in range(1, people // 2 + 1) if people % n == 0]
    )
