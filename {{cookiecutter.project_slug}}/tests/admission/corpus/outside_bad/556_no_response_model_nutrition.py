"""Add an endpoint that returns the nutrition summary of an ingredient."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query

from app.dependencies import Session
from app.models.recipes import Ingredient

router = APIRouter(prefix="/v1/ingredients", tags=["recipes"])


IngredientId = Annotated[int, Path(ge=1, le=2_147_483_647)]
Grams = Annotated[int, Query(ge=1, le=5000)]


@router.get("/{ingredient_id}/nutrition", responses={404: {"description": "No such ingredient."}})  # or: no-response-model
async def nutrition(ingredient_id: IngredientId, session: Session, grams: Grams = 100) -> dict[str, Any]:  # expect: no-response-model
    """Say what an amount of an ingredient has."""
    ingredient = await session.get(Ingredient, ingredient_id)
    if ingredient is None:
        raise HTTPException(404, "No such ingredient.")
    return {
        "name": ingredient.name,
        "grams": grams,
        "kcal": ingredient.kcal_per_100g * grams // 100,
        "allergen": ingredient.allergen,
    }
