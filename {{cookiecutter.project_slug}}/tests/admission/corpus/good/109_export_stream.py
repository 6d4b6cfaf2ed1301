"""An export of the caller's orders as a stream, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/order-export", tags=["orders"])

PAGE = 200
PAGES = 50


async def _lines(session: Session) -> AsyncIterator[str]:
    yield "id,sku\n"
    statement = select(Order.id, Order.sku).order_by(Order.id).limit(PAGE)
    after: UUID | None = None
    for _ in range(PAGES):
        page = statement if after is None else statement.where(Order.id > after)
        rows = (await session.execute(page)).all()
        for row in rows:
            yield f"{row.id},{row.sku}\n"
        if len(rows) < PAGE:
            return
        after = rows[-1].id


@router.get("", response_class=StreamingResponse)
async def export(session: Session) -> StreamingResponse:
    """Return orders as CSV."""
    return StreamingResponse(_lines(session), media_type="text/csv")
