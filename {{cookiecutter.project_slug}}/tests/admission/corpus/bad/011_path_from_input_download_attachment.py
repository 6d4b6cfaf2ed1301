"""Attachments of a ticket, read by their file name."""

from __future__ import annotations

import os
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse

router = APIRouter(prefix="/v1/attachments", tags=["tickets"])

ROOT = "/srv/attachments"


@router.get("/{ticket_id}", response_class=FileResponse)
async def download(ticket_id: UUID, filename: Annotated[str, Query(max_length=200)]) -> FileResponse:
    """Download an attachment."""
    return FileResponse(os.path.join(ROOT, str(ticket_id), filename))  # expect: path-from-input
