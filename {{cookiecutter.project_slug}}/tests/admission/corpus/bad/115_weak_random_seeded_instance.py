"""Session keys of a generator that is seeded with the time."""

from __future__ import annotations

import random
import time

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/kiosks", tags=["kiosks"])


class Kiosk(BaseModel):
    session_key: str


@router.post("", status_code=201)
async def open_kiosk() -> Kiosk:
    """Open a kiosk."""
    generator = random.Random(time.time())
    session_key = "%032x" % generator.getrandbits(128)  # expect: weak-random
    return Kiosk(session_key=session_key)
