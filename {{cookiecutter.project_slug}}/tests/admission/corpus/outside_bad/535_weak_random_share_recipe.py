"""Add an endpoint that creates a secret share link for a recipe."""

from __future__ import annotations

import hashlib
import random
import string
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from app.dependencies import Session
from app.models.recipes import Recipe

router = APIRouter(prefix="/v1/recipes", tags=["recipes"])

ALPHABET = string.ascii_letters + string.digits


class ShareLink(BaseModel):
    """The link's secret part; it is shown once."""

    recipe_id: UUID
    token: str


@router.post("/{recipe_id}/share", responses={404: {"description": "No such recipe of yours."}})
async def share_recipe(recipe_id: UUID, session: Session) -> ShareLink:
    """Share a recipe."""
    recipe = await session.get(Recipe, recipe_id, with_for_update=True)
    if recipe is None:
        raise HTTPException(404, "No such recipe.")
    token = "".join(random.choices(ALPHABET, k=32))  # expect: weak-random
    recipe.share_digest = hashlib.sha256(token.encode()).hexdigest()
    return ShareLink(recipe_id=recipe.id, token=token)
