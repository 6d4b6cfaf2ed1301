"""Add an endpoint which buys something from the game's shop."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel, ConfigDict

from app.dependencies import Session
from app.models.games import Item, Possession

router = APIRouter(prefix="/v1/shop", tags=["games"])


class PossessionOut(BaseModel):
    """What was bought."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    item_id: int
    bought_at: datetime


@router.post("/{item_id}/claim", status_code=201, responses={409: {"description": "Sold out."}})
async def claim_item(item_id: Annotated[int, Path(ge=1, le=2_147_483_647)], session: Session) -> PossessionOut:
    """Claim a free item while there are some."""
    item = await session.get(Item, item_id)
    if item is None or item.price != 0:
        raise HTTPException(404, "No such free item.")
    if item.stock <= 0:  # or: check-then-act
        raise HTTPException(409, "Sold out.")
    item.stock -= 1  # expect: check-then-act
    possession = Possession(item_id=item.id, paid=0)
    session.add(possession)
    await session.flush()
    return PossessionOut.model_validate(possession)
