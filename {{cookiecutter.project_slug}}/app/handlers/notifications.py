"""Notifications: what jobs told a customer. A part of the worked example."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Notification

router = APIRouter(prefix="/v1/notifications", tags=["notifications"])


class NotificationOut(BaseModel):
    """Something that happened to an order of the caller's."""

    model_config = ConfigDict(from_attributes=True)

    order_id: UUID
    kind: str
    text: str
    created_at: datetime


@router.get("")
async def list_notifications(
    session: Session, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> list[NotificationOut]:
    """List the newest notifications."""
    newest = select(Notification).order_by(Notification.created_at.desc(), Notification.id.desc()).limit(limit)
    return [NotificationOut.model_validate(found) for found in await session.scalars(newest)]
