"""Events by pages; the cursor is the place in base64, read back with care."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import String, select, tuple_
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/events", tags=["events"])


class Event(Owned, Base):
    __tablename__ = "events"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    kind: Mapped[str] = mapped_column(String(40))
    at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))


class EventOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    kind: str
    at: datetime


class EventPage(BaseModel):
    items: list[EventOut]
    next: str | None


def _encode(event: EventOut) -> str:
    return base64.urlsafe_b64encode(f"{event.at.isoformat()}|{event.id}".encode()).decode()


def _decode(cursor: str) -> tuple[datetime, UUID]:
    try:
        at, _, event_id = base64.urlsafe_b64decode(cursor).decode("ascii").partition("|")
        place = datetime.fromisoformat(at), UUID(event_id)
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise HTTPException(422, "Not a cursor of this list.") from error
    if place[0].tzinfo is None:
        raise HTTPException(422, "Not a cursor of this list.")
    return place


@router.get("", responses={422: {"description": "Not a cursor of this list."}})
async def list_events(
    session: Session,
    cursor: Annotated[str | None, Query(max_length=160, pattern=r"^[A-Za-z0-9_=-]+$")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 25,
) -> EventPage:
    """List events, newest first."""
    page = select(Event).order_by(Event.at.desc(), Event.id.desc()).limit(limit + 1)
    if cursor is not None:
        page = page.where(tuple_(Event.at, Event.id) < _decode(cursor))
    found = (await session.scalars(page)).all()
    items = [EventOut.model_validate(event) for event in found[:limit]]
    return EventPage(items=items, next=_encode(items[-1]) if len(found) > limit else None)
