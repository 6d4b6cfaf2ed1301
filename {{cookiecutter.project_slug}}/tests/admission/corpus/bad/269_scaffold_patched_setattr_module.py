"""Patches a function of the scaffold by setattr."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel

from app import dependencies

router = APIRouter(prefix="/v1/tests", tags=["tools"])


class Patched(BaseModel):
    ok: bool


async def _nobody(request: Request) -> None:
    return None


setattr(dependencies, "caller_of", _nobody)  # expect: scaffold-patched


@router.get("")
async def patched() -> Patched:
    """Answer."""
    return Patched(ok=True)
