"""Add an endpoint which lists my tickets page by page, with an opaque cursor."""

from __future__ import annotations

import base64
import pickle
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
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


@router.get("")
async def list_tickets(
    session: Session,
    cursor: Annotated[str | None, Query(max_length=200, pattern=r"^[A-Za-z0-9_=-]+$")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> TicketPage:
    """List tickets in the order of their ids."""
    page = select(Ticket).order_by(Ticket.id).limit(limit)
    if cursor is not None:
        page = page.where(Ticket.id > pickle.loads(base64.urlsafe_b64decode(cursor)))  # expect: unsafe-deserialisation
    tickets = (await session.scalars(page)).all()
    following = None
    if len(tickets) == limit:
        following = base64.urlsafe_b64encode(pickle.dumps(tickets[-1].id)).decode()
    return TicketPage(items=[TicketOut.model_validate(ticket) for ticket in tickets], cursor=following)
