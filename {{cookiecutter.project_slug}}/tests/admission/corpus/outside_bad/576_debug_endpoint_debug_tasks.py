"""Add an endpoint which shows the state of the reading queue, for when something hangs in production."""

import asyncio

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/debug", tags=["debug"])


class TaskState(BaseModel):
    name: str
    stack: list[str]


class DebugOut(BaseModel):
    tasks: list[TaskState]


def _stacks() -> list[TaskState]:
    states = []
    for task in list(asyncio.all_tasks())[:50]:
        frames = [f"{frame.f_code.co_name}:{frame.f_lineno} {frame.f_locals!r}" for frame in task.get_stack(limit=5)]  # expect: debug-endpoint
        states.append(TaskState(name=task.get_name(), stack=frames))
    return states


@router.get("/tasks")  # or: debug-endpoint
async def debug_tasks() -> DebugOut:
    """Show what every task is doing."""
    return DebugOut(tasks=_stacks())
