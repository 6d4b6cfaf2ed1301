"""Add an endpoint with which a lab technician releases a result; the sender's notification may go out afterwards."""

import asyncio
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

import structlog
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from app.dependencies import Session
from app.models.laboratories import Sample

router = APIRouter(prefix="/v1/samples", tags=["laboratory"])
log = structlog.get_logger()


class Released(BaseModel):
    sample_id: UUID
    status: str


class Later:
    """Runs what need not be waited for."""

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.get_running_loop().create_task(work)  # expect: orphan-task


later = Later()


async def announce(sample_id: UUID) -> None:
    log.info("sample_announced", sample_id=str(sample_id))


@router.post("/{sample_id}/release", responses={404: {"description": "No such sample of yours."}})
async def release(sample_id: UUID, session: Session) -> Released:
    sample = await session.get(Sample, sample_id, with_for_update=True)
    if sample is None or sample.status != "measured":
        raise HTTPException(404, "No such sample.")
    sample.status = "released"
    later.run(announce(sample.id))
    return Released(sample_id=sample.id, status=sample.status)
