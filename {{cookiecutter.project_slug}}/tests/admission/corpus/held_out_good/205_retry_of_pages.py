"""A loop over pages that looks like a retry."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Stock

router = APIRouter(prefix="/v1/sku-counts", tags=["inventory"])

PAGES = 5


class Counted(BaseModel):
    counted: int


@router.get("")
async def count_pages(session: Session) -> Counted:
    """Count at most five pages."""
    counted, after = 0, ""
    for _ in range(PAGES):
        rows = (await session.scalars(select(Stock.sku).where(Stock.sku > after).order_by(Stock.sku).limit(100))).all()
        counted += len(rows)
        if not rows:
            break
        after = rows[-1]
    return Counted(counted=counted)
