"""A price calculation in steps. ``run`` and ``execute`` are functions of this module and start nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/discounts", tags=["discounts"])

Step = Callable[[int], int]


class Basket(BaseModel):
    model_config = ConfigDict(extra="forbid")

    total_cents: int = Field(ge=0, le=100_000_000, strict=True)
    steps: list[Literal["loyalty", "seasonal", "staff"]] = Field(max_length=3)


class Discounted(BaseModel):
    total_cents: int
    saved_cents: int


def _percent_off(percent: int) -> Step:
    return lambda cents: cents - cents * percent // 100


STEPS: dict[str, Step] = {"loyalty": _percent_off(3), "seasonal": _percent_off(10), "staff": _percent_off(15)}


def run(step: Step, cents: int) -> int:
    """Return the total after one step."""
    return max(step(cents), 0)


def execute(names: list[Literal["loyalty", "seasonal", "staff"]], cents: int) -> int:
    """Return the total after all steps."""
    for name in names:
        cents = run(STEPS[name], cents)
    return cents


@router.post("/preview")
async def preview_discount(basket: Basket) -> Discounted:
    """Say what a basket would cost. Nothing is stored."""
    total = execute(basket.steps, basket.total_cents)
    return Discounted(total_cents=total, saved_cents=basket.total_cents - total)
