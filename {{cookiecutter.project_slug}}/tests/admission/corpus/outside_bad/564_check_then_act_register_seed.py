"""Add an endpoint which registers a seed in the shared catalogue unless it is there already."""

from typing import Annotated

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from app.dependencies import Session
from app.models.gardens import Seed

router = APIRouter(prefix="/v1/seeds", tags=["garden"])


class SeedIn(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[\w '-]+$")]
    family: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[A-Za-z]+$")]
    days_to_harvest: Annotated[int, Field(ge=5, le=2000)]


class SeedOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    family: str
    days_to_harvest: int


async def name_is_taken(session: Session, name: str) -> bool:
    return await session.scalar(select(Seed.id).where(Seed.name == name)) is not None


@router.post("", status_code=201, responses={409: {"description": "It is there already."}})
async def register_seed(wanted: SeedIn, session: Session) -> SeedOut:
    if await name_is_taken(session, wanted.name):  # or: check-then-act
        raise HTTPException(409, "This seed is in the catalogue already.")
    seed = Seed(name=wanted.name, family=wanted.family, days_to_harvest=wanted.days_to_harvest)
    session.add(seed)  # expect: check-then-act
    await session.flush()
    return SeedOut.model_validate(seed)
