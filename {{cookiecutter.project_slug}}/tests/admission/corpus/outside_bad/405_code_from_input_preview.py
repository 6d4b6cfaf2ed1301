"""Add an endpoint which previews a discount: marketing types a formula over price and quantity."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.catalog import Product

router = APIRouter(prefix="/v1/discounts", tags=["discounts"])

ALLOWED = {"min": min, "max": max, "round": round}


class PreviewIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    product_id: UUID
    quantity: Annotated[int, Field(ge=1, le=1000)]
    formula: Annotated[str, Field(min_length=1, max_length=120)]


class PreviewOut(BaseModel):
    """What would be paid, in cents."""

    total: int


def evaluate(formula: str, price: int, quantity: int) -> int:
    """Compute the formula; only the names in ALLOWED can be used."""
    scope = {"price": price, "quantity": quantity, **ALLOWED}
    return int(eval(formula, {"__builtins__": {}}, scope))  # expect: code-from-input


@router.post("/preview")
async def preview(body: PreviewIn, session: Session) -> PreviewOut:
    product = await session.get(Product, body.product_id)
    if product is None or not product.active:
        raise HTTPException(404, "No such product.")
    return PreviewOut(total=evaluate(body.formula, product.price, body.quantity))
