"""Add an endpoint which keeps the wish list of my next order: up to twenty wishes, each with a reason."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy import func, select

from app.dependencies import Session
from app.models.documents import Note

router = APIRouter(prefix="/v1/wish-lists", tags=["wishes"])


Words = Annotated[str, AfterValidator(lambda text: " ".join(text.replace("\x00", "").split()))]  # expect: unbounded-string


class Wish(BaseModel):
    """What is wished for, and why."""

    model_config = ConfigDict(extra="forbid")

    what: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
    why: Words  # or: unbounded-string


class WishListIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    wishes: Annotated[list[Wish], Field(min_length=1, max_length=20)]


class WishListOut(BaseModel):
    """How many wishes were kept now, and how many notes there are altogether."""

    kept: int
    notes: int


@router.post("", status_code=201)
async def keep_wishes(body: WishListIn, session: Session) -> WishListOut:
    """Keep each wish as a note."""
    session.add_all([Note(title=wish.what, text=wish.why) for wish in body.wishes])
    await session.flush()
    notes = await session.scalar(select(func.count()).select_from(Note))
    return WishListOut(kept=len(body.wishes), notes=notes or 0)
