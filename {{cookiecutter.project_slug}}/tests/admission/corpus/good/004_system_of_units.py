"""Conversions of lengths. ``system`` is a system of units."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

router = APIRouter(prefix="/v1/units", tags=["units"])


class System(StrEnum):
    METRIC = "metric"
    IMPERIAL = "imperial"


INCHES = Decimal("25.4")
FEET = Decimal("304.8")


class Length(BaseModel):
    system: System
    large: Decimal
    small: Decimal


def system(name: System, millimetres: int) -> Length:
    """Return a length in a system of units."""
    if name is System.METRIC:
        metres, rest = divmod(millimetres, 1000)
        return Length(system=name, large=Decimal(metres), small=Decimal(rest))
    feet = Decimal(millimetres) // FEET
    inches = (Decimal(millimetres) - feet * FEET) / INCHES
    return Length(system=name, large=feet, small=inches.quantize(Decimal("0.01")))


@router.get("/length")
async def convert_length(
    millimetres: Annotated[int, Query(ge=0, le=10_000_000)],
    to: Annotated[System, Query()] = System.METRIC,
) -> Length:
    """Say how long something is, in the units that the reader likes."""
    return system(to, millimetres)
