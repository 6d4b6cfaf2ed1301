"""Tracks a parcel by aiohttp."""

from __future__ import annotations

from uuid import UUID

import aiohttp
from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/parcels", tags=["parcels"])


class Parcel(BaseModel):
    state: str


@router.get("/{parcel_id}")
async def track(parcel_id: UUID) -> Parcel:
    """Say where a parcel is."""
    timeout = aiohttp.ClientTimeout(total=3)
    async with aiohttp.ClientSession(timeout=timeout) as session:  # expect: undeclared-outbound
        async with session.get(f"https://parcels.example.com/v2/{parcel_id}") as answer:
            found = await answer.json()
    return Parcel(state=found["state"])
