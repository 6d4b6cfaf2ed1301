"""Add an endpoint which hands a sensor a fresh ingest token, and leaves a trace of it."""

from __future__ import annotations

import hashlib
import secrets
from uuid import UUID

import structlog
from fastapi import APIRouter, HTTPException, Response
from pydantic import BaseModel

from app.dependencies import Caller, Session
from app.models.sensors import Sensor

router = APIRouter(prefix="/v1/sensors", tags=["sensors"])
log = structlog.get_logger()


class TokenOut(BaseModel):
    """The token. It is not shown again."""

    sensor_id: UUID
    token: str


@router.post("/{sensor_id}/ingest-token", responses={404: {"description": "No such sensor of yours."}})
async def rotate_token(sensor_id: UUID, session: Session, caller: Caller, response: Response) -> TokenOut:
    """Replace the ingest token of a sensor."""
    sensor = await session.get(Sensor, sensor_id, with_for_update=True)
    if sensor is None:
        raise HTTPException(404, "No such sensor.")
    token = f"sns_{secrets.token_urlsafe(32)}"
    had_token = sensor.ingest_token_digest is not None
    sensor.ingest_token_digest = hashlib.sha256(token.encode()).hexdigest()
    response.headers["Cache-Control"] = "no-store"
    log.info("ingest_token_rotated", sensor_id=str(sensor.id), replaced=had_token, roles=len(caller.roles))
    return TokenOut(sensor_id=sensor.id, token=token)
