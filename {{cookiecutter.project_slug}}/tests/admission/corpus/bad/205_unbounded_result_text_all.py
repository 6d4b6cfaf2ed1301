"""Everything of a table by plain SQL, in a helper."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import text

from app.dependencies import Session

router = APIRouter(prefix="/v1/catalogue", tags=["articles"])


class Article(BaseModel):
    sku: str
    available: int


async def _everything(session: Session) -> list[Article]:
    result = await session.execute(text("SELECT sku, available FROM stock ORDER BY sku"))  # or: unbounded-result
    return [Article(sku=sku, available=available) for sku, available in result.fetchall()]  # expect: unbounded-result


@router.get("")
async def catalogue(session: Session) -> list[Article]:
    """Return the catalogue."""
    return await _everything(session)
