"""Add an endpoint with which a listener subscribes to a show."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel, ConfigDict
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from app.dependencies import Session
from app.models.podcasts import Show, Subscription

router = APIRouter(prefix="/v1/shows", tags=["podcasts"])


class SubscriptionOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    show_id: int
    created_at: datetime


@router.post(
    "/{show_id}/subscription",
    status_code=201,
    responses={409: {"description": "Subscribed already, or no such show."}},
)
async def subscribe(show_id: Annotated[int, Path(ge=1, le=2_147_483_647)], session: Session) -> SubscriptionOut:
    """The unique constraint decides whether somebody is subscribed; the counter follows in the same transaction."""
    subscription = Subscription(show_id=show_id)
    try:
        async with session.begin_nested():
            session.add(subscription)
    except IntegrityError:
        raise HTTPException(409, "Subscribed already, or no such show.") from None
    await session.execute(update(Show).where(Show.id == show_id).values(subscribers=Show.subscribers + 1))
    return SubscriptionOut.model_validate(subscription)
