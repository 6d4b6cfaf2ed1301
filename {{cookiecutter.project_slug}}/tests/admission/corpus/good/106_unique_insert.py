"""A name is taken by inserting it; the database says whether it was free."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import String
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/aliases", tags=["users"])


class Alias(Owned, Base):
    __tablename__ = "aliases"

    name: Mapped[str] = mapped_column(String(30), primary_key=True)


class AliasIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=3, max_length=30, pattern=r"^[a-z0-9_]+$")


class AliasOut(BaseModel):
    name: str


@router.post("", status_code=201)
async def take_alias(wanted: AliasIn, session: Session) -> AliasOut:
    """Take a name."""
    try:
        async with session.begin_nested():
            session.add(Alias(name=wanted.name))
    except IntegrityError:
        raise HTTPException(409, "That name is taken.") from None
    return AliasOut(name=wanted.name)
