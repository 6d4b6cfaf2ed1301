"""Add a page-by-page list of a sender's parcels, newest first."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select, tuple_

from app.dependencies import Session
from app.models.logistics import Parcel

router = APIRouter(prefix="/v1/parcels", tags=["logistics"])


class ParcelOut(BaseModel):
    """A parcel in the list."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    code: str
    destination: str
    status: str
    created_at: datetime


class ParcelPage(BaseModel):
    """Some of them, and where to read on."""

    items: list[ParcelOut]
    next: UUID | None


@router.get("", responses={404: {"description": "There is no parcel `after`."}})
async def list_parcels(
    session: Session, after: UUID | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 25
) -> ParcelPage:
    """List parcels."""
    statement = select(Parcel).order_by(Parcel.created_at.desc(), Parcel.id.desc()).limit(limit + 1)
    if after is not None:
        last = await session.get(Parcel, after)
        if last is None:
            raise HTTPException(404, "No such parcel.")
        statement = statement.where(tuple_(Parcel.created_at, Parcel.id) < (last.created_at, last.id))
    found = (await session.scalars(statement)).all()
    items = [ParcelOut.model_validate(parcel) for parcel in found[:limit]]
    return ParcelPage(items=items, next=items[-1].id if len(found) > limit else None)
