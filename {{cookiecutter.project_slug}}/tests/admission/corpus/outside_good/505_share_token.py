"""Add an endpoint that creates a secret share link for a recipe, and one that withdraws it."""

from __future__ import annotations

import hashlib
import secrets
from uuid import UUID

import structlog
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from app.dependencies import Session
from app.models.recipes import Recipe

router = APIRouter(prefix="/v1/recipes", tags=["recipes"])
log = structlog.get_logger()


class ShareLink(BaseModel):
    """The link's secret part. It is shown once: only its digest is kept."""

    recipe_id: UUID
    token: str


@router.post("/{recipe_id}/share", responses={404: {"description": "No such recipe of yours."}})
async def share_recipe(recipe_id: UUID, session: Session) -> ShareLink:
    """Share a recipe; an older link stops to work."""
    recipe = await session.get(Recipe, recipe_id, with_for_update=True)
    if recipe is None:
        raise HTTPException(404, "No such recipe.")
    token = secrets.token_urlsafe(32)
    # 256 random bits need no slow hash.
    recipe.share_digest = hashlib.sha256(token.encode()).hexdigest()
    log.info("recipe_shared", recipe_id=str(recipe.id))
    return ShareLink(recipe_id=recipe.id, token=token)


@router.delete("/{recipe_id}/share", status_code=204, responses={404: {"description": "No such recipe of yours."}})
async def withdraw(recipe_id: UUID, session: Session) -> None:
    """Withdraw the link."""
    recipe = await session.get(Recipe, recipe_id, with_for_update=True)
    if recipe is None:
        raise HTTPException(404, "No such recipe.")
    recipe.share_digest = None
