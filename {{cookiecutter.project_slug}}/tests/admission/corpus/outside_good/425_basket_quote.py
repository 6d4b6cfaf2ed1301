"""Add an endpoint which quotes a basket: the price of each article and the sum, from our own prices."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Stock

router = APIRouter(prefix="/v1/quotes", tags=["orders"])


class Position(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sku: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]
    quantity: Annotated[int, Field(ge=1, le=100, strict=True)]


class BasketIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    positions: Annotated[list[Position], Field(min_length=1, max_length=50)]


class Quoted(BaseModel):
    sku: str
    total: int


class Quote(BaseModel):
    """All in cents."""

    positions: list[Quoted]
    total: int


@router.post("", responses={422: {"description": "An article does not exist."}})
async def quote(basket: BasketIn, session: Session) -> Quote:
    """Quote a basket: one query for all the prices, and the rest is arithmetic."""
    skus = {position.sku for position in basket.positions}
    known = await session.execute(select(Stock.sku, Stock.price).where(Stock.sku.in_(skus)).limit(len(skus)))
    prices = {row.sku: row.price for row in known}
    if skus - prices.keys():
        raise HTTPException(422, "There is no such article.")
    positions = [Quoted(sku=p.sku, total=prices[p.sku] * p.quantity) for p in basket.positions]
    return Quote(positions=positions, total=sum(position.total for position in positions))
