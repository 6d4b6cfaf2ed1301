"""SQL from constant pieces that a closed table chooses."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import text

from app.dependencies import Session

router = APIRouter(prefix="/v1/ranked-stock", tags=["inventory"])

ORDER_BY = {"most": "available DESC", "least": "available ASC"}
BASE = "SELECT sku, available FROM stock ORDER BY {order} LIMIT 20"
STATEMENTS = {name: text(BASE.format(order=order)) for name, order in ORDER_BY.items()}


class Ranked(BaseModel):
    sku: str
    available: int


@router.get("/{ranking}")
async def ranked(ranking: Literal["most", "least"], session: Session) -> list[Ranked]:
    """Rank the stock."""
    rows = await session.execute(STATEMENTS[ranking])
    return [Ranked(sku=row.sku, available=row.available) for row in rows]
