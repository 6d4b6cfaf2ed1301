"""A search term with a lower bound only."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

router = APIRouter(prefix="/v1/suggestions", tags=["search"])


class Suggestions(BaseModel):
    terms: list[str]


TERMS = ("chair", "table", "lamp")


@router.get("")
async def suggest(
    q: Annotated[str, Query(min_length=1)],  # expect: unbounded-string
) -> Suggestions:
    """Suggest terms."""
    return Suggestions(terms=[term for term in TERMS if term.startswith(q)])
