"""Add an endpoint which starts the ranking of a game's board; the client need not wait for it."""

from __future__ import annotations

import asyncio
from typing import Literal

import structlog
from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/rankings", tags=["games"])
log = structlog.get_logger()


class Started(BaseModel):
    """What was started."""

    game: str
    started: bool = True


async def rank(game: str) -> None:
    """Rank a board."""
    await asyncio.sleep(0)
    log.info("board_ranked", game=game)


@router.post("/{game}", status_code=202)
async def start_ranking(game: Literal["chess", "go", "draughts"]) -> Started:
    """Start to rank."""
    asyncio.create_task(rank(game))  # expect: orphan-task
    return Started(game=game)
