"""Add an endpoint to register a sample at the laboratory."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import IntegrityError

from app.dependencies import Session
from app.models.laboratories import Sample

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


@router.post("", status_code=201, responses={409: {"description": "This barcode is known already."}})
async def register_sample(wanted: SampleIn, session: Session) -> SampleOut:
    sample = Sample(**wanted.model_dump())  # expect: mass-assignment
    try:
        async with session.begin_nested():
            session.add(sample)
    except IntegrityError:
        raise HTTPException(409, "This barcode cannot be registered.") from None
    return SampleOut.model_validate(sample)
