"""Add an endpoint that tells how similar two artists' names are, and remembers the answers."""

from functools import lru_cache
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

router = APIRouter(prefix="/v1/name-distance", tags=["museum"])

Name = Annotated[str, Query(min_length=1, max_length=60)]


class Distance(BaseModel):
    left: str
    right: str
    edits: int


@lru_cache(maxsize=None)  # expect: module-state
def edits(left: str, right: str) -> int:
    """Levenshtein, row by row."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


@router.get("")
async def name_distance(left: Name, right: Name) -> Distance:
    return Distance(left=left, right=right, edits=edits(left.casefold(), right.casefold()))
