"""Add an endpoint which shows an exhibit's text and saves bandwidth with ETags."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import APIRouter, Header, HTTPException, Path, Response
from pydantic import BaseModel, ConfigDict

from app.dependencies import Session
from app.models.museums import Exhibit

router = APIRouter(prefix="/v1/exhibit-texts", tags=["museum"])


class TextOut(BaseModel):
    """What is said about an exhibit."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    title: str
    text: str


def etag_of(body: TextOut) -> str:
    """Name a version of a text."""
    return f'"{hashlib.blake2b(body.model_dump_json().encode(), digest_size=16).hexdigest()}"'


@router.get(
    "/{exhibit_id}",
    response_model=TextOut,
    responses={304: {"description": "Not changed."}, 404: {"description": "No such exhibit."}},
)
async def exhibit_text(
    exhibit_id: Annotated[int, Path(ge=1, le=2_147_483_647)],
    session: Session,
    response: Response,
    if_none_match: Annotated[str | None, Header(max_length=200)] = None,
) -> TextOut | Response:
    """Show a text, unless the client has it."""
    exhibit = await session.get(Exhibit, exhibit_id)
    if exhibit is None:
        raise HTTPException(404, "No such exhibit.")
    body = TextOut.model_validate(exhibit)
    etag = etag_of(body)
    if if_none_match == etag:
        return Response(status_code=304, headers={"ETag": etag})
    response.headers["ETag"] = etag
    return body
