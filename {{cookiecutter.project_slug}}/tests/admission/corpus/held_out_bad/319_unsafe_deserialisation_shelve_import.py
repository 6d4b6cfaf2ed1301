"""A shelf whose values are pickles."""

from __future__ import annotations

import shelve
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/shelves", tags=["shelves"])


class Shelf(BaseModel):
    count: int


@router.get("/{name}")
def shelf(name: Literal["red", "blue"]) -> Shelf:
    """Count what is on a shelf."""
    with shelve.open("/srv/shelves/" + name) as opened:  # expect: unsafe-deserialisation
        return Shelf(count=len(opened))
