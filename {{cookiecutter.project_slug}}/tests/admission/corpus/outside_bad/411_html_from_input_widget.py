"""Add an endpoint which renders the reviews of a product as an HTML fragment that partners embed."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from sqlalchemy import select

from app.dependencies import Session
from app.models.catalog import Review

router = APIRouter(prefix="/v1/review-widgets", tags=["reviews"])

PAGE = '<section class="reviews"><h2>{count} reviews</h2><ul>{items}</ul></section>'


def item(review: Review) -> str:
    """One review as a list item."""
    stars = "&#9733;" * review.stars
    return "<li><b>" + stars + "</b> " + review.text + "</li>"  # expect: html-from-input


def fragment(reviews: list[Review]) -> str:
    return PAGE.format(count=len(reviews), items="".join(item(review) for review in reviews))


@router.get("/{product_id}", response_class=Response)
async def widget(product_id: UUID, session: Session, limit: Annotated[int, Query(ge=1, le=20)] = 5) -> Response:
    """Render the newest reviews."""
    query = select(Review).where(Review.product_id == product_id).order_by(Review.created_at.desc()).limit(limit)
    reviews = list((await session.scalars(query)).all())
    return Response(fragment(reviews), media_type="text/html")
