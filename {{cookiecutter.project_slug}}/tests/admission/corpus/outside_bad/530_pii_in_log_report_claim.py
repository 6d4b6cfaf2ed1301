"""Add an endpoint to report an insurance claim."""

from __future__ import annotations

import logging
from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.claims import Claim

router = APIRouter(prefix="/v1/claims", tags=["claims"])
logger = logging.getLogger("claims")


class ClaimIn(BaseModel):
    """What happened, and what it cost."""

    model_config = ConfigDict(extra="forbid")

    policy_number: Annotated[str, Field(pattern=r"^[A-Z]{2}[0-9]{6,12}$")]
    happened_on: date
    description: Annotated[str, Field(min_length=10, max_length=2000, pattern=r"^[^\x00]*$")]
    claimed_cents: Annotated[int, Field(ge=1, le=100_000_000)]


class ClaimOut(BaseModel):
    """A claim as the insured sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    policy_number: str
    status: str
    created_at: datetime


def trace(step: str, payload: BaseModel) -> None:
    """Help support to find out what a customer sent."""
    logger.info("claim step=%s payload=%s", step, payload.model_dump_json())  # expect: pii-in-log


@router.post("", status_code=201)
async def report_claim(wanted: ClaimIn, session: Session) -> ClaimOut:
    """Report a claim."""
    trace("received", wanted)
    claim = Claim(
        policy_number=wanted.policy_number,
        happened_on=wanted.happened_on,
        description=wanted.description,
        claimed_cents=wanted.claimed_cents,
    )
    session.add(claim)
    await session.flush()
    return ClaimOut.model_validate(claim)
