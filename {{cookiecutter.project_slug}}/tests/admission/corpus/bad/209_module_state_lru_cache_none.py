"""A memoised lookup without a bound."""

from __future__ import annotations

import functools
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

router = APIRouter(prefix="/v1/slugs", tags=["texts"])


class Slug(BaseModel):
    slug: str


@functools.lru_cache(maxsize=None)  # expect: module-state
def slugify(title: str) -> str:
    return "-".join(title.lower().split())


@router.get("")
async def slug(title: Annotated[str, Query(max_length=100)]) -> Slug:
    """Make a slug."""
    return Slug(slug=slugify(title))
