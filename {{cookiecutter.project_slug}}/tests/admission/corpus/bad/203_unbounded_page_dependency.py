"""A paging dependency that bounds nothing."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Stock

router = APIRouter(prefix="/v1/skus", tags=["articles"])


class Paging:
    def __init__(
        self,
        limit: int = Query(25, gt=0),  # expect: unbounded-page
    ) -> None:
        self.limit = limit


class Skus(BaseModel):
    skus: list[str]


@router.get("")
async def skus(session: Session, paging: Annotated[Paging, Depends()]) -> Skus:
    """List article numbers."""
    found = await session.scalars(select(Stock.sku).order_by(Stock.sku).limit(paging.limit))
    return Skus(skus=list(found))
