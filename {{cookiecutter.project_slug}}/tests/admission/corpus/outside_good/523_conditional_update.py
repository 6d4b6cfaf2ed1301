"""Add an endpoint which buys something from the game's shop with the player's coins."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import update

from app.dependencies import Session
from app.models.games import Item, Possession, Profile

router = APIRouter(prefix="/v1/purchases", tags=["games"])


class PurchaseIn(BaseModel):
    """Who of the caller's players buys what."""

    model_config = ConfigDict(extra="forbid")

    profile_id: UUID
    item_id: Annotated[int, Field(ge=1, le=2_147_483_647)]


class PossessionOut(BaseModel):
    """What was bought."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    item_id: int
    paid: int
    bought_at: datetime


@router.post("", status_code=201, responses={409: {"description": "Sold out, or not enough coins."}})
async def purchase(wanted: PurchaseIn, session: Session) -> PossessionOut:
    """Buy something. Either statement may say no, and then neither has happened."""
    price = await session.scalar(
        update(Item).where(Item.id == wanted.item_id, Item.stock > 0).values(stock=Item.stock - 1).returning(Item.price)
    )
    if price is None:
        raise HTTPException(409, "Sold out.")
    paid = await session.scalar(
        update(Profile)
        .where(Profile.id == wanted.profile_id, Profile.coins >= price)
        .values(coins=Profile.coins - price)
        .returning(Profile.id)
    )
    if paid is None:
        raise HTTPException(409, "Not enough coins.")
    possession = Possession(item_id=wanted.item_id, paid=price)
    session.add(possession)
    await session.flush()
    return PossessionOut.model_validate(possession)
