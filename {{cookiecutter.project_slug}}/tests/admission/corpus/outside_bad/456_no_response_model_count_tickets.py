"""Add an endpoint which tells how many of my tickets are open and how many closed."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import func, select

from app.dependencies import Session
from app.models.tickets import Ticket

router = APIRouter(prefix="/v1/ticket-counts", tags=["tickets"])


@router.get("")  # or: no-response-model
async def count_tickets(session: Session):  # expect: no-response-model
    """Count my tickets by their status."""
    counted = await session.execute(select(Ticket.status, func.count()).group_by(Ticket.status).limit(20))
    counts = {status: number for status, number in counted.all()}
    return {"open": counts.get("open", 0), "closed": counts.get("closed", 0)}
