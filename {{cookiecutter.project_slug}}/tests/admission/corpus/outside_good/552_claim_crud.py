"""Add endpoints to report an insurance claim and to read it again."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.claims import Claim

router = APIRouter(prefix="/v1/claims", tags=["claims"])
logger = structlog.get_logger(__name__)


class ClaimIn(BaseModel):
    """What happened, and what the insured asks for. What is paid, the insurer decides."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    policy_number: Annotated[str, Field(pattern=r"^[A-Z]{2}[0-9]{6,12}$")]
    happened_on: date
    description: Annotated[str, Field(min_length=10, max_length=2000, pattern=r"^[^\x00]*$")]
    claimed_cents: Annotated[int, Field(ge=1, le=100_000_000, strict=True)]


class ClaimOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    policy_number: str
    happened_on: date
    claimed_cents: int
    status: str
    created_at: datetime


@router.post("", status_code=201)
async def report_claim(wanted: ClaimIn, session: Session) -> ClaimOut:
    claim = Claim(
        policy_number=wanted.policy_number,
        happened_on=wanted.happened_on,
        description=wanted.description,
        claimed_cents=wanted.claimed_cents,
    )
    session.add(claim)
    await session.flush()
    logger.info("claim_reported", claim_id=str(claim.id), length=len(wanted.description))
    return ClaimOut.model_validate(claim)


@router.get("/{claim_id}", responses={404: {"description": "No such claim of yours."}})
async def read_claim(claim_id: UUID, session: Session) -> ClaimOut:
    claim = await session.get(Claim, claim_id)
    if claim is None:
        raise HTTPException(404, "No such claim.")
    return ClaimOut.model_validate(claim)
