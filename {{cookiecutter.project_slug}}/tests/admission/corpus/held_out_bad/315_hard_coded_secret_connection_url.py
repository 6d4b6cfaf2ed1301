"""A password in an address."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/mirrors", tags=["mirrors"])

MIRROR = "https://deploy:hunter2hunter2@mirror.example.com/packages"  # expect: hard-coded-secret


class Mirror(BaseModel):
    length: int


@router.get("")
async def mirror() -> Mirror:
    """Say how long the address is."""
    return Mirror(length=len(MIRROR))
