"""One failure that has a meaning becomes an answer; all others stay the service's."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel

router = APIRouter(prefix="/v1/coordinates", tags=["maps"])


class Coordinates(BaseModel):
    latitude_micro: int
    longitude_micro: int


def _micro(number: str) -> int:
    return int(Decimal(number) * 1_000_000)


@router.get("")
async def coordinates(position: Annotated[str, Query(max_length=40, pattern=r"^[0-9.,-]+$")]) -> Coordinates:
    """Read a position like `52.5,13.4`."""
    latitude, _, longitude = position.partition(",")
    try:
        return Coordinates(latitude_micro=_micro(latitude), longitude_micro=_micro(longitude))
    except ArithmeticError:
        raise HTTPException(422, "Write it like 52.5,13.4.") from None
