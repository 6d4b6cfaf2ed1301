"""Returns the traceback to help the client."""

from __future__ import annotations

import traceback

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Stock

router = APIRouter(prefix="/v1/checks", tags=["checks"])


class Checked(BaseModel):
    ok: bool
    reason: str | None = None


@router.get("/stock")
async def check_stock(session: Session) -> Checked:
    """Check the stock."""
    try:
        await session.execute(select(Stock.sku).limit(1))
    except OSError:
        return Checked(ok=False, reason=traceback.format_exc())  # expect: internals-in-answer
    return Checked(ok=True)
