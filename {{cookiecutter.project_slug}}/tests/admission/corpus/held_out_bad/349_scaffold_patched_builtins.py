"""Makes a global function of its own."""

from __future__ import annotations

import builtins

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/helpers", tags=["tools"])


class Helped(BaseModel):
    helped: bool


builtins.print = lambda *parts: None  # expect: scaffold-patched


@router.get("")
async def helped() -> Helped:
    """Answer."""
    return Helped(helped=True)
