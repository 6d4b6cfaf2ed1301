"""Add an endpoint which shows how many articles are nearly sold out, below a threshold, with the cheapest price."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import text

from app.dependencies import Session

router = APIRouter(prefix="/v1/stock-alerts", tags=["stock"])

# Constant; the threshold is bound and never part of the text. Stock is nobody's, so there is no owner to mind.
NEARLY_GONE = text("SELECT count(*) AS articles, min(price) AS cheapest FROM stock WHERE available < :threshold")


class Alert(BaseModel):
    """How many articles; ``cheapest`` in cents, null if there are none."""

    articles: int
    cheapest: int | None


@router.get("")
async def nearly_gone(session: Session, threshold: Annotated[int, Query(ge=1, le=1000)] = 5) -> Alert:
    """Count the articles that are nearly sold out."""
    row = (await session.execute(NEARLY_GONE, {"threshold": threshold})).one()
    return Alert(articles=row.articles, cheapest=row.cheapest)
