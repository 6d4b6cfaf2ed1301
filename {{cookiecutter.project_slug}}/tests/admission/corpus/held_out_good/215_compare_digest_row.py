"""A pairing code compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/pairing-codes", tags=["devices"])


class PairingCode(Owned, Base):
    __tablename__ = "pairing_codes"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    code_hash: Mapped[str] = mapped_column(String(64))


class CodeIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    code: str = Field(min_length=16, max_length=32)


class Paired(BaseModel):
    paired: bool


@router.post("/{code_id}")
async def pair(code_id: UUID, wanted: CodeIn, session: Session) -> Paired:
    """Pair by a code of high entropy."""
    found = await session.get(PairingCode, code_id)
    if found is None:
        raise HTTPException(404, "No such code.")
    digest = hashlib.sha256(wanted.code.encode()).hexdigest()
    return Paired(paired=hmac.compare_digest(digest, found.code_hash))
