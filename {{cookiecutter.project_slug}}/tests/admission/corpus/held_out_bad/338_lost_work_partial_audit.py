"""An audit entry in a background task by partial."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks
from pydantic import BaseModel

from app.dependencies import Payments

router = APIRouter(prefix="/v1/approvals", tags=["approvals"])


class Approved(BaseModel):
    approved: bool


async def _send_invoice(payments: Payments, approval_id: UUID) -> None:
    await payments.post("/invoices", json={"approval": str(approval_id)})


@router.post("/{approval_id}", status_code=202)
async def approve(approval_id: UUID, background_tasks: BackgroundTasks, payments: Payments) -> Approved:
    """Approve something."""
    job = partial(_send_invoice, payments, approval_id)
    background_tasks.add_task(job)  # expect: lost-work
    return Approved(approved=True)
