"""An enumeration in the query, and a match over it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

router = APIRouter(prefix="/v1/units", tags=["tools"])


class Unit(StrEnum):
    GRAM = "g"
    KILOGRAM = "kg"


class Weight(BaseModel):
    grams: int


@router.get("")
async def convert(unit: Unit, value: Annotated[int, Query(ge=0, le=1_000_000)]) -> Weight:
    """Return grams."""
    match unit:
        case Unit.GRAM:
            return Weight(grams=value)
        case Unit.KILOGRAM:
            return Weight(grams=value * 1000)
