"""Add an endpoint which quotes a basket: for each article the price, and the sum."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

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


async def quoted(session: AsyncSession, position: Position) -> Quoted:
    """Price one position."""
    price = await session.scalar(select(Stock.price).where(Stock.sku == position.sku))  # or: query-in-loop
    if price is None:
        raise HTTPException(422, "There is no such article.")
    return Quoted(sku=position.sku, total=price * position.quantity)


@router.post("")
async def quote(basket: BasketIn, session: Session) -> Quote:
    """Quote a basket."""
    positions = [await quoted(session, position) for position in basket.positions]  # expect: query-in-loop
    return Quote(positions=positions, total=sum(position.total for position in positions))
