"""A task attached to the response."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.background import BackgroundTask

from app.dependencies import Payments

router = APIRouter(prefix="/v1/notifications", tags=["messages"])


class Queued(BaseModel):
    queued: bool


async def notify(payments: Payments, message_id: str) -> None:
    await payments.post("/notify", json={"message": message_id})


@router.post("/{message_id}", status_code=202, response_model=Queued)
async def queue(message_id: UUID, payments: Payments) -> JSONResponse:
    """Notify somebody."""
    return JSONResponse({"queued": True}, 202, background=BackgroundTask(notify, payments, str(message_id)))  # expect: lost-work
