"""Add an endpoint which books a plot of the community garden for the caller."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import IntegrityError

from app.dependencies import Session
from app.models.gardens import Lease

router = APIRouter(prefix="/v1/plots", tags=["garden"])


class LeaseOut(BaseModel):
    """A plot that the caller has."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    plot_id: int
    since: datetime


@router.post("/{plot_id}/lease", status_code=201, responses={409: {"description": "Taken."}})
async def lease_plot(plot_id: Annotated[int, Path(ge=1, le=2_147_483_647)], session: Session) -> LeaseOut:
    """Lease a plot."""
    lease = Lease(plot_id=plot_id)
    try:
        async with session.begin_nested():
            session.add(lease)
    except IntegrityError as error:
        raise HTTPException(409, f"The plot cannot be leased: {error}") from error  # expect: internals-in-answer
    return LeaseOut.model_validate(lease)
