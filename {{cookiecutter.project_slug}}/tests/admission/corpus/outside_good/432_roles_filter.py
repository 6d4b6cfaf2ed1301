"""Add an endpoint which lists my invitations, optionally those for one role only."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import select

from app.dependencies import Session
from app.models.accounts import Invite

router = APIRouter(prefix="/v1/invites", tags=["team"])

Role = Literal["member", "manager", "admin"]


class InviteOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    role: str
    accepted: bool
    expires_at: AwareDatetime


class Invites(BaseModel):
    items: list[InviteOut]


@router.get("")
async def list_invites(
    session: Session,
    role: Role | None = None,
    only_valid: bool = True,
    after: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Invites:
    """List invitations; the role filters what is there and grants nothing."""
    query = select(Invite).order_by(Invite.id).limit(limit)
    if role is not None:
        query = query.where(Invite.role == role)
    if only_valid:
        query = query.where(Invite.expires_at > datetime.now(UTC), Invite.accepted.is_(False))
    if after is not None:
        query = query.where(Invite.id > after)
    return Invites(items=[InviteOut.model_validate(invite) for invite in (await session.scalars(query)).all()])
