"""Add endpoints to register a sample at the laboratory and to read its measurements."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.dependencies import Session
from app.models.laboratories import Assay, Measurement, Sample

router = APIRouter(prefix="/v1/samples", tags=["laboratory"])


class SampleIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    barcode: Annotated[str, Field(pattern=r"^[A-Z0-9-]{6,24}$")]
    assay: Annotated[str, Field(pattern=r"^[A-Z0-9]{2,20}$")]
    comment: Annotated[str | None, Field(max_length=500, pattern=r"^[^\x00]*$")] = None


class SampleOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    barcode: str
    assay: str
    status: str
    price_cents: int


class MeasurementOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    value: Decimal
    measured_at: datetime


@router.post("", status_code=201, responses={409: {"description": "Known already, or no such assay."}})
async def register_sample(wanted: SampleIn, session: Session) -> SampleOut:
    assay = await session.get(Assay, wanted.assay)
    if assay is None:
        raise HTTPException(409, "There is no such assay.")
    sample = Sample(
        barcode=wanted.barcode, assay=assay.code, comment=wanted.comment, price_cents=assay.price_cents
    )
    try:
        async with session.begin_nested():
            session.add(sample)
    except IntegrityError:
        raise HTTPException(409, "This barcode is known already.") from None
    return SampleOut.model_validate(sample)


@router.get("/{sample_id}/measurements", responses={404: {"description": "No such sample of yours."}})
async def measurements(
    sample_id: UUID, session: Session, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> list[MeasurementOut]:
    if await session.get(Sample, sample_id) is None:
        raise HTTPException(404, "No such sample.")
    newest = select(Measurement).where(Measurement.sample_id == sample_id).order_by(Measurement.measured_at.desc())
    return [MeasurementOut.model_validate(one) for one in await session.scalars(newest.limit(limit))]
