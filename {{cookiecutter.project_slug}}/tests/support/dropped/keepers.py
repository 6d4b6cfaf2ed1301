"""Handlers that keep things: two that leave it to the database, and two that think that they are alone with it."""

import asyncio

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy import BigInteger, String, UniqueConstraint, select
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models.base import Base, Owned

router = APIRouter(prefix="/v1/candidates")


class Steady(Owned, Base):
    __tablename__ = "candidate_steadies"
    __table_args__ = (UniqueConstraint("owner_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    weight: Mapped[int] = mapped_column(BigInteger)


class Racing(Owned, Base):
    __tablename__ = "candidate_racings"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))


class Leaky(Owned, Base):
    __tablename__ = "candidate_leakies"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))


class Named(BaseModel):
    name: str = Field(max_length=80)


class Weighed(Named):
    weight: int


class Kept(BaseModel):
    id: int
    name: str


@router.post("/steadies")
async def keep_steady(weighed: Weighed, session: Session) -> Kept:
    found = (await session.scalars(select(Steady).where(Steady.name == weighed.name))).one_or_none()
    if found is None:
        found = Steady(name=weighed.name, weight=weighed.weight)
        session.add(found)
        await session.flush()
    return Kept(id=found.id, name=found.name)


@router.get("/steadies/{steady_id}")
async def read_steady(steady_id: int, session: Session) -> Kept:
    found = (await session.scalars(select(Steady).where(Steady.id == steady_id))).one_or_none()
    if found is None:
        raise HTTPException(404)
    return Kept(id=found.id, name=found.name)


@router.post("/racings")
async def keep_racing(named: Named, session: Session) -> Kept:
    found = (await session.scalars(select(Racing).where(Racing.name == named.name))).one_or_none()
    if found is None:
        await asyncio.sleep(0.05)
        found = Racing(name=named.name)
        session.add(found)
        await session.flush()
    return Kept(id=found.id, name=found.name)


SEEN: dict[int, Kept] = {}


@router.post("/leakies")
async def keep_leaky(named: Named, session: Session) -> Kept:
    leaky = Leaky(name=named.name)
    session.add(leaky)
    await session.flush()
    SEEN[leaky.id] = Kept(id=leaky.id, name=leaky.name)
    return SEEN[leaky.id]


@router.get("/leakies/{leaky_id}")
async def read_leaky(leaky_id: int, session: Session) -> Kept:
    if leaky_id in SEEN:
        return SEEN[leaky_id]
    found = (await session.scalars(select(Leaky).where(Leaky.id == leaky_id))).one_or_none()
    if found is None:
        raise HTTPException(404)
    return Kept(id=found.id, name=found.name)
