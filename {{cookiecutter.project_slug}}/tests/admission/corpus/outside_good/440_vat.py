"""Add an endpoint which computes the VAT of an amount for one of the countries that we sell to."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel

from app.dependencies import Caller

router = APIRouter(prefix="/v1/vat", tags=["invoices"])

RATES = {"DE": Decimal("0.19"), "FR": Decimal("0.20"), "LU": Decimal("0.17")}


class Vat(BaseModel):
    """All in cents."""

    net: int
    vat: int
    gross: int
    reverse_charge: bool


@router.get("", response_model=Vat)
async def vat(
    caller: Caller,
    net: Annotated[int, Query(ge=0, le=100_000_000)],
    country_code: Annotated[Literal["DE", "FR", "LU"], Query()] = "DE",
    business: bool = False,
) -> Vat:
    """Compute with decimals; businesses abroad pay their own."""
    reverse = business and country_code != "DE"
    rate = Decimal(0) if reverse else RATES[country_code]
    tax = int((net * rate).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
    return Vat(net=net, vat=tax, gross=net + tax, reverse_charge=reverse)
