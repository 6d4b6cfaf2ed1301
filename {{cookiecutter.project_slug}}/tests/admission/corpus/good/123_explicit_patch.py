"""A partial update that names each field."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/recipes", tags=["recipes"])


class Recipe(Owned, Base):
    __tablename__ = "recipes"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    title: Mapped[str] = mapped_column(String(80))
    steps: Mapped[str] = mapped_column(String(2000))


class RecipePatch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str | None = Field(None, min_length=1, max_length=80)
    steps: str | None = Field(None, max_length=2000)


class RecipeOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    steps: str


@router.patch("/{recipe_id}", responses={404: {"description": "No such recipe of yours."}})
async def change_recipe(recipe_id: UUID, patch: RecipePatch, session: Session) -> RecipeOut:
    """Change a recipe."""
    recipe = await session.get(Recipe, recipe_id)
    if recipe is None:
        raise HTTPException(404, "No such recipe.")
    if patch.title is not None:
        recipe.title = patch.title
    if patch.steps is not None:
        recipe.steps = patch.steps
    return RecipeOut.model_validate(recipe)
