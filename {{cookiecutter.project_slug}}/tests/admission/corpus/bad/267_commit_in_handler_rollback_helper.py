"""Rolls back in a helper."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/trials", tags=["trials"])


class Trial(BaseModel):
    kept: bool


async def _undo(session: Session) -> None:
    await session.rollback()  # expect: commit-in-handler


@router.post("")
async def trial(session: Session) -> Trial:
    """Try something and undo it."""
    session.add(Order(sku="trial", quantity=1))
    await session.flush()
    await _undo(session)
    return Trial(kept=False)
