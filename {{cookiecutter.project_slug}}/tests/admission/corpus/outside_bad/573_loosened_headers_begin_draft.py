"""Add an endpoint which remembers the voter's progress through a long ballot in a cookie."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel

router = APIRouter(prefix="/v1/ballot-drafts", tags=["elections"])


class Draft(BaseModel):
    """A draft that was begun."""

    poll_id: int
    step: int


@router.post("/{poll_id}")
async def begin_draft(poll_id: Annotated[int, Path(ge=1, le=2_147_483_647)], response: Response) -> Draft:
    """Begin a draft."""
    response.set_cookie("draft_session", secrets.token_urlsafe(24), max_age=3600, secure=False, httponly=False)  # expect: loosened-headers
    return Draft(poll_id=poll_id, step=1)
