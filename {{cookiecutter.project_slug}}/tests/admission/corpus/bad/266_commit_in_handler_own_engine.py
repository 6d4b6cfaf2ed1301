"""An engine of its own."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

router = APIRouter(prefix="/v1/warehouse", tags=["reports"])

engine = create_async_engine("sqlite+aiosqlite:///warehouse.db")  # expect: commit-in-handler


class Facts(BaseModel):
    count: int


@router.get("")
async def facts() -> Facts:
    """Count the facts."""
    async with engine.connect() as connection:
        count = await connection.scalar(text("SELECT count(*) FROM facts"))
    return Facts(count=count or 0)
