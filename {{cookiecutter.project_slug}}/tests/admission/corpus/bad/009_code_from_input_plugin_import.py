"""Exports by a plugin whose name the client gives."""

from __future__ import annotations

import importlib

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/exports", tags=["exports"])


class ExportIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    plugin: str = Field(max_length=40)


class ExportOut(BaseModel):
    rows: int


@router.post("")
async def export(wanted: ExportIn) -> ExportOut:
    """Export by a plugin."""
    plugin = importlib.import_module("exporters." + wanted.plugin)  # expect: code-from-input
    return ExportOut(rows=plugin.export())
