"""A return in finally hides whatever happened."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from app.dependencies import Shipping

router = APIRouter(prefix="/v1/syncs", tags=["syncs"])


class Synced(BaseModel):
    done: bool


@router.post("")
async def sync(shipping: Shipping) -> Synced:
    """Synchronise."""
    done = False
    try:
        await shipping.post("/sync", json={})
        done = True
    finally:
        return Synced(done=done)  # expect: swallowed-exception
