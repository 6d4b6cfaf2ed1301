"""Add an endpoint which lists the products of a category, sorted by a column that the shop's front end picks."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import text

from app.dependencies import Session

router = APIRouter(prefix="/v1/products", tags=["products"])


class ProductOut(BaseModel):
    """A product as customers see it; ``price`` in cents."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    category: str
    price: int


class ProductList(BaseModel):
    """The first products in the wanted order."""

    items: list[ProductOut]


@router.get("")
async def list_products(
    session: Session,
    category: Annotated[str, Query(min_length=1, max_length=40)],
    sort: Annotated[str, Query(max_length=40)] = "name",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> ProductList:
    """List the active products of one category."""
    statement = text(  # or: sql-from-input
        f"SELECT id, name, category, price FROM products WHERE active AND category = :category ORDER BY {sort} LIMIT :n"  # expect: sql-from-input
    )
    rows = (await session.execute(statement, {"category": category, "n": limit})).mappings().all()
    return ProductList(items=[ProductOut(**row) for row in rows])
