"""Add an endpoint which sums up the kilometres of a vehicle's trips by driver."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select

from app.dependencies import Session
from app.models.fleets import Trip, Vehicle

router = APIRouter(prefix="/v1/vehicles", tags=["fleet"])


class DriverTotal(BaseModel):
    """How far somebody drove."""

    model_config = ConfigDict(from_attributes=True)

    driver: str
    kilometres: int


class TripRepository:
    """Reads trips."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def totals(self, vehicle_id: UUID, limit: int) -> list[DriverTotal]:
        """Let the database add up."""
        kilometres = func.sum(Trip.kilometres).label("kilometres")
        statement = (
            select(Trip.driver, kilometres)
            .where(Trip.vehicle_id == vehicle_id)
            .group_by(Trip.driver)
            .order_by(kilometres.desc(), Trip.driver)
            .limit(limit)
        )
        return [DriverTotal.model_validate(row) for row in await self._session.execute(statement)]


@router.get("/{vehicle_id}/drivers", responses={404: {"description": "No such vehicle of yours."}})
async def driver_totals(
    vehicle_id: UUID, session: Session, limit: Annotated[int, Query(ge=1, le=50)] = 10
) -> list[DriverTotal]:
    """Show who drove the most."""
    if await session.get(Vehicle, vehicle_id) is None:
        raise HTTPException(404, "No such vehicle.")
    return await TripRepository(session).totals(vehicle_id, limit)
