"""Add an endpoint with which scripts report the state of a ticket, using one of our API keys."""

import hashlib
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Security
from fastapi.security import APIKeyHeader
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from app.dependencies import Session
from app.models.accounts import ApiKey
from app.models.tickets import Ticket

router = APIRouter(prefix="/v1/script-tickets", tags=["tickets"])

key_header = APIKeyHeader(name="X-Api-Key")  # or: own-authentication


async def script(session: Session, key: Annotated[str, Security(key_header)]) -> UUID:  # or: own-authentication
    """Return which key it is."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    known = await session.scalar(select(ApiKey.id).where(ApiKey.key_hash == digest, ApiKey.revoked.is_(False)))
    if known is None:
        raise HTTPException(401, "Unknown key.")  # expect: own-authentication
    return known


class StateIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    status: Literal["open", "closed"]


class StateOut(BaseModel):
    id: UUID
    status: str


@router.put("/{ticket_id}", dependencies=[Depends(script)], responses={401: {"description": "Unknown key."}})
async def report_state(ticket_id: UUID, body: StateIn, session: Session) -> StateOut:
    """Set a ticket's state."""
    ticket = await session.get(Ticket, ticket_id, with_for_update=True)
    if ticket is None:
        raise HTTPException(404, "No such ticket.")
    ticket.status = body.status
    return StateOut(id=ticket.id, status=ticket.status)
