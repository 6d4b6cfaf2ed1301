"""Reminders: every time has its zone, on the way in, in the database and out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import String, select, tuple_
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/reminders", tags=["reminders"])

AHEAD = timedelta(days=366)


class Reminder(Owned, Base):
    __tablename__ = "reminders"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    text: Mapped[str] = mapped_column(String(200))
    due_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(tz=UTC))


class ReminderIn(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    text: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")
    due_at: AwareDatetime


class ReminderOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    text: str
    due_at: datetime


class ReminderPage(BaseModel):
    items: list[ReminderOut]
    next: UUID | None


@router.post("", status_code=201, responses={422: {"description": "In the past, or too far ahead."}})
async def create_reminder(wanted: ReminderIn, session: Session) -> ReminderOut:
    """Remember something."""
    now = datetime.now(UTC)
    if not now < wanted.due_at <= now + AHEAD:
        raise HTTPException(422, "A reminder is for the year to come.")
    reminder = Reminder(text=wanted.text, due_at=wanted.due_at)
    session.add(reminder)
    await session.flush()
    return ReminderOut.model_validate(reminder)


@router.get("/due", responses={404: {"description": "There is no reminder `after`."}})
async def list_due(
    session: Session, after: UUID | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 50
) -> ReminderPage:
    """List what is due by now, the oldest first."""
    due = select(Reminder).where(Reminder.due_at <= datetime.now(UTC))
    if after is not None:
        last = await session.get(Reminder, after)
        if last is None:
            raise HTTPException(404, "No such reminder.")
        due = due.where(tuple_(Reminder.due_at, Reminder.id) > (last.due_at, last.id))
    found = (await session.scalars(due.order_by(Reminder.due_at, Reminder.id).limit(limit + 1))).all()
    items = [ReminderOut.model_validate(reminder) for reminder in found[:limit]]
    return ReminderPage(items=items, next=items[-1].id if len(found) > limit else None)
