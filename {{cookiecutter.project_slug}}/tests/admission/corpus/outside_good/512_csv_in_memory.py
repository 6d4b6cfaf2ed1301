"""Add a CSV download of a vehicle's latest trips."""

from __future__ import annotations

import csv
import io
from uuid import UUID

from fastapi import APIRouter, HTTPException
from fastapi.responses import PlainTextResponse
from sqlalchemy import select

from app.dependencies import Session
from app.models.fleets import Trip, Vehicle

router = APIRouter(prefix="/v1/vehicles", tags=["fleet"])

MAX_ROWS = 1000
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cell(text: str) -> str:
    """Keep a spreadsheet from taking a text for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


class CsvResponse(PlainTextResponse):
    """A table."""

    media_type = "text/csv"


@router.get(
    "/{vehicle_id}/trips.csv", response_class=CsvResponse, responses={404: {"description": "No such vehicle of yours."}}
)
async def trips_csv(vehicle_id: UUID, session: Session) -> CsvResponse:
    """Write the last thousand trips."""
    if await session.get(Vehicle, vehicle_id) is None:
        raise HTTPException(404, "No such vehicle.")
    trips = await session.scalars(
        select(Trip).where(Trip.vehicle_id == vehicle_id).order_by(Trip.started_at.desc(), Trip.id).limit(MAX_ROWS)
    )
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(["started_at", "driver", "kilometres"])
    for trip in trips:
        writer.writerow([trip.started_at.isoformat(), cell(trip.driver), trip.kilometres])
    return CsvResponse(table.getvalue(), headers={"Content-Disposition": 'attachment; filename="trips.csv"'})
