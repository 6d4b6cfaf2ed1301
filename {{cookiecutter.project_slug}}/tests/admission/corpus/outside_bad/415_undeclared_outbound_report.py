"""Add an endpoint which reports a problem and pings the on-call channel in Slack."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import httpx  # or: undeclared-outbound
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.tickets import Ticket

router = APIRouter(prefix="/v1/problems", tags=["support"])

CHANNEL = "#on-call"


class ProblemIn(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    title: Annotated[str, Field(min_length=3, max_length=200, pattern=r"^[^\x00]*$")]
    body: Annotated[str, Field(min_length=1, max_length=4000, pattern=r"^[^\x00]*$")]


class ProblemOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    status: str


@router.post("", status_code=201)
async def report(problem: ProblemIn, session: Session) -> ProblemOut:
    """Tell the people on call first, then keep the problem as a ticket."""
    async with httpx.AsyncClient(timeout=3.0) as client:  # or: undeclared-outbound
        await client.post("https://slack.com/api/chat.postMessage", json={"channel": CHANNEL, "text": "A new problem."})  # expect: undeclared-outbound
    ticket = Ticket(title=problem.title, body=problem.body, priority=1)
    session.add(ticket)
    await session.flush()
    return ProblemOut.model_validate(ticket)
