"""Add an endpoint that exports a phrase in the format a translator names (xliff, po, json, ...)."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import BaseModel

from app.dependencies import Session
from app.models.translations import Phrase

router = APIRouter(prefix="/v1/phrases", tags=["phrases"])

Key = Annotated[str, Path(min_length=1, max_length=120, pattern=r"^[a-z0-9_.]+$")]


class Exported(BaseModel):
    """A phrase in some format."""

    format: str
    content: str


def exporter_for(format_name: str) -> Callable[[str, str], str]:
    """Find the exporter of a format; new ones need no change here."""
    try:
        module = importlib.import_module(f"app.handlers._export_{format_name}")  # expect: code-from-input
    except ModuleNotFoundError:
        raise HTTPException(422, "This format is not known.") from None
    return module.export


@router.get("/{key}/export", responses={404: {"description": "No such phrase."}})
async def export_phrase(
    key: Key,
    session: Session,
    locale: Annotated[str, Query(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")] = "en",
    format: Annotated[str, Query(min_length=1, max_length=20)] = "json",
) -> Exported:
    """Export one phrase."""
    phrase = await session.get(Phrase, (key, locale))
    if phrase is None:
        raise HTTPException(404, "No such phrase.")
    return Exported(format=format, content=exporter_for(format)(phrase.key, phrase.text))
