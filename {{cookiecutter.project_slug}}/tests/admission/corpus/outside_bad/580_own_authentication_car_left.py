"""Add an endpoint for the gate cameras which say that a car has left a lot."""

from __future__ import annotations

import base64
import json
from typing import Annotated

from fastapi import APIRouter, Depends, Header, HTTPException, Path
from pydantic import BaseModel
from sqlalchemy import update

from app.dependencies import Session
from app.models.parking import Lot

router = APIRouter(prefix="/v1/lots", tags=["parking"])


class LotState(BaseModel):
    """What is free."""

    id: int
    free: int


async def camera_of(authorization: Annotated[str, Header(max_length=4000)]) -> str:  # expect: own-authentication
    """Return which camera is calling, from its token."""
    try:
        payload = authorization.removeprefix("Bearer ").split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return str(claims["camera"])
    except (IndexError, ValueError, KeyError, TypeError):
        raise HTTPException(401, "This token is not valid.") from None


@router.post("/{lot_id}/exits", responses={404: {"description": "No such lot."}})
async def car_left(
    lot_id: Annotated[int, Path(ge=1, le=2_147_483_647)],
    session: Session,
    camera: Annotated[str, Depends(camera_of)],
) -> LotState:
    """Count one more free place."""
    free = await session.scalar(
        update(Lot).where(Lot.id == lot_id).values(free=Lot.free + 1).returning(Lot.free)
    )
    if free is None:
        raise HTTPException(404, "No such lot.")
    return LotState(id=lot_id, free=free)
