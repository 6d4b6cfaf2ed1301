"""Decodes the token by itself."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header
from joserfc import jwt
from joserfc.jwk import OctKey
from pydantic import BaseModel

router = APIRouter(prefix="/v1/me", tags=["users"])


class Me(BaseModel):
    subject: str


def _key() -> OctKey:
    return OctKey.generate_key(256)


@router.get("")
async def me(authorization: Annotated[str, Header(max_length=4000)]) -> Me:  # expect: own-authentication
    """Say who you are."""
    token = jwt.decode(authorization.removeprefix("Bearer "), _key())
    return Me(subject=str(token.claims["sub"]))
