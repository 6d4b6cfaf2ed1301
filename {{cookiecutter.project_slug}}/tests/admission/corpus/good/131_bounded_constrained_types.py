"""Bounds by StringConstraints, aliases and constants."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

router = APIRouter(prefix="/v1/tickets", tags=["tickets"])

MAX_TITLE = 120
Title = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TITLE, strip_whitespace=True)]
Priority = Annotated[int, Field(ge=1, le=5)]


class TicketIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: Title
    priority: Priority = 3
    labels: Annotated[list[Title], Field(max_length=5)] = Field(default_factory=list)


class TicketOut(BaseModel):
    title: str
    priority: int


@router.post("", status_code=201)
async def open_ticket(wanted: TicketIn) -> TicketOut:
    """Open a ticket."""
    return TicketOut(title=wanted.title, priority=wanted.priority)
