"""Add an endpoint which finds tickets by words in their title."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from app.dependencies import Session
from app.models.tickets import Ticket

router = APIRouter(prefix="/v1/ticket-search", tags=["tickets"])


class Hit(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    status: str


class Hits(BaseModel):
    items: list[Hit]


@router.get("")
async def find_tickets(
    session: Session,
    words: Annotated[str, Query(min_length=2, max_length=80, pattern=r"^[^\x00]*$")],
    status: Literal["open", "closed"] | None = None,
    limit: Annotated[int, Query(ge=1, le=50)] = 20,
) -> Hits:
    """Find tickets; every word has to be in the title, and % and _ mean themselves."""
    conditions = [Ticket.title.icontains(word, autoescape=True) for word in words.split()[:8]]
    if status is not None:
        conditions.append(Ticket.status == status)
    query = select(Ticket).where(*conditions).order_by(Ticket.created_at.desc(), Ticket.id.desc()).limit(limit)
    return Hits(items=[Hit.model_validate(ticket) for ticket in (await session.scalars(query)).all()])
