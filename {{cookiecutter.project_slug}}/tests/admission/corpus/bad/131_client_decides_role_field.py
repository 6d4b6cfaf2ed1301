"""Sign-up with a role in the body."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/users", tags=["users"])


class User(Owned, Base):
    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(60))
    role: Mapped[str] = mapped_column(String(20))


class UserIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=60)
    role: str = Field("member", max_length=20)  # expect: client-decides


class UserOut(BaseModel):
    id: UUID
    name: str


@router.post("", status_code=201)
async def create_user(wanted: UserIn, session: Session) -> UserOut:
    """Create a user."""
    user = User(name=wanted.name, role=wanted.role)
    session.add(user)
    await session.flush()
    return UserOut(id=user.id, name=user.name)
