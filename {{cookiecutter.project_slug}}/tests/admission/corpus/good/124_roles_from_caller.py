"""What a caller may see follows from its verified permissions."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from app.dependencies import Caller

router = APIRouter(prefix="/v1/abilities", tags=["users"])


class Abilities(BaseModel):
    subject: str
    may_refund: bool


@router.get("")
async def abilities(caller: Caller) -> Abilities:
    """Say what you may do."""
    return Abilities(subject=caller.subject, may_refund="orders:refund" in caller.permissions)
