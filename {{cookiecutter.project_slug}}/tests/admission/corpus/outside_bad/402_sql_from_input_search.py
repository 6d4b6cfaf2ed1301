"""Add an endpoint which lets the buying department search the catalogue by name, category and highest price."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel
from sqlalchemy import select, text

from app.dependencies import Session
from app.models.catalog import Product

router = APIRouter(prefix="/v1/catalogue", tags=["catalogue"])


class Hit(BaseModel):
    id: UUID
    name: str
    price: int


class Hits(BaseModel):
    items: list[Hit]


class Filters:
    """Collects the conditions of a search."""

    def __init__(
        self,
        name: Annotated[str | None, Query(max_length=60)] = None,
        category: Annotated[str | None, Query(max_length=40)] = None,
        max_price: Annotated[int | None, Query(ge=0, le=10_000_000)] = None,
    ) -> None:
        self.conditions: list[str] = ["active"]
        if name:
            self._add("lower(name) LIKE '%{}%'", name.lower())
        if category:
            self._add("category = '{}'", category)
        if max_price is not None:
            self._add("price <= {}", max_price)

    def _add(self, template: str, value: object) -> None:
        self.conditions.append(template.format(value))  # expect: sql-from-input

    def where(self) -> str:
        return " AND ".join(self.conditions)


@router.get("/search")
async def search(
    session: Session,
    filters: Annotated[Filters, Depends()],
    limit: Annotated[int, Query(ge=1, le=50)] = 25,
) -> Hits:
    """Search the catalogue."""
    query = select(Product).where(text(filters.where())).order_by(Product.id).limit(limit)
    products = (await session.scalars(query)).all()
    return Hits(items=[Hit(id=p.id, name=p.name, price=p.price) for p in products])
