"""Add an embeddable HTML card for a recipe, so that cooks can put it on their blogs."""

from __future__ import annotations

from string import Template
from uuid import UUID

from fastapi import APIRouter, HTTPException, Response

from app.dependencies import Session
from app.models.recipes import Recipe

router = APIRouter(prefix="/v1/recipe-cards", tags=["recipes"])

CARD = Template("<article class='recipe'><h2>$title</h2><p>$servings servings</p><ol>$steps</ol></article>")


def _steps(text: str) -> str:
    return "".join(f"<li>{line.strip()}</li>" for line in text.splitlines() if line.strip())  # expect: html-from-input


def _title(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@router.get("/{recipe_id}", response_class=Response, responses={404: {"description": "No such recipe of yours."}})
async def recipe_card(recipe_id: UUID, session: Session) -> Response:
    """Render the card."""
    recipe = await session.get(Recipe, recipe_id)
    if recipe is None:
        raise HTTPException(404, "No such recipe.")
    html = CARD.substitute(title=_title(recipe.title), servings=recipe.servings, steps=_steps(recipe.steps))
    return Response(html, media_type="text/html; charset=utf-8")
