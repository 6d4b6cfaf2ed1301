"""Articles, sorted by a column that the reader names. The name is a key of a table here, never part of a statement."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Stock

router = APIRouter(prefix="/v1/article-ranking", tags=["inventory"])

SORTS = {
    "sku": (Stock.sku.asc(),),
    "-sku": (Stock.sku.desc(),),
    "available": (Stock.available.asc(), Stock.sku.asc()),
    "-available": (Stock.available.desc(), Stock.sku.asc()),
}


class ArticleOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    sku: str
    available: int


class Ranking(BaseModel):
    sort: str
    items: list[ArticleOut]


@router.get("")
async def rank_articles(
    session: Session,
    sort: Literal["sku", "-sku", "available", "-available"] = "sku",
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
) -> Ranking:
    """List the first articles of a sort order."""
    found = await session.scalars(select(Stock).order_by(*SORTS[sort]).limit(limit))
    return Ranking(sort=sort, items=[ArticleOut.model_validate(stock) for stock in found])
