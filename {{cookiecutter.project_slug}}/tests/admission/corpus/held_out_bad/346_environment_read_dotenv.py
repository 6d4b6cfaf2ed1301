"""Loads a file of variables."""

from __future__ import annotations

from dotenv import dotenv_values
from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/regions", tags=["regions"])


class Region(BaseModel):
    name: str


@router.get("")
def region() -> Region:
    """Return the region."""
    return Region(name=dotenv_values("/srv/.env").get("REGION") or "eu")  # expect: environment-read
