"""Echoes the origin with credentials."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel

router = APIRouter(prefix="/v1/partner-widgets", tags=["widgets"])


class Widget(BaseModel):
    text: str


@router.get("")
async def partner_widget(response: Response, origin: Annotated[str, Header(max_length=200)] = "") -> Widget:
    """Return the text of the widget."""
    response.headers.update({"Access-Control-Allow-Origin": origin})  # expect: loosened-headers
    return Widget(text="hello")
