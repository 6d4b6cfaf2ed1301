"""Two calls at once, owned by a task group."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from pydantic import BaseModel

from app.dependencies import Payments, Shipping

router = APIRouter(prefix="/v1/overview", tags=["orders"])


class Overview(BaseModel):
    balance_cents: int
    parcels: int


async def _balance(payments: Payments) -> int:
    return int((await payments.get("/balance")).json()["cents"])


async def _parcels(shipping: Shipping) -> int:
    return int((await shipping.get("/parcels/count")).json()["count"])


@router.get("")
async def overview(payments: Payments, shipping: Shipping) -> Overview:
    """Return both figures."""
    async with asyncio.TaskGroup() as group:
        balance = group.create_task(_balance(payments))
        parcels = group.create_task(_parcels(shipping))
    return Overview(balance_cents=balance.result(), parcels=parcels.result())
