"""Add an endpoint which hands the front end signed parameters for the seat-map widget of our partner."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from app.dependencies import Session
from app.models.bookings import Slot

router = APIRouter(prefix="/v1/seat-maps", tags=["bookings"])


class WidgetOut(BaseModel):
    """What the widget wants to be told."""

    room: str
    signed_at: int
    signature: str


@dataclass(frozen=True)
class Signer:
    """Signs for the partners that we have a contract with."""

    keys: dict[str, str] = field(  # or: hard-coded-secret
        default_factory=lambda: {
            "seatly": "sk_live_4eC39HqLyjWDarjtT1zdp7dcTk2mQ0aV",  # expect: hard-coded-secret
        }
    )

    def sign(self, partner: str, *parts: str) -> str:
        """Return the partner's signature over the parts."""
        return hmac.new(self.keys[partner].encode(), ":".join(parts).encode(), hashlib.sha256).hexdigest()


signer = Signer()


@router.get("/{partner}/{slot_id}", responses={404: {"description": "No such slot."}})
async def widget(partner: Literal["seatly"], slot_id: UUID, session: Session) -> WidgetOut:
    """Sign the parameters of a seat map."""
    slot = await session.get(Slot, slot_id)
    if slot is None:
        raise HTTPException(404, "No such slot.")
    now = int(datetime.now(UTC).timestamp())
    return WidgetOut(room=slot.room, signed_at=now, signature=signer.sign(partner, slot.room, str(now)))
