"""Add an endpoint which checks a claim's charge at the payment service."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

from app.dependencies import Charge, Payments, UpstreamUnavailable

router = APIRouter(prefix="/v1/claim-charges", tags=["claims"])


class ChargeState(BaseModel):
    id: str
    status: str
    amount: int


async def patiently(call: Callable[[], Awaitable[Charge]], left: int = 3, pause: float = 0.1) -> Charge:
    """Call something that is sometimes away."""
    try:
        return await call()
    except UpstreamUnavailable:  # or: hand-made-retry
        if left == 0:
            raise
        await asyncio.sleep(pause)  # or: hand-made-retry
        return await patiently(call, left - 1, pause * 2)  # expect: hand-made-retry


@router.get("/{charge_id}")
async def read_charge(
    charge_id: Annotated[str, Path(pattern=r"^ch_[A-Za-z0-9]{1,60}$")], payments: Payments
) -> ChargeState:
    charge = await patiently(lambda: payments.read(charge_id))
    return ChargeState(id=charge.id, status=charge.status, amount=charge.amount)
