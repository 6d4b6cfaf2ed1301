"""A context that trusts everybody."""

from __future__ import annotations

import ssl

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/feeds", tags=["feeds"])


class Feed(BaseModel):
    name: str


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False  # expect: verification-off
    return context


@router.get("")
async def feed() -> Feed:
    """Return the name of the feed."""
    return Feed(name=str(_context().protocol))
