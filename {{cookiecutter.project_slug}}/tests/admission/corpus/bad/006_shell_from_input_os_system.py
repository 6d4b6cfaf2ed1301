"""Pings a host for the network page."""

from __future__ import annotations

import os
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

router = APIRouter(prefix="/v1/network", tags=["network"])


class Reachable(BaseModel):
    reachable: bool


def _ping(host: str) -> bool:
    return os.system("ping -c 1 " + host) == 0  # expect: shell-from-input


@router.get("/reachable")
def reachable(host: Annotated[str, Query(max_length=100)]) -> Reachable:
    """Say whether a host answers."""
    return Reachable(reachable=_ping(host))
