"""Add an endpoint which delivers a phrase and counts the lookups per language and day."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from app.dependencies import Session
from app.models.translations import Phrase, Usage

router = APIRouter(prefix="/v1/phrase-lookups", tags=["phrases"])


class LookupIn(BaseModel):
    """Which phrase is wanted."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[a-z0-9_.]+$")]
    locale: Literal["en", "de", "fr", "es", "pt"]


class LookupOut(BaseModel):
    """A phrase."""

    model_config = ConfigDict(from_attributes=True)

    key: str
    locale: str
    text: str


async def count(session: Session, locale: str) -> None:
    """Count one more: add to the day's row, or be the one who makes it."""
    day = datetime.now(UTC).date()
    more = update(Usage).where(Usage.locale == locale, Usage.day == day).values(hits=Usage.hits + 1)
    if await session.scalar(more.returning(Usage.hits)) is not None:
        return
    try:
        async with session.begin_nested():
            session.add(Usage(locale=locale, day=day, hits=1))
    except IntegrityError:  # somebody else was faster
        await session.execute(more)


@router.post("", responses={404: {"description": "No such phrase."}})
async def look_up(wanted: LookupIn, session: Session) -> LookupOut:
    """Deliver a phrase."""
    phrase = await session.get(Phrase, (wanted.key, wanted.locale))
    if phrase is None:
        raise HTTPException(404, "No such phrase.")
    await count(session, wanted.locale)
    return LookupOut.model_validate(phrase)
