"""Add an endpoint which tells a driver whether a stay was paid."""

import logging
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

from app.dependencies import Payments, UpstreamError

router = APIRouter(prefix="/v1/stay-payments", tags=["parking"])
logger = logging.getLogger(__name__)


class Paid(BaseModel):
    charge_id: str
    amount: int
    settled: bool


async def lookup(payments: Payments, charge_id: str) -> Paid:
    try:
        charge = await payments.read(charge_id)
    except UpstreamError:  # expect: swallowed-exception
        logger.warning("charge could not be read")
        return Paid(charge_id=charge_id, amount=0, settled=False)
    return Paid(charge_id=charge_id, amount=charge.amount, settled=charge.status == "succeeded")


@router.get("/{charge_id}")
async def read_paid(charge_id: Annotated[str, Path(pattern=r"^ch_[A-Za-z0-9]{1,60}$")], payments: Payments) -> Paid:
    """Say what was paid."""
    return await lookup(payments, charge_id)
