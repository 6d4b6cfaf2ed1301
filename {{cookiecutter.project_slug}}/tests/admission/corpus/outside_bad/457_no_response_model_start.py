"""Add an endpoint which shows my profile together with some figures for the start page."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, HTTPException
from sqlalchemy import func, select

from app.dependencies import Session
from app.models.accounts import ApiKey, Profile

router = APIRouter(prefix="/v1/start", tags=["profiles"])


def start_page(profile: Profile, keys: int) -> dict[str, Any]:
    """Put together what the page shows."""
    return {
        "greeting": f"Hello, {profile.display_name}",
        "locale": profile.locale,
        "figures": {"keys": keys, "member_since": profile.created_at.year},
    }


@router.get("/{profile_id}", responses={404: {"description": "No such profile of yours."}})  # or: no-response-model
async def start(profile_id: UUID, session: Session) -> dict[str, Any]:  # expect: no-response-model
    """Show the start page."""
    profile = await session.get(Profile, profile_id)
    if profile is None:
        raise HTTPException(status_code=404, detail="No such profile.")
    keys = await session.scalar(select(func.count()).select_from(ApiKey).where(ApiKey.revoked.is_(False)))
    return start_page(profile, keys or 0)
