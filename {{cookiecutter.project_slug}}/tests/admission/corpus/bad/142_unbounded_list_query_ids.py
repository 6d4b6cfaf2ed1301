"""Any number of ids in the query."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel

router = APIRouter(prefix="/v1/batches", tags=["orders"])


class Batch(BaseModel):
    count: int


@router.get("")
async def batch(
    ids: Annotated[list[UUID], Query()],  # expect: unbounded-list
) -> Batch:
    """Count ids."""
    return Batch(count=len(set(ids)))
