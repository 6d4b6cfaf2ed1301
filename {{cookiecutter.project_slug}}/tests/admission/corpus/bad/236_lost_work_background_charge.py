"""Charges after the answer has left."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, BackgroundTasks
from pydantic import BaseModel

from app.dependencies import Payments

router = APIRouter(prefix="/v1/late-charges", tags=["payments"])


class Late(BaseModel):
    accepted: bool


class Charger:
    def __init__(self, payments: Payments) -> None:
        self.payments = payments

    async def charge(self, order_id: UUID) -> None:
        await self.payments.post("/charges", json={"order": str(order_id)})


@router.post("/{order_id}", status_code=202)
async def charge_later(order_id: UUID, tasks: BackgroundTasks, payments: Payments) -> Late:
    """Charge later."""
    charger = Charger(payments)
    tasks.add_task(charger.charge, order_id)  # expect: lost-work
    return Late(accepted=True)
