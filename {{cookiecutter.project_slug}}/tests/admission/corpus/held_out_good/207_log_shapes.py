"""Logs of counts, kinds and ids."""

from __future__ import annotations

from uuid import UUID, uuid4

import structlog
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/imports", tags=["imports"])

log = structlog.get_logger()


class Row(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: str = Field(max_length=254)
    name: str = Field(max_length=60)


class ImportIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rows: list[Row] = Field(min_length=1, max_length=100)


class ImportOut(BaseModel):
    import_id: UUID


@router.post("", status_code=201)
async def import_rows(wanted: ImportIn) -> ImportOut:
    """Import rows."""
    import_id = uuid4()
    log.info("imported", import_id=str(import_id), rows=len(wanted.rows))
    return ImportOut(import_id=import_id)
