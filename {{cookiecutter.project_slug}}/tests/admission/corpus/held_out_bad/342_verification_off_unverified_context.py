"""An unverified context by its private name."""

from __future__ import annotations

import ssl

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/printers", tags=["printers"])


class Printer(BaseModel):
    protocol: str


@router.get("")
async def printer() -> Printer:
    """Return the protocol of the printer."""
    context = ssl._create_unverified_context()  # expect: verification-off
    return Printer(protocol=str(context.protocol))
