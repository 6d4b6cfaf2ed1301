"""A path of an upstream with a quoted part."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path
from pydantic import BaseModel

from app.dependencies import Shipping

router = APIRouter(prefix="/v1/parcel-states", tags=["shipping"])


class ParcelState(BaseModel):
    state: str


@router.get("/{number}")
async def parcel_state(
    number: Annotated[str, Path(max_length=30, pattern=r"^[A-Z0-9]+$")], shipping: Shipping
) -> ParcelState:
    """Say where a parcel is."""
    answer = await shipping.get(f"/parcels/{quote(number, safe='')}")
    return ParcelState(state=str(answer.json()["state"])[:40])
