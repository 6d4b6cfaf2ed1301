"""Patches a row by a loop over what was sent."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/contacts", tags=["contacts"])


class Contact(Owned, Base):
    __tablename__ = "contacts"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(100))
    company: Mapped[str | None] = mapped_column(String(100))


class ContactPatch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=100)
    company: str | None = Field(None, max_length=100)


class ContactOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str


def apply(contact: Contact, patch: ContactPatch) -> None:
    for key, value in patch.model_dump(exclude_unset=True).items():
        setattr(contact, key, value)  # expect: mass-assignment


@router.patch("/{contact_id}")
async def patch_contact(contact_id: UUID, patch: ContactPatch, session: Session) -> ContactOut:
    """Change a contact."""
    contact = await session.get(Contact, contact_id)
    if contact is None:
        raise HTTPException(404, "No such contact.")
    apply(contact, patch)
    return ContactOut.model_validate(contact)
