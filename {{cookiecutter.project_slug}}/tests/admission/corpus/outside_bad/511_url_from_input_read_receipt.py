"""Add an endpoint which shows the receipt of a paid parking stay from the payment service."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Payments

router = APIRouter(prefix="/v1/parking-receipts", tags=["parking"])


class Receipt(BaseModel):
    """A receipt as the payment service has it."""

    model_config = ConfigDict(extra="ignore")

    number: str = Field(max_length=60)
    amount: int = Field(ge=0)
    currency: str = Field(pattern="^[A-Z]{3}$")


@router.get("")
async def read_receipt(payments: Payments, number: Annotated[str, Query(min_length=1, max_length=60)]) -> Receipt:
    """Read one receipt."""
    answer = await payments.get(f"/v1/receipts/{number}")  # expect: url-from-input
    return Receipt.model_validate(answer.json())
