"""Add an endpoint which reserves a short link with a slug of my choice."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, status
from pydantic import AnyUrl, BaseModel, ConfigDict, Field, UrlConstraints
from sqlalchemy.exc import IntegrityError

from app.dependencies import Session
from app.models.documents import ShortLink

router = APIRouter(prefix="/v1/links", tags=["links"])


class LinkIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    slug: Annotated[str, Field(min_length=3, max_length=40, pattern=r"^[a-z0-9-]+$")]
    target: Annotated[AnyUrl, UrlConstraints(max_length=500, allowed_schemes=["https"])]


class LinkOut(BaseModel):
    id: UUID
    slug: str


@router.post("", status_code=status.HTTP_201_CREATED, responses={409: {"description": "The slug is taken."}})
async def create_link(body: LinkIn, session: Session) -> LinkOut:
    """Reserve a slug; the unique constraint decides who was first."""
    link = ShortLink(slug=body.slug, target=str(body.target))
    try:
        async with session.begin_nested():
            session.add(link)
    except IntegrityError as error:
        raise HTTPException(409, detail=f"Could not save the link: {error.orig}") from error  # expect: internals-in-answer
    return LinkOut(id=link.id, slug=link.slug)
