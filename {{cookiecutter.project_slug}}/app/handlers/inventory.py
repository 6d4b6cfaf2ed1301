"""Inventory: the other half of the worked example. Stock belongs to nobody; the policy says who may change it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Stock

router = APIRouter(prefix="/v1/inventory", tags=["inventory"])

Sku = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class StockIn(BaseModel):
    """How many there are, after counting, and what one costs."""

    model_config = ConfigDict(extra="forbid")

    available: int = Field(ge=0, le=1_000_000, strict=True, examples=[100])
    price: int | None = Field(None, ge=0, le=100_000, strict=True, examples=[12900], description="in cents")


class StockOut(BaseModel):
    """How many of an article can be ordered, and what one costs, in cents."""

    model_config = ConfigDict(from_attributes=True)

    sku: str
    available: int
    price: int


class StockPage(BaseModel):
    """Some articles, by name. ``next`` goes into ``after`` to read on; null on the last page."""

    items: list[StockOut]
    next: str | None


@router.get("")
async def list_stock(
    session: Session,
    after: Annotated[str, Query(max_length=64, pattern=r"^[A-Za-z0-9_.-]*$")] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> StockPage:
    """List what can be ordered."""
    page = select(Stock).where(Stock.sku > after).order_by(Stock.sku).limit(limit + 1)
    found = (await session.scalars(page)).all()
    items = [StockOut.model_validate(stock) for stock in found[:limit]]
    return StockPage(items=items, next=items[-1].sku if len(found) > limit else None)


@router.put("/{sku}")
async def set_stock(sku: Sku, counted: StockIn, session: Session) -> StockOut:
    """Set how many there are. To do it twice is to do it once, so PUT asks for no key."""
    stock = await session.get(Stock, sku, with_for_update=True)
    if stock is None:
        stock = Stock(sku=sku, price=0)
        session.add(stock)
    stock.available = counted.available
    if counted.price is not None:
        stock.price = counted.price
    return StockOut.model_validate(stock)
