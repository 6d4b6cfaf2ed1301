"""Add an endpoint which tells the names and languages of several shows at once."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import bindparam, text

from app.dependencies import Session

router = APIRouter(prefix="/v1/show-names", tags=["podcasts"])

ShowId = Annotated[int, Field(ge=1, le=2_147_483_647)]

BY_IDS = text("SELECT id, title, language FROM shows WHERE id IN :ids ORDER BY id").bindparams(
    bindparam("ids", expanding=True)
)


class ShowName(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    title: str
    language: str


@router.get("")
async def show_names(
    session: Session, ids: Annotated[list[ShowId], Query(min_length=1, max_length=50)]
) -> list[ShowName]:
    """At most one row for each of the fifty numbers."""
    rows = await session.execute(BY_IDS, {"ids": sorted(set(ids))})
    return [ShowName.model_validate(row) for row in rows]
