"""Deletes a row, then tells another service."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Payments, Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/subscriptions", tags=["subscriptions"])


class Plan(Owned, Base):
    __tablename__ = "plans"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)


class Ended(BaseModel):
    ended: bool


@router.delete("/{plan_id}")
async def end_plan(plan_id: UUID, session: Session, payments: Payments) -> Ended:
    """End a plan."""
    plan = await session.get(Plan, plan_id)
    if plan is None:
        raise HTTPException(404, "No such plan.")
    await session.delete(plan)
    await session.flush()
    await payments.delete(f"/plans/{plan_id}")  # expect: transaction-across-outbound
    return Ended(ended=True)
