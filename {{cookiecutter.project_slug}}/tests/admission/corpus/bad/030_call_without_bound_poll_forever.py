"""Polls until an import is done."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/imports", tags=["imports"])


class Import(Owned, Base):
    __tablename__ = "imports"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    state: Mapped[str] = mapped_column(String(16))


class ImportOut(BaseModel):
    state: str


@router.get("/{import_id}/done")
async def wait_for_import(import_id: UUID, session: Session) -> ImportOut:
    """Answer when an import is done."""
    found = await session.get(Import, import_id)
    if found is None:
        raise HTTPException(404, "No such import.")
    while found.state != "done":  # expect: call-without-bound
        await asyncio.sleep(1)
        await session.refresh(found)
    return ImportOut(state=found.state)
