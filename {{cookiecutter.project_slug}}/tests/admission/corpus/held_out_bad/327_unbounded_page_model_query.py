"""Paging by a query model without an upper bound."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Stock

router = APIRouter(prefix="/v1/stock-pages", tags=["inventory"])


class Paging(BaseModel):
    model_config = ConfigDict(extra="forbid")

    offset: int = Field(0, ge=0, le=10_000)
    limit: int = Field(20, ge=1)  # expect: unbounded-page


class Sku(BaseModel):
    sku: str


@router.get("")
async def stock_page(paging: Annotated[Paging, Query()], session: Session) -> list[Sku]:
    """List articles."""
    rows = await session.scalars(select(Stock.sku).order_by(Stock.sku).offset(paging.offset).limit(paging.limit))
    return [Sku(sku=row) for row in rows]
