"""Add an endpoint which says when our offices open next, in their own time zones."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel

router = APIRouter(prefix="/v1/office-hours", tags=["offices"])

Office = Literal["berlin", "toronto", "singapore"]

ZONES: dict[Office, ZoneInfo] = {
    "berlin": ZoneInfo("Europe/Berlin"),
    "toronto": ZoneInfo("America/Toronto"),
    "singapore": ZoneInfo("Asia/Singapore"),
}
OPENS = time(9)
FRIDAY = 4


class Opening(BaseModel):
    office: Office
    opens_at: AwareDatetime


def next_opening(now: datetime, zone: ZoneInfo) -> datetime:
    """Return the next nine o'clock on a working day there."""
    local = now.astimezone(zone)
    opening = datetime.combine(local.date(), OPENS, tzinfo=zone)
    while opening <= local or opening.weekday() > FRIDAY:
        opening += timedelta(days=1)
    return opening


@router.get("/{office}")
async def office_hours(office: Office) -> Opening:
    """Say when an office opens."""
    return Opening(office=office, opens_at=next_opening(datetime.now(UTC), ZONES[office]))
