"""Add an endpoint which shows the sections below a shelf of the library."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel, ConfigDict
from sqlalchemy import literal, select
from sqlalchemy.orm import aliased

from app.dependencies import Session
from app.models.libraries import Shelf

router = APIRouter(prefix="/v1/shelves", tags=["library"])

MAX_DEPTH = 6
MAX_ROWS = 500


class ShelfOut(BaseModel):
    """A section, and how far below the first one it is."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    label: str
    depth: int


@router.get("/{shelf_id}/tree", responses={404: {"description": "No such shelf."}})
async def shelf_tree(shelf_id: Annotated[int, Path(ge=1, le=2_147_483_647)], session: Session) -> list[ShelfOut]:
    """Show a shelf and what is below it. A loop in the data ends at the sixth level."""
    top = (
        select(Shelf.id, Shelf.label, literal(0).label("depth"))
        .where(Shelf.id == shelf_id)
        .cte("tree", recursive=True)
    )
    child = aliased(Shelf)
    tree = top.union_all(
        select(child.id, child.label, top.c.depth + 1)
        .join(top, child.parent_id == top.c.id)
        .where(top.c.depth < MAX_DEPTH)
    )
    statement = select(tree.c.id, tree.c.label, tree.c.depth).order_by(tree.c.depth, tree.c.id).limit(MAX_ROWS)
    rows = (await session.execute(statement)).all()
    if not rows:
        raise HTTPException(404, "No such shelf.")
    return [ShelfOut.model_validate(row) for row in rows]
