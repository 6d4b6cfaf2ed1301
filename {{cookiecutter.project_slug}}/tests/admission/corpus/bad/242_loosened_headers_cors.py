"""Lets every origin read."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel

router = APIRouter(prefix="/v1/widgets", tags=["widgets"])


class Widget(BaseModel):
    text: str


@router.get("")
async def widget(response: Response) -> Widget:
    """Return the text of the widget."""
    response.headers["Access-Control-Allow-Origin"] = "*"  # expect: loosened-headers
    return Widget(text="hello")
