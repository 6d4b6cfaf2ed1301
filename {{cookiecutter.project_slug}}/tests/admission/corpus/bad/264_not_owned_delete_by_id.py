"""Deletes anybody's reminder."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import String, delete
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base

router = APIRouter(prefix="/v1/reminders", tags=["reminders"])


class Reminder(Base):
    __tablename__ = "reminders"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[str] = mapped_column(String(64))
    text: Mapped[str] = mapped_column(String(200))


class Deleted(BaseModel):
    deleted: bool


@router.delete("/{reminder_id}")
async def delete_reminder(reminder_id: UUID, session: Session) -> Deleted:
    """Delete a reminder."""
    result = await session.execute(delete(Reminder).where(Reminder.id == reminder_id).returning(Reminder.id))  # expect: not-owned
    return Deleted(deleted=result.first() is not None)
