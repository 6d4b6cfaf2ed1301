"""A page whose size has a default and no upper bound."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Stock

router = APIRouter(prefix="/v1/articles", tags=["articles"])


class ArticleOut(BaseModel):
    sku: str


@router.get("")
async def articles(
    session: Session,
    limit: Annotated[int, Query(ge=1)] = 20,  # expect: unbounded-page
) -> list[ArticleOut]:
    """List articles."""
    rows = await session.scalars(select(Stock).order_by(Stock.sku).limit(limit))
    return [ArticleOut(sku=row.sku) for row in rows]
