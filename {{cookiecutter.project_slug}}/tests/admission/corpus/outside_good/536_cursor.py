"""Add a leaderboard with opaque cursors."""

import base64
import binascii
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import select, tuple_

from app.dependencies import Session
from app.models.games import Board

router = APIRouter(prefix="/v1/boards", tags=["games"])


class Cursor(BaseModel):
    """Where a page ended. A client may read it, or make one up: it is checked like any input."""

    model_config = ConfigDict(extra="forbid")

    points: Annotated[int, Field(ge=0, le=2_147_483_647)]
    id: Annotated[int, Field(ge=1, le=2_147_483_647)]

    def pack(self) -> str:
        return base64.urlsafe_b64encode(self.model_dump_json().encode()).decode()

    @classmethod
    def unpack(cls, text: str) -> "Cursor":
        try:
            return cls.model_validate_json(base64.urlsafe_b64decode(text))
        except (binascii.Error, ValidationError):
            raise HTTPException(422, "This cursor is none of ours.") from None


class Line(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    nickname: str
    points: int
    wins: int


class BoardPage(BaseModel):
    lines: list[Line]
    next: str | None


@router.get("/{game}")
async def leaderboard(
    game: Literal["chess", "go", "draughts"],
    session: Session,
    cursor: Annotated[str | None, Query(max_length=120, pattern=r"^[A-Za-z0-9_=-]+$")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> BoardPage:
    page = select(Board).where(Board.game == game).order_by(Board.points.desc(), Board.id.desc()).limit(limit + 1)
    if cursor is not None:
        last = Cursor.unpack(cursor)
        page = page.where(tuple_(Board.points, Board.id) < (last.points, last.id))
    rows = (await session.scalars(page)).all()
    more = len(rows) > limit
    lines = [Line.model_validate(row) for row in rows[:limit]]
    following = Cursor(points=rows[limit - 1].points, id=rows[limit - 1].id).pack() if more else None
    return BoardPage(lines=lines, next=following)
