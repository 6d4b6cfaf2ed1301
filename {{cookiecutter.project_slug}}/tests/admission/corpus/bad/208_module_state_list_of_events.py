"""Keeps each event in a list of the module."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/journal", tags=["journal"])

_journal = []


class Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=200)


class Count(BaseModel):
    entries: int


def _remember(entry: str) -> None:
    _journal.append(entry)  # expect: module-state


@router.post("", status_code=201)
async def write_entry(entry: Entry) -> Count:
    """Write an entry."""
    _remember(entry.text)
    return Count(entries=len(_journal))
