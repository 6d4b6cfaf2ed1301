"""A form field of any length."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel

router = APIRouter(prefix="/v1/contact-form", tags=["contact"])


class Sent(BaseModel):
    sent: bool


@router.post("")
async def contact(
    message: Annotated[str, Form()],  # expect: unbounded-string
) -> Sent:
    """Send a message."""
    return Sent(sent=bool(message))
