"""The job of the torture's own: writes down each step once, and when."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import select

from app.dependencies import Jobs, Session
from app.models.orders import Notification

jobs = Jobs()


class Step(BaseModel):
    walk: str
    number: int


@jobs.on("torture.step")
async def repeat(step: Step, session: Session) -> None:
    walk, kind = UUID(step.walk), f"step {step.number}"
    known = select(Notification.id).where(Notification.order_id == walk, Notification.kind == kind)
    if await session.scalar(known) is None:
        session.add(Notification(order_id=walk, kind=kind, text="step"))
