"""Add an endpoint which turns a note written in Markdown into a PDF that the user can download."""

from __future__ import annotations

import asyncio
import subprocess
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from app.dependencies import Look
from app.models.documents import Note

router = APIRouter(prefix="/v1/notes", tags=["notes"])

MAX_PDF = 5_000_000


class PdfOut(BaseModel):
    """The document, hexadecimal, and its size."""

    note_id: UUID
    size: int
    content: str


class Converter:
    """Wraps pandoc."""

    def __init__(self, engine: str = "xelatex", seconds: int = 4) -> None:
        self.engine = engine
        self.seconds = seconds

    def pdf(self, markdown: str) -> bytes:
        """Return the text as a PDF."""
        done = subprocess.run(  # expect: shell-from-input
            ["pandoc", "--from", "markdown", "--to", "pdf", f"--pdf-engine={self.engine}"],
            input=markdown.encode(),
            capture_output=True,
            timeout=self.seconds,
            check=True,
        )
        return done.stdout


converter = Converter()


@router.post("/{note_id}/pdf", responses={404: {"description": "No such note of yours."}})
async def note_as_pdf(note_id: UUID, look: Look) -> PdfOut:
    """Convert one note."""
    async with look() as glance:
        note = await glance.get(Note, note_id)
    if note is None:
        raise HTTPException(404, "No such note.")
    content = await asyncio.to_thread(converter.pdf, f"# {note.title}\n\n{note.text}")
    if len(content) > MAX_PDF:
        raise HTTPException(422, "The note is too long for a PDF.")
    return PdfOut(note_id=note.id, size=len(content), content=content.hex())
