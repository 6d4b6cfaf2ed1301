"""Add an endpoint with which voters cast a ballot and get a receipt code to check it later."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from app.dependencies import Session
from app.models.elections import Ballot, Candidate, Poll

router = APIRouter(prefix="/v1/polls", tags=["elections"])


class BallotIn(BaseModel):
    """Whom the caller votes for."""

    model_config = ConfigDict(extra="forbid")

    candidate_id: Annotated[int, Field(ge=1, le=2_147_483_647)]


class ReceiptOut(BaseModel):
    """The receipt, which is shown once."""

    ballot_id: UUID
    receipt: str


@router.post(
    "/{poll_id}/ballots", status_code=201, responses={409: {"description": "Closed, voted already, or nobody such."}}
)
async def cast(
    poll_id: Annotated[int, Path(ge=1, le=2_147_483_647)], wanted: BallotIn, session: Session
) -> ReceiptOut:
    """Cast a ballot. That somebody voted is kept apart from whom for."""
    now = datetime.now(UTC)
    open_poll = await session.scalar(
        update(Poll)
        .where(Poll.id == poll_id, Poll.opens_at <= now, Poll.closes_at > now)
        .values(ballots=Poll.ballots + 1)
        .returning(Poll.id)
    )
    if open_poll is None:
        raise HTTPException(409, "This poll is not open.")
    receipt = secrets.token_urlsafe(24)
    ballot = Ballot(poll_id=poll_id, receipt_digest=hashlib.sha256(receipt.encode()).hexdigest())
    try:
        async with session.begin_nested():
            session.add(ballot)
    except IntegrityError:
        raise HTTPException(409, "You have voted already.") from None
    counted = await session.scalar(
        update(Candidate)
        .where(Candidate.id == wanted.candidate_id, Candidate.poll_id == poll_id)
        .values(votes=Candidate.votes + 1)
        .returning(Candidate.id)
    )
    if counted is None:
        raise HTTPException(409, "Nobody of that number stands.")
    return ReceiptOut(ballot_id=ballot.id, receipt=receipt)
