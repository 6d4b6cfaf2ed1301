"""Add an endpoint which shows where the running tasks hang, so that we can see why requests are slow."""

import asyncio
import sys
import threading

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/internals", tags=["support"])

MAX_STACKS = 50


class Stack(BaseModel):
    """Where something is right now."""

    name: str
    frames: list[str]


class Stacks(BaseModel):
    tasks: list[Stack]
    threads: list[Stack]


class Inspector:
    """Collects stacks."""

    def tasks(self) -> list[Stack]:
        running = list(asyncio.all_tasks())[:MAX_STACKS]  # or: debug-endpoint
        return [Stack(name=task.get_name(), frames=[str(f) for f in task.get_stack(limit=5)]) for task in running]

    def threads(self) -> list[Stack]:
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        frames = list(sys._current_frames().items())[:MAX_STACKS]  # expect: debug-endpoint
        return [Stack(name=names.get(ident, "?"), frames=[str(frame)]) for ident, frame in frames]


@router.get("/stacks")  # or: debug-endpoint
async def stacks() -> Stacks:
    """Show where everything is."""
    inspector = Inspector()
    return Stacks(tasks=inspector.tasks(), threads=inspector.threads())
