"""Makes a row of everything in the body."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/tasks", tags=["tasks"])


class Task(Owned, Base):
    __tablename__ = "tasks"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    title: Mapped[str] = mapped_column(String(100))
    done: Mapped[bool] = mapped_column(default=False)


class TaskIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str = Field(min_length=1, max_length=100)


class TaskOut(BaseModel):
    id: UUID
    title: str


@router.post("", status_code=201)
async def create_task(wanted: TaskIn, session: Session) -> TaskOut:
    """Create a task."""
    task = Task(**wanted.model_dump())  # expect: mass-assignment
    session.add(task)
    await session.flush()
    return TaskOut(id=task.id, title=task.title)
