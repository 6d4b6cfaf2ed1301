"""A class with `get`, `post` and `execute` that calls nobody."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/routes-of-robots", tags=["robots"])


class Robot:
    def __init__(self) -> None:
        self.place = (0, 0)

    def post(self, step: str) -> None:
        x, y = self.place
        self.place = {"n": (x, y + 1), "s": (x, y - 1), "e": (x + 1, y), "w": (x - 1, y)}[step]

    def get(self) -> tuple[int, int]:
        return self.place


class Walk(BaseModel):
    model_config = ConfigDict(extra="forbid")

    steps: list[Literal["n", "s", "e", "w"]] = Field(max_length=100)


class Place(BaseModel):
    x: int
    y: int


@router.post("")
async def walk(wanted: Walk) -> Place:
    """Say where the robot is in the end."""
    robot = Robot()
    for step in wanted.steps:
        robot.post(step)
    x, y = robot.get()
    return Place(x=x, y=y)
