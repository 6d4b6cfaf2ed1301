"""Statistics by a synchronous driver."""

from __future__ import annotations

import sqlite3

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/statistics", tags=["statistics"])


class Statistics(BaseModel):
    visits: int


@router.get("")
async def read_statistics() -> Statistics:
    """Return how many visits there were."""
    connection = sqlite3.connect("/srv/statistics.db", timeout=2)  # expect: blocking-in-async
    try:
        (visits,) = connection.execute("SELECT count(*) FROM visits").fetchone()
    finally:
        connection.close()
    return Statistics(visits=visits)
