"""Add an endpoint with which a lab technician releases a result; the sender is told afterwards."""

from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from app.dependencies import Outbox, Session
from app.models.laboratories import Sample

router = APIRouter(prefix="/v1/samples", tags=["laboratory"])


class Released(BaseModel):
    sample_id: UUID
    status: str


@router.post(
    "/{sample_id}/release", responses={404: {"description": "No such sample."}, 409: {"description": "Not measured."}}
)
async def release(sample_id: UUID, session: Session, outbox: Outbox) -> Released:
    """Release a result. To be told about it is written down in the same transaction."""
    sample = await session.get(Sample, sample_id, with_for_update=True)
    if sample is None:
        raise HTTPException(404, "No such sample.")
    if sample.status != "measured":
        raise HTTPException(409, "There is nothing to release.")
    sample.status = "released"
    await outbox.add("sample.released", {"sample_id": sample.id}, key=str(sample.id))
    return Released(sample_id=sample.id, status=sample.status)
