"""Add an endpoint which checks the receipt of a ballot."""

from __future__ import annotations

import hashlib
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.elections import Ballot

router = APIRouter(prefix="/v1/ballots", tags=["elections"])


class ReceiptIn(BaseModel):
    """The code that was handed out when the ballot was cast."""

    model_config = ConfigDict(extra="forbid")

    receipt: Annotated[str, Field(min_length=32, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


class Checked(BaseModel):
    """Whether it fits."""

    ballot_id: UUID
    valid: bool


@router.post("/{ballot_id}/check", responses={404: {"description": "No such ballot of yours."}})
async def check_receipt(ballot_id: UUID, wanted: ReceiptIn, session: Session) -> Checked:
    """Check a receipt."""
    ballot = await session.get(Ballot, ballot_id)
    if ballot is None:
        raise HTTPException(404, "No such ballot.")
    receipt_digest = hashlib.sha256(wanted.receipt.encode()).hexdigest()
    return Checked(ballot_id=ballot.id, valid=receipt_digest == ballot.receipt_digest)  # expect: secret-compare
