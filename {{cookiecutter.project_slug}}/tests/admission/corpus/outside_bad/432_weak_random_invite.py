"""Add an endpoint which invites a colleague; the answer has a one-time code to pass on, which expires."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, status
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.accounts import Invite

router = APIRouter(prefix="/v1/invites", tags=["team"])


class InviteIn(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    email: Annotated[str, Field(max_length=254, pattern=r"^[^@\s\x00]+@[^@\s\x00]+$")]


class InviteOut(BaseModel):
    """The invitation; its code is shown this once."""

    id: UUID
    code: str
    expires_at: datetime


def one_time_code(length: int = 12) -> str:
    """Return a code that nobody had before."""
    generator = Random(time.time_ns())  # expect: weak-random
    return "".join(generator.choice("ABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(length))  # or: weak-random


@router.post("", status_code=status.HTTP_201_CREATED)
async def invite(body: InviteIn, session: Session) -> InviteOut:
    """Invite somebody."""
    code = one_time_code()
    row = Invite(
        email=body.email,
        code_hash=hashlib.sha256(code.encode()).hexdigest(),
        expires_at=datetime.now(UTC) + timedelta(days=2),
    )
    session.add(row)
    await session.flush()
    return InviteOut(id=row.id, code=code, expires_at=row.expires_at)
