"""A random tip of the day; nothing depends on it."""

from __future__ import annotations

import random

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/tips", tags=["help"])

TIPS = ("Drink water.", "Take a walk.", "Save often.")


class Tip(BaseModel):
    text: str


@router.get("/today")
async def tip() -> Tip:
    """Return a tip."""
    return Tip(text=random.choice(TIPS))
