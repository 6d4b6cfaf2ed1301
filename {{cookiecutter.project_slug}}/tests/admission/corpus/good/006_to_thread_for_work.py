"""A similarity of two texts. The comparison costs processor time, so it leaves the event loop."""

from __future__ import annotations

import asyncio
import difflib

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/similarity", tags=["texts"])


class Pair(BaseModel):
    model_config = ConfigDict(extra="forbid")

    left: str = Field(max_length=2000)
    right: str = Field(max_length=2000)


class Similarity(BaseModel):
    percent: int


def _compare(left: str, right: str) -> int:
    return round(difflib.SequenceMatcher(None, left, right, autojunk=True).ratio() * 100)


@router.post("")
async def compare_texts(pair: Pair) -> Similarity:
    """Say how alike two texts are."""
    return Similarity(percent=await asyncio.to_thread(_compare, pair.left, pair.right))
