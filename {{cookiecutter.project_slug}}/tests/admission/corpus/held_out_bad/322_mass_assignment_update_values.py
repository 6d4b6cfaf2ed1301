"""An update with everything that was sent."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import String, update
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/plants", tags=["plants"])


class Plant(Owned, Base):
    __tablename__ = "plants"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(60))


class PlantPatch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=60)


class PlantOut(BaseModel):
    id: UUID


@router.patch("/{plant_id}")
async def patch_plant(plant_id: UUID, patch: PlantPatch, session: Session) -> PlantOut:
    """Change a plant."""
    changes = patch.model_dump(exclude_unset=True)
    await session.execute(update(Plant).where(Plant.id == plant_id).values(**changes))  # expect: mass-assignment
    return PlantOut(id=plant_id)
