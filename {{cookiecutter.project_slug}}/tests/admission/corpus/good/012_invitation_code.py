"""Invitations to a workspace: the code comes from ``secrets``, and only its digest is kept."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/invitations", tags=["workspaces"])


class Invitation(Owned, Base):
    __tablename__ = "invitations"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    label: Mapped[str] = mapped_column(String(80))
    code_digest: Mapped[str] = mapped_column(String(64), unique=True)
    expires_at: Mapped[datetime]


class InvitationIn(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    label: str = Field(min_length=1, max_length=80, pattern=r"^[^\x00]*$")
    days: int = Field(7, ge=1, le=30, strict=True)


class InvitationOut(BaseModel):
    """An invitation. ``code`` is shown this once and cannot be read again."""

    id: UUID
    label: str
    code: str
    expires_at: datetime


@router.post("", status_code=201)
async def invite(wanted: InvitationIn, session: Session) -> InvitationOut:
    """Make an invitation to hand on."""
    code = secrets.token_urlsafe(24)
    invitation = Invitation(
        label=wanted.label,
        code_digest=hashlib.sha256(code.encode()).hexdigest(),
        expires_at=datetime.now(UTC) + timedelta(days=wanted.days),
    )
    session.add(invitation)
    await session.flush()
    return InvitationOut(id=invitation.id, label=invitation.label, code=code, expires_at=invitation.expires_at)
