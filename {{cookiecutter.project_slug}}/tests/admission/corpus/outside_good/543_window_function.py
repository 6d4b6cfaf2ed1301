"""Add an endpoint with the three best results of each player of a game."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select

from app.dependencies import Session
from app.models.games import Board

router = APIRouter(prefix="/v1/best-results", tags=["games"])

BEST = 3


class Result(BaseModel):
    """One of somebody's best."""

    model_config = ConfigDict(from_attributes=True)

    nickname: str
    points: int
    place: int


@router.get("/{game}")
async def best_results(
    game: Literal["chess", "go", "draughts"],
    session: Session,
    limit: Annotated[int, Query(ge=1, le=150)] = 60,
) -> list[Result]:
    """List the best results, three at most of each player."""
    place = func.row_number().over(partition_by=Board.nickname, order_by=(Board.points.desc(), Board.id)).label("place")
    ranked = select(Board.nickname, Board.points, place).where(Board.game == game).subquery()
    statement = (
        select(ranked.c.nickname, ranked.c.points, ranked.c.place)
        .where(ranked.c.place <= BEST)
        .order_by(ranked.c.points.desc(), ranked.c.nickname, ranked.c.place)
        .limit(limit)
    )
    return [Result.model_validate(row) for row in await session.execute(statement)]
