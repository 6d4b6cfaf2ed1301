"""Add an endpoint which saves a cook's recipe."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.recipes import Recipe

router = APIRouter(prefix="/v1/recipes", tags=["recipes"])


class Step(BaseModel):
    model_config = ConfigDict(extra="forbid")

    minutes: Annotated[int, Field(ge=0, le=1440)]
    text: str  # expect: unbounded-string


class RecipeIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00]*$")]
    servings: Annotated[int, Field(ge=1, le=100)] = 4
    language: Literal["en", "de", "fr", "es"] = "en"
    steps: Annotated[list[Step], Field(min_length=1, max_length=40)]


class RecipeOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    servings: int
    minutes: int | None


@router.post("", status_code=201)
async def save_recipe(wanted: RecipeIn, session: Session) -> RecipeOut:
    """Save a recipe."""
    recipe = Recipe(
        title=wanted.title,
        servings=wanted.servings,
        language=wanted.language,
        steps="\n".join(step.text for step in wanted.steps),
        minutes=sum(step.minutes for step in wanted.steps),
    )
    session.add(recipe)
    await session.flush()
    return RecipeOut.model_validate(recipe)
