"""Subscriptions: what a client may say is closed sets, so there is nothing left to bound."""

from __future__ import annotations

from datetime import UTC, date, datetime
from enum import Enum
from typing import Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/subscriptions", tags=["subscriptions"])


class Plan(str, Enum):
    BASIC = "basic"
    TEAM = "team"
    COMPANY = "company"


MONTHLY_CENTS = {Plan.BASIC: 900, Plan.TEAM: 4900, Plan.COMPANY: 19900}
MONTHS = {"month": 1, "quarter": 3, "year": 12}


class Subscription(Owned, Base):
    __tablename__ = "subscriptions"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    plan: Mapped[str] = mapped_column(String(16))
    period: Mapped[str] = mapped_column(String(8))
    price_cents: Mapped[int]
    starts_on: Mapped[date]


class SubscriptionIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    plan: Plan
    period: Literal["month", "quarter", "year"] = "month"
    starts_on: date


class SubscriptionOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    plan: Plan
    period: Literal["month", "quarter", "year"]
    price_cents: int
    starts_on: date


@router.post("", status_code=201, responses={422: {"description": "It would start in the past."}})
async def subscribe(wanted: SubscriptionIn, session: Session) -> SubscriptionOut:
    """Subscribe. The price is in our table and not in the request."""
    if wanted.starts_on < datetime.now(UTC).date():
        raise HTTPException(422, "It would start in the past.")
    subscription = Subscription(
        plan=wanted.plan.value,
        period=wanted.period,
        price_cents=MONTHLY_CENTS[wanted.plan] * MONTHS[wanted.period],
        starts_on=wanted.starts_on,
    )
    session.add(subscription)
    await session.flush()
    return SubscriptionOut.model_validate(subscription)
