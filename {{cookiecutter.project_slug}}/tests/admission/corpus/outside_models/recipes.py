"""Recipes belong to cooks, ingredients are shared."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Ingredient(Base):
    """Something to cook with."""

    __tablename__ = "ingredients"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    kcal_per_100g: Mapped[int]
    allergen: Mapped[str | None] = mapped_column(String(20))


class Recipe(Owned, Base):
    """How something is cooked."""

    __tablename__ = "recipes"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    title: Mapped[str] = mapped_column(String(120))
    steps: Mapped[str] = mapped_column(Text)
    servings: Mapped[int] = mapped_column(default=4)
    minutes: Mapped[int | None]
    language: Mapped[str] = mapped_column(String(5), default="en")
    share_digest: Mapped[str | None] = mapped_column(String(64), unique=True)
    updated_at: Mapped[datetime] = mapped_column(default=_now)


class RecipeItem(Owned, Base):
    """How much of an ingredient a recipe takes."""

    __tablename__ = "recipe_items"

    recipe_id: Mapped[UUID] = mapped_column(ForeignKey("recipes.id"), primary_key=True)
    ingredient_id: Mapped[int] = mapped_column(ForeignKey("ingredients.id"), primary_key=True)
    grams: Mapped[int]
