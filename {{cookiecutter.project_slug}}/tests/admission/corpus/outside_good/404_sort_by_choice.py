"""Add an endpoint which lists products sorted by price, name or age, whichever the front end asks for."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, select

from app.dependencies import Session
from app.models.catalog import Product

router = APIRouter(prefix="/v1/products", tags=["products"])

SORT: dict[str, ColumnElement[Any]] = {
    "price": Product.price.asc(),
    "-price": Product.price.desc(),
    "name": Product.name.asc(),
    "newest": Product.created_at.desc(),
}


class ProductOut(BaseModel):
    """A product as customers see it; price in cents."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    category: str
    price: int


class ProductList(BaseModel):
    items: list[ProductOut]


@router.get("", response_model=ProductList)
async def list_products(
    session: Session,
    sort: Annotated[Literal["price", "-price", "name", "newest"], Query()] = "newest",
    limit: Annotated[int, Query(ge=1, le=60)] = 24,
) -> ProductList:
    """List the active products."""
    query = select(Product).where(Product.active.is_(True)).order_by(SORT[sort], Product.id).limit(limit)
    products = (await session.scalars(query)).all()
    return ProductList(items=[ProductOut.model_validate(product) for product in products])
