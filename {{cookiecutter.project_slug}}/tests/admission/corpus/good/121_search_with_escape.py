"""A search by LIKE whose pattern is escaped and bound."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Stock

router = APIRouter(prefix="/v1/sku-search", tags=["articles"])


class Skus(BaseModel):
    skus: list[str]


def _pattern(term: str) -> str:
    return term.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


@router.get("")
async def search(q: Annotated[str, Query(min_length=1, max_length=30)], session: Session) -> Skus:
    """Find articles by the beginning of their number."""
    found = await session.scalars(
        select(Stock.sku).where(Stock.sku.like(_pattern(q), escape="\\")).order_by(Stock.sku).limit(20)
    )
    return Skus(skus=list(found))
