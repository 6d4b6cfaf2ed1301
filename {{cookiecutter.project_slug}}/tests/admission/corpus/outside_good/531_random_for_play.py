"""Add an endpoint with today's quiz: ten questions of a topic, the same for everybody until midnight."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from app.dependencies import Session
from app.models.games import Question

router = APIRouter(prefix="/v1/daily-quiz", tags=["games"])

POOL = 300
ASKED = 10


class QuestionOut(BaseModel):
    """A question, without its answer."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    text: str


@router.get("/{topic}")
async def daily_quiz(topic: Literal["history", "nature", "music"], session: Session) -> list[QuestionOut]:
    """Draw today's questions. Nothing depends on their being hard to guess: the day is the seed."""
    pool = (
        await session.scalars(select(Question).where(Question.topic == topic).order_by(Question.id).limit(POOL))
    ).all()
    today = datetime.now(UTC).date()
    drawn = random.Random(f"{topic} {today.isoformat()}").sample(pool, min(ASKED, len(pool)))
    return [QuestionOut.model_validate(question) for question in drawn]
