"""A small CSV from a bounded page."""

from __future__ import annotations

import csv
import io

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Stock

router = APIRouter(prefix="/v1/stock-csv", tags=["inventory"])


@router.get("", response_class=PlainTextResponse)
async def stock_csv(session: Session) -> PlainTextResponse:
    """Return the first hundred articles as CSV."""
    rows = (await session.execute(select(Stock.sku, Stock.available).order_by(Stock.sku).limit(100))).all()
    target = io.StringIO()
    writer = csv.writer(target)
    writer.writerow(["sku", "available"])
    writer.writerows([[row.sku, row.available] for row in rows])
    return PlainTextResponse(target.getvalue(), media_type="text/csv")
