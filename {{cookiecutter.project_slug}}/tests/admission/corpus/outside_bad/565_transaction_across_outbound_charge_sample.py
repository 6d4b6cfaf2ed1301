"""Add an endpoint which charges a sample's analysis once it was received."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from app.dependencies import PaymentDeclined, Payments, Session
from app.models.laboratories import Assay, Sample

router = APIRouter(prefix="/v1/samples", tags=["laboratory"])


class SampleCharged(BaseModel):
    """A sample that is paid."""

    sample_id: UUID
    amount: int
    status: str


@router.post(
    "/{sample_id}/charge",
    responses={402: {"description": "Declined."}, 404: {"description": "No such sample of yours."}},
)
async def charge_sample(sample_id: UUID, session: Session, payments: Payments) -> SampleCharged:
    """Charge a sample."""
    sample = await session.get(Sample, sample_id, with_for_update=True)
    if sample is None or sample.status != "received":
        raise HTTPException(404, "No such sample.")
    assay = await session.get(Assay, sample.assay)
    if assay is None:
        raise HTTPException(404, "No such assay.")
    try:
        await payments.charge(amount=assay.price_cents, currency="EUR", reference=f"Sample {sample.barcode}")  # expect: transaction-across-outbound
    except PaymentDeclined:
        raise HTTPException(402, "The payment was declined.") from None
    sample.status = "paid"
    sample.price_cents = assay.price_cents
    return SampleCharged(sample_id=sample.id, amount=sample.price_cents, status=sample.status)
