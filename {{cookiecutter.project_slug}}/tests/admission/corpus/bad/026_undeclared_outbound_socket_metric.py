"""Counts by a datagram to a metrics server."""

from __future__ import annotations

import socket

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/clicks", tags=["clicks"])


class Counted(BaseModel):
    counted: bool


def _count(name: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:  # expect: undeclared-outbound
        sender.sendto(f"{name}:1|c".encode(), ("10.0.0.9", 8125))


@router.post("/buy")
def count_buy() -> Counted:
    """Count a click on the button."""
    _count("buy")
    return Counted(counted=True)
