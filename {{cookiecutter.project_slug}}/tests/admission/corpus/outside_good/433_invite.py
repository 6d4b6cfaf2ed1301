"""Add an endpoint which invites a colleague; the answer has a one-time code to pass on."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

import structlog
from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.accounts import Invite

router = APIRouter(prefix="/v1/invites", tags=["team"])
log = structlog.get_logger(__name__)

VALID: Final = timedelta(days=2)
ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


class InviteIn(BaseModel):
    """Who is invited: as a member, whatever the inviter may wish."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    email: Annotated[str, Field(max_length=254, pattern=r"^[^@\s\x00]+@[^@\s\x00]+$")]


class InviteOut(BaseModel):
    """The invitation; its code is shown this once."""

    id: UUID
    code: str
    expires_at: AwareDatetime


def one_time_code() -> str:
    """Return 24 random letters and digits: 120 bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(24))


@router.post("", status_code=201)
async def invite(body: InviteIn, session: Session) -> InviteOut:
    """Invite somebody."""
    code = one_time_code()
    row = Invite(
        email=body.email,
        code_hash=hashlib.sha256(code.encode()).hexdigest(),
        role="member",
        expires_at=datetime.now(UTC) + VALID,
    )
    session.add(row)
    await session.flush()
    log.info("invited", invite_id=str(row.id))
    return InviteOut(id=row.id, code=code, expires_at=row.expires_at)
