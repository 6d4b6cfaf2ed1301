"""Add an endpoint which hands a sensor a fresh ingest token, and audit who does it."""

import hashlib
import secrets
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel

from app.dependencies import Session
from app.models.sensors import Sensor

router = APIRouter(prefix="/v1/sensors", tags=["sensors"])
log = structlog.get_logger(__name__)


class TokenOut(BaseModel):
    sensor_id: UUID
    token: str


async def audit(request: Request) -> None:
    """Leave a line about who asked for what."""
    log.info(  # or: secret-in-log
        "audit",
        method=request.method,
        headers=dict(request.headers),  # expect: secret-in-log
    )


Audited = Annotated[None, Depends(audit)]


@router.post("/{sensor_id}/ingest-token", responses={404: {"description": "No such sensor of yours."}})
async def rotate(sensor_id: UUID, session: Session, audited: Audited) -> TokenOut:
    sensor = await session.get(Sensor, sensor_id, with_for_update=True)
    if sensor is None:
        raise HTTPException(404, "No such sensor.")
    token = secrets.token_urlsafe(32)
    sensor.ingest_token_digest = hashlib.sha256(token.encode()).hexdigest()
    return TokenOut(sensor_id=sensor.id, token=token)
