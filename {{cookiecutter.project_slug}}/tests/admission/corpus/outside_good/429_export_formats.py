"""Add an endpoint which exports my newest notes as CSV, Markdown or plain text."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy import select

from app.dependencies import Session
from app.models.documents import Note

router = APIRouter(prefix="/v1/note-exports", tags=["notes"])


class Format(StrEnum):
    CSV = "csv"
    MARKDOWN = "md"
    TEXT = "txt"


def _cell(text: str) -> str:
    """A spreadsheet must not take a note for a formula."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _csv(notes: Sequence[Note]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["title", "text"])
    writer.writerows([_cell(note.title), _cell(note.text)] for note in notes)
    return buffer.getvalue()


def _markdown(notes: Sequence[Note]) -> str:
    return "\n\n".join(f"# {note.title}\n\n{note.text}" for note in notes)


def _text(notes: Sequence[Note]) -> str:
    return "\n\n".join(f"{note.title}\n{note.text}" for note in notes)


EXPORTERS: dict[Format, tuple[str, Callable[[Sequence[Note]], str]]] = {
    Format.CSV: ("text/csv", _csv),
    Format.MARKDOWN: ("text/markdown", _markdown),
    Format.TEXT: ("text/plain", _text),
}


@router.get("", response_class=Response, responses={200: {"content": {"text/csv": {}, "text/markdown": {}}}})
async def export_notes(
    db: Session, format: Format = Format.CSV, limit: Annotated[int, Query(ge=1, le=200)] = 100
) -> Response:
    """Export notes as a download with a fixed name."""
    notes = (await db.scalars(select(Note).order_by(Note.created_at.desc(), Note.id).limit(limit))).all()
    media_type, render = EXPORTERS[format]
    headers = {"Content-Disposition": f'attachment; filename="notes.{format.value}"'}
    return Response(render(notes), media_type=media_type, headers=headers)
