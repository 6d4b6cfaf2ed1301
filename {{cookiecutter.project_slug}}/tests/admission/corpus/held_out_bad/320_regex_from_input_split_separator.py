"""Splits a text at an expression of the client's."""

from __future__ import annotations

from re import split

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/splits", tags=["texts"])


class SplitIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    separator: str = Field(min_length=1, max_length=20)
    text: str = Field(max_length=1000)


class SplitOut(BaseModel):
    parts: list[str]


@router.post("")
async def split_text(wanted: SplitIn) -> SplitOut:
    """Split a text."""
    parts = split(wanted.separator, wanted.text, maxsplit=50)  # expect: regex-from-input
    return SplitOut(parts=[part or "" for part in parts])
