"""Tells a chat of a new ticket, with a client of its own."""

from __future__ import annotations

import httpx2
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/tickets", tags=["tickets"])


class TicketIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str = Field(min_length=1, max_length=120)


class TicketOut(BaseModel):
    told: bool


@router.post("", status_code=201)
async def open_ticket(wanted: TicketIn) -> TicketOut:
    """Open a ticket and tell the team."""
    async with httpx2.AsyncClient(timeout=2) as client:  # expect: undeclared-outbound
        answer = await client.post("https://chat.example.com/hooks/tickets", json={"title": wanted.title})
    return TicketOut(told=answer.is_success)
