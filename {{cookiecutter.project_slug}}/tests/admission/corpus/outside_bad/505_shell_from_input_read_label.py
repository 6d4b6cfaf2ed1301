"""Add an endpoint that renders a shipping label as ZPL with our label tool."""

import asyncio
import subprocess
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from app.dependencies import Look
from app.models.logistics import Parcel

router = APIRouter(prefix="/v1/labels", tags=["labels"])


class Label(BaseModel):
    parcel_id: UUID
    zpl: str


def _render(code: str, destination: str) -> str:
    done = subprocess.run(  # expect: shell-from-input
        ["zpl-render", "--code", code, "--to", destination], capture_output=True, text=True, timeout=2, check=True
    )
    return done.stdout


@router.get("/{parcel_id}", responses={404: {"description": "No such parcel of yours."}})
async def read_label(parcel_id: UUID, look: Look) -> Label:
    async with look() as glance:
        parcel = await glance.get(Parcel, parcel_id)
    if parcel is None:
        raise HTTPException(404, "No such parcel.")
    return Label(parcel_id=parcel.id, zpl=await asyncio.to_thread(_render, parcel.code, parcel.destination))
