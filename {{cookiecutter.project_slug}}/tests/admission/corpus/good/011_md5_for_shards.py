"""Which shelf an article lies on. MD5 spreads the articles, and says itself that it is not for security."""

from __future__ import annotations

from hashlib import md5
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

router = APIRouter(prefix="/v1/shelves", tags=["inventory"])

SHELVES = 64


class Shelf(BaseModel):
    sku: str
    shelf: int


def _shelf_of(sku: str) -> int:
    digest = md5(sku.encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:4], "big") % SHELVES


@router.get("/{sku}")
async def find_shelf(
    sku: Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")],
) -> Shelf:
    """Say where an article lies."""
    return Shelf(sku=sku, shelf=_shelf_of(sku))
