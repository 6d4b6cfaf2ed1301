"""A document whose owner the client names."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/documents", tags=["documents"])


class DocumentIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    owner_id: str = Field(max_length=64)  # expect: client-decides
    title: str = Field(min_length=1, max_length=100)


class DocumentOut(BaseModel):
    title: str


@router.post("", status_code=201)
async def create_document(wanted: DocumentIn, session: Session) -> DocumentOut:
    """Create a document."""
    session.add(Order(sku=wanted.title[:64], quantity=1, owner_id=wanted.owner_id))
    await session.flush()
    return DocumentOut(title=wanted.title)
