"""Pages of a handbook with an ETag. The digest names a version; it protects nothing."""

from __future__ import annotations

import hashlib
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Header, HTTPException, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/handbook", tags=["handbook"])


class HandbookPage(Owned, Base):
    __tablename__ = "handbook_pages"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    title: Mapped[str] = mapped_column(String(120))
    body: Mapped[str] = mapped_column(String(20_000))


class PageOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    body: str


@router.get(
    "/{page_id}",
    response_model=PageOut,
    responses={304: {"description": "You have it already."}, 404: {"description": "No such page of yours."}},
)
async def read_page(
    page_id: UUID,
    session: Session,
    response: Response,
    if_none_match: Annotated[str | None, Header(max_length=80)] = None,
) -> PageOut | Response:
    """Read a page, unless the reader has it."""
    page = await session.get(HandbookPage, page_id)
    if page is None:
        raise HTTPException(404, "No such page.")
    etag = '"' + hashlib.sha256(f"{page.title}\n{page.body}".encode()).hexdigest() + '"'
    if if_none_match == etag:
        return Response(status_code=304, headers={"ETag": etag})
    response.headers["ETag"] = etag
    return PageOut.model_validate(page)
