"""Add an endpoint which starts a lab instrument and waits until it has warmed up."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel
from sqlalchemy import update

from app.dependencies import Session
from app.models.laboratories import Instrument

router = APIRouter(prefix="/v1/instruments", tags=["laboratory"])

WARM_UP_SECONDS = 2


class Started(BaseModel):
    """An instrument that runs."""

    id: int
    name: str


@router.post("/{instrument_id}/start", responses={409: {"description": "It runs already, or does not exist."}})
async def start_instrument(
    instrument_id: Annotated[int, Path(ge=1, le=2_147_483_647)], session: Session
) -> Started:
    """Start an instrument."""
    name = await session.scalar(
        update(Instrument)
        .where(Instrument.id == instrument_id, Instrument.busy.is_(False))
        .values(busy=True)
        .returning(Instrument.name)
    )
    if name is None:
        raise HTTPException(409, "This instrument cannot be started.")
    time.sleep(WARM_UP_SECONDS)  # expect: blocking-in-async
    return Started(id=instrument_id, name=name)
