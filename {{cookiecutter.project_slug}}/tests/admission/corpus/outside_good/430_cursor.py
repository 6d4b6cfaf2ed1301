"""Add an endpoint which lists my tickets page by page, with an opaque cursor."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from app.dependencies import Session
from app.models.tickets import Ticket

router = APIRouter(prefix="/v1/tickets", tags=["tickets"])


class TicketOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    status: str


class TicketPage(BaseModel):
    """Some tickets; ``cursor`` leads to the next ones."""

    items: list[TicketOut]
    cursor: str | None


def encode(ticket_id: UUID) -> str:
    return base64.urlsafe_b64encode(ticket_id.bytes).decode()


def decode(cursor: str) -> UUID:
    """Return the id in a cursor: sixteen bytes, and nothing else can come out of it."""
    try:
        return UUID(bytes=base64.urlsafe_b64decode(cursor))
    except (binascii.Error, ValueError):
        raise HTTPException(status_code=422, detail="This is no cursor.") from None


@router.get("", responses={422: {"description": "Not a cursor."}})
async def list_tickets(
    session: Session,
    cursor: Annotated[str | None, Query(min_length=24, max_length=24, pattern=r"^[A-Za-z0-9_-]{22}==$")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> TicketPage:
    """List tickets in the order of their ids."""
    page = select(Ticket).order_by(Ticket.id).limit(limit + 1)
    if cursor is not None:
        page = page.where(Ticket.id > decode(cursor))
    tickets = (await session.scalars(page)).all()
    items = [TicketOut.model_validate(ticket) for ticket in tickets[:limit]]
    return TicketPage(items=items, cursor=encode(items[-1].id) if len(tickets) > limit else None)
