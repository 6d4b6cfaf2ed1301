"""Invitation codes by random.choice."""

from __future__ import annotations

import random
import string

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/invitations", tags=["teams"])


class Invitation(BaseModel):
    token: str


@router.post("", status_code=201)
async def invite() -> Invitation:
    """Make an invitation."""
    token = "".join(random.choice(string.ascii_letters) for _ in range(24))  # expect: weak-random
    return Invitation(token=token)
