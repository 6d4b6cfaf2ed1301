"""Add an endpoint with which a reader renews a loan, three times at most."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict

from app.dependencies import Session
from app.models.libraries import Loan

router = APIRouter(prefix="/v1/loans", tags=["library"])

MAX_RENEWALS = 3
FOUR_WEEKS = timedelta(weeks=4)


class LoanOut(BaseModel):
    """A loan."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    isbn: str
    due_at: datetime
    renewed: int


@router.post(
    "/{loan_id}/renewals", responses={404: {"description": "None of yours."}, 409: {"description": "Not any more."}}
)
async def renew(loan_id: UUID, session: Session) -> LoanOut:
    """Renew a loan."""
    loan = await session.get(Loan, loan_id, with_for_update=True)
    if loan is None:
        raise HTTPException(404, "No such loan.")
    now = datetime.now(UTC)
    if loan.returned_at is not None or loan.due_at < now or loan.renewed >= MAX_RENEWALS:
        raise HTTPException(409, "This loan cannot be renewed.")
    loan.renewed += 1
    loan.due_at = now + FOUR_WEEKS
    return LoanOut.model_validate(loan)
