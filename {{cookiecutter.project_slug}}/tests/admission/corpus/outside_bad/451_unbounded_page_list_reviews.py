"""Add an endpoint which pages through the reviews of a product that I wrote or may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Select, select

from app.dependencies import Session
from app.models.catalog import Review

router = APIRouter(prefix="/v1/reviews", tags=["reviews"])


class ReviewOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    stars: int
    text: str


class ReviewPage(BaseModel):
    page: int
    items: list[ReviewOut]


@dataclass
class Paging:
    """Which page, and how long pages are."""

    page: Annotated[int, Query(ge=1)] = 1  # expect: unbounded-page
    size: Annotated[int, Query(ge=1, le=50)] = 20

    def apply(self, query: Select[Review]) -> Select[Review]:
        return query.offset((self.page - 1) * self.size).limit(self.size)


@router.get("")
async def list_reviews(session: Session, paging: Annotated[Paging, Depends()], product_id: UUID) -> ReviewPage:
    """List reviews of a product."""
    query = paging.apply(select(Review).where(Review.product_id == product_id).order_by(Review.id))
    rows = (await session.scalars(query)).all()
    return ReviewPage(page=paging.page, items=[ReviewOut.model_validate(row) for row in rows])
