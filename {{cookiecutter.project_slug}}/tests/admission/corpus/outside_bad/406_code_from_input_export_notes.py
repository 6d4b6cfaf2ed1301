"""Add an endpoint which exports my notes in a format of my choice (csv, md, opml, whatever plug-in we have)."""

from __future__ import annotations

import importlib
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel
from sqlalchemy import select

from app.dependencies import Session
from app.models.documents import Note

router = APIRouter(prefix="/v1/note-exports", tags=["notes"])


class ExportOut(BaseModel):
    """The exported text."""

    format: str
    content: str


@router.get("")
async def export_notes(
    session: Session,
    format: Annotated[str, Query(min_length=1, max_length=30)] = "csv",
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> ExportOut:
    """Export the newest notes."""
    try:
        exporter = importlib.import_module(f"app.handlers._export_{format}")  # expect: code-from-input
    except ModuleNotFoundError:
        raise HTTPException(status_code=422, detail="There is no such format.") from None
    notes = (await session.scalars(select(Note).order_by(Note.created_at.desc(), Note.id).limit(limit))).all()
    return ExportOut(format=format, content=exporter.render([(note.title, note.text) for note in notes]))
