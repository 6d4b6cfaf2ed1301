"""Add an endpoint which checks whether the mail server of a partner's domain accepts connections."""

import asyncio
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from app.dependencies import Caller

router = APIRouter(prefix="/v1/mail-servers", tags=["support"])

PARTNERS = {"acme": "mx1.acme.example", "globex": "mail.globex.example"}


class MailServer(BaseModel):
    """What the server said first."""

    partner: str
    accepts: bool


@router.get("/{partner}")
async def check_mail_server(partner: Literal["acme", "globex"], caller: Caller) -> MailServer:
    """Connect, read the banner, and hang up."""
    reader, writer = await asyncio.open_connection(PARTNERS[partner], 25)  # expect: undeclared-outbound
    banner = await reader.readline()  # or: undeclared-outbound
    writer.close()
    await writer.wait_closed()
    return MailServer(partner=partner, accepts=banner.startswith(b"220"))
