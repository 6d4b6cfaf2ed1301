"""Add an endpoint with which a reader extends a loan until a day of choice."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.libraries import Loan

router = APIRouter(prefix="/v1/loans", tags=["library"])


class ExtensionIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    until: Annotated[str, Field(pattern=r"^20[0-9]{2}-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]$")]


class LoanOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    isbn: str
    due_at: datetime


class Calendar:
    """Understands what readers type."""

    form = "%Y-%m-%d %H:%M"

    def moment(self, text: str) -> datetime:
        try:
            return datetime.strptime(text, self.form)  # expect: naive-datetime
        except ValueError:
            raise HTTPException(422, "There is no such day.") from None


@router.post("/{loan_id}/extension", responses={404: {"description": "No such loan of yours."}})
async def extend(loan_id: UUID, wanted: ExtensionIn, session: Session) -> LoanOut:
    until = Calendar().moment(wanted.until)
    loan = await session.get(Loan, loan_id, with_for_update=True)
    if loan is None or loan.returned_at is not None:
        raise HTTPException(404, "No such loan.")
    loan.due_at = max(loan.due_at, until.astimezone(UTC))
    return LoanOut.model_validate(loan)
