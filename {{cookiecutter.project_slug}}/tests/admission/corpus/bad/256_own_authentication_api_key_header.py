"""Checks an API key of its own."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Header
from pydantic import BaseModel

router = APIRouter(prefix="/v1/partners", tags=["partners"])

KNOWN = frozenset({"a3f5", "b7c1"})


class Partner(BaseModel):
    known: bool


@router.get("")
async def partner(x_api_key: Annotated[str, Header(max_length=100)]) -> Partner:  # expect: own-authentication
    """Greet a partner."""
    if x_api_key not in KNOWN:
        raise HTTPException(401, "Unknown key.")
    return Partner(known=True)
