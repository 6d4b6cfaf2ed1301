"""Add an endpoint which shows the fees that payments takes for a country's cards."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from app.dependencies import Payments

router = APIRouter(prefix="/v1/fees", tags=["payments"])


class Fees(BaseModel):
    """What is taken of each payment: basis points, and cents."""

    basis_points: int
    fixed: int


def fee_path(country: str, *, premium: bool) -> str:
    """Return where payments publishes the fees of a country, or those of its premium cards."""
    path = f"/v1/fees/{country}"  # expect: url-from-input
    return f"{path}/premium" if premium else path


@router.get("")
async def fees(
    payments: Payments,
    country: Annotated[str, Query(min_length=2, max_length=60)],
    premium: bool = False,
) -> Fees:
    """Ask payments for its fees."""
    answer = await payments.get(fee_path(country, premium=premium))  # or: url-from-input
    return Fees.model_validate_json(answer.body)
