"""A generic page of whatever."""

from __future__ import annotations

from typing import Generic, TypeVar
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Stock

router = APIRouter(prefix="/v1/pages-of-skus", tags=["articles"])

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    items: list[T]
    next: str | None


class Sku(BaseModel):
    sku: str


@router.get("")
async def list_skus(
    session: Session,
    after: Annotated[str, Query(max_length=64)] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Page[Sku]:
    """List article numbers."""
    rows = (await session.scalars(select(Stock.sku).where(Stock.sku > after).order_by(Stock.sku).limit(limit))).all()
    return Page[Sku](items=[Sku(sku=row) for row in rows], next=rows[-1] if len(rows) == limit else None)
