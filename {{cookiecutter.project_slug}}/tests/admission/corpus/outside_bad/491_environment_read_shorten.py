"""Add an endpoint which creates a short link and returns its full address; hosts differ between environments."""

from __future__ import annotations

from os import getenv
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException
from pydantic import AnyUrl, BaseModel, ConfigDict, Field, UrlConstraints
from sqlalchemy.exc import IntegrityError

from app.dependencies import Session
from app.models.documents import ShortLink

router = APIRouter(prefix="/v1/short-links", tags=["links"])


class Host:
    """Where short links live."""

    def __init__(self) -> None:
        self.base = getenv("SHORT_LINK_HOST", "https://s.example.com").rstrip("/")  # expect: environment-read

    def address(self, slug: str) -> str:
        return f"{self.base}/{slug}"


class LinkIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    slug: Annotated[str, Field(min_length=3, max_length=40, pattern=r"^[a-z0-9-]+$")]
    target: Annotated[AnyUrl, UrlConstraints(max_length=500, allowed_schemes=["https"])]


class LinkOut(BaseModel):
    id: UUID
    address: str


@router.post("", status_code=201, responses={409: {"description": "The slug is taken."}})
async def shorten(body: LinkIn, session: Session, host: Annotated[Host, Depends()]) -> LinkOut:
    """Make a short link."""
    link = ShortLink(slug=body.slug, target=str(body.target))
    try:
        async with session.begin_nested():
            session.add(link)
    except IntegrityError:
        raise HTTPException(409, "This slug is taken.") from None
    return LinkOut(id=link.id, address=host.address(link.slug))
