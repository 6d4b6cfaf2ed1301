"""Hashes a password with a single round of SHA-256."""

from __future__ import annotations

from hashlib import sha256 as fingerprint
from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/vaults", tags=["vaults"])


class Vault(Owned, Base):
    __tablename__ = "vaults"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    password_hash: Mapped[str] = mapped_column(String(64))


class VaultIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    password: str = Field(min_length=12, max_length=128)


class VaultOut(BaseModel):
    id: UUID


@router.post("", status_code=201)
async def make_vault(wanted: VaultIn, session: Session) -> VaultOut:
    """Make a vault."""
    vault = Vault(password_hash=fingerprint(wanted.password.encode()).hexdigest())  # expect: weak-hash
    session.add(vault)
    await session.flush()
    return VaultOut(id=vault.id)
