"""Searches notes by a pattern of the client's."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/note-search", tags=["notes"])


class Found(BaseModel):
    count: int


@router.get("")
async def search(pattern: Annotated[str, Query(max_length=60)], session: Session) -> Found:
    """Count the latest hundred notes that match."""
    notes = (await session.scalars(select(Order.note).order_by(Order.id).limit(100))).all()
    return Found(count=sum(1 for note in notes if re.search(pattern, note or "")))  # expect: regex-from-input
