"""Add an endpoint which previews a discount from a little formula such as "10 % off, 200 off, at least 500"."""

from collections.abc import Callable
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.catalog import Product

router = APIRouter(prefix="/v1/discounts", tags=["discounts"])

OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "percent_off": lambda price, value: price - price * min(value, 100) // 100,
    "cents_off": lambda price, value: max(price - value, 0),
    "at_least": max,
}


class Step(BaseModel):
    """One step of the formula."""

    model_config = ConfigDict(extra="forbid")

    operation: Literal["percent_off", "cents_off", "at_least"]
    value: Annotated[int, Field(ge=0, le=1_000_000, strict=True)]


class PreviewIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    product_id: UUID
    formula: Annotated[list[Step], Field(min_length=1, max_length=8)]


class PreviewOut(BaseModel):
    """What it would cost, in cents. Nothing is kept."""

    price: int


def evaluate(formula: list[Step], price: int) -> int:
    """Apply the steps one after the other."""
    for step in formula:
        price = OPERATIONS[step.operation](price, step.value)
    return price


@router.post("/preview", responses={404: {"description": "No such product."}})
async def preview(body: PreviewIn, session: Session) -> PreviewOut:
    """Preview a discount."""
    product = await session.get(Product, body.product_id)
    if product is None or not product.active:
        raise HTTPException(404, "No such product.")
    return PreviewOut(price=evaluate(body.formula, product.price))
