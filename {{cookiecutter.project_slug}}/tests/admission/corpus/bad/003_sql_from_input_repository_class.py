"""Devices, read by a repository class that formats its SQL."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import text

from app.dependencies import Session

router = APIRouter(prefix="/v1/devices", tags=["devices"])


class DeviceOut(BaseModel):
    serial: str
    state: str


class DeviceRepository:
    """Reads devices."""

    TEMPLATE = "SELECT serial, state FROM devices WHERE serial LIKE '{pattern}%' LIMIT 20"

    def __init__(self, session: Session) -> None:
        self.session = session

    async def starting_with(self, pattern: str) -> list[DeviceOut]:
        sql = self.TEMPLATE.format(pattern=pattern)
        result = await self.session.execute(text(sql))  # expect: sql-from-input
        return [DeviceOut(serial=row[0], state=row[1]) for row in result]


@router.get("")
async def find_devices(session: Session, q: Annotated[str, Query(min_length=2, max_length=30)]) -> list[DeviceOut]:
    """Find devices by the beginning of their serial number."""
    return await DeviceRepository(session).starting_with(q)
