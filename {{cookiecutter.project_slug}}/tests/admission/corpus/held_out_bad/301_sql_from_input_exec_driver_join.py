"""Deletes drafts by ids joined into a list."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session

router = APIRouter(prefix="/v1/drafts", tags=["drafts"])


class Ids(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ids: list[Annotated[str, Field(max_length=36)]] = Field(min_length=1, max_length=50)


class Gone(BaseModel):
    gone: int


@router.post("/remove")
async def remove(wanted: Ids, session: Session) -> Gone:
    """Remove drafts."""
    quoted = ", ".join(f"'{each}'" for each in wanted.ids)
    connection = await session.connection()
    result = await connection.exec_driver_sql("DELETE FROM drafts WHERE id IN (" + quoted + ")")  # expect: sql-from-input
    return Gone(gone=result.rowcount)
