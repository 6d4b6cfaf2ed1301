"""Add an endpoint which lists the newest tickets for the wall display, which logs in with a bearer token."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, HTTPException, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from app.dependencies import Session
from app.models.tickets import Ticket

router = APIRouter(prefix="/v1/wall", tags=["tickets"])


class WallTicket(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    priority: int


class Wall(BaseModel):
    items: list[WallTicket]


@router.get("", responses={401: {"description": "Not logged in."}})
async def wall(
    session: Session,
    authorization: Annotated[str, Header(max_length=2000)],  # or: own-authentication
    limit: Annotated[int, Query(ge=1, le=50)] = 20,
) -> Wall:
    """Show the newest tickets."""
    scheme, _, token = authorization.partition(" ")  # expect: own-authentication
    if scheme.lower() != "bearer" or token.count(".") != 2:
        raise HTTPException(401, "Please log in.")
    newest = select(Ticket).order_by(Ticket.created_at.desc(), Ticket.id.desc()).limit(limit)
    return Wall(items=[WallTicket.model_validate(ticket) for ticket in (await session.scalars(newest)).all()])
