"""Add an endpoint which computes a readable slug for a title; titles repeat a lot, so cache the result."""

from __future__ import annotations

import functools
import unicodedata
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from app.dependencies import Caller

router = APIRouter(prefix="/v1/slugs", tags=["slugs"])


class SlugOut(BaseModel):
    title: str
    slug: str


@functools.lru_cache(maxsize=None)  # expect: module-state
def slugify(title: str) -> str:
    """Return lower-case letters, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    words = "".join(character if character.isalnum() else " " for character in plain).split()
    return "-".join(words) or "untitled"


@router.get("")
async def slug(caller: Caller, title: Annotated[str, Query(min_length=1, max_length=120)]) -> SlugOut:
    """Make a slug."""
    return SlugOut(title=title, slug=slugify(title))
