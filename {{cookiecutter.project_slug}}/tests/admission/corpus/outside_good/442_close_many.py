"""Add an endpoint which closes several of my tickets at once."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import update

from app.dependencies import Session
from app.models.tickets import Ticket

router = APIRouter(prefix="/v1/ticket-batches", tags=["tickets"])
log = structlog.get_logger(__name__)


class CloseIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[UUID], Field(min_length=1, max_length=100)]


class CloseOut(BaseModel):
    """Which were closed by this; those of others are not touched."""

    closed: list[UUID]


@router.post("/close")
async def close_tickets(body: CloseIn, session: Session) -> CloseOut:
    """Close tickets, with one statement however many they are."""
    statement = (
        update(Ticket)
        .where(Ticket.id.in_(body.ids), Ticket.status != "closed")
        .values(status="closed")
        .returning(Ticket.id)
    )
    closed = (await session.scalars(statement)).all()
    log.info("tickets_closed", asked=len(body.ids), closed=len(closed))
    return CloseOut(closed=sorted(closed))
