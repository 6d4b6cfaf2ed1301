"""Manuals on disk: a name of the path stays a name, and what it means stays under one directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, HTTPException
from fastapi import Path as InPath
from fastapi.responses import FileResponse

router = APIRouter(prefix="/v1/manuals", tags=["manuals"])

ROOT = Path("/srv/manuals")

Name = Annotated[str, InPath(min_length=5, max_length=80, pattern=r"^[a-z0-9][a-z0-9-]*\.pdf$")]


def _inside(name: str) -> Path | None:
    wanted = (ROOT / Path(name).name).resolve()
    if not wanted.is_relative_to(ROOT) or not wanted.is_file():
        return None
    return wanted


@router.get("/{name}", response_class=FileResponse, responses={404: {"description": "No such manual."}})
def read_manual(name: Name) -> FileResponse:
    """Download a manual. A plain function, so the disk is waited for in a thread."""
    wanted = _inside(name)
    if wanted is None:
        raise HTTPException(404, "No such manual.")
    return FileResponse(wanted, media_type="application/pdf")
