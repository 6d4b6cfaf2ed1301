"""Add an endpoint which waits up to two seconds for an article to come back into stock and says whether it did."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel

from app.dependencies import Look
from app.models.orders import Stock

router = APIRouter(prefix="/v1/stock-watch", tags=["stock"])


class WatchOut(BaseModel):
    """Whether some are available now."""

    sku: str
    available: bool


@router.get("/{sku}")
async def watch(sku: Annotated[str, Path(min_length=1, max_length=64)], look: Look) -> WatchOut:
    """Look, wait, and look once more."""
    async with look() as glance:
        article = await glance.get(Stock, sku)
    if article is None:
        raise HTTPException(status_code=404, detail="No such article.")
    if article.available > 0:
        return WatchOut(sku=sku, available=True)
    time.sleep(2)  # expect: blocking-in-async
    async with look() as glance:
        article = await glance.get(Stock, sku)
    return WatchOut(sku=sku, available=article is not None and article.available > 0)
