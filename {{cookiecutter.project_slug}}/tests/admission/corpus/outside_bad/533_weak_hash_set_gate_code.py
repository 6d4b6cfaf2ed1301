"""Add an endpoint which sets the gate code of a resident's parking permit."""

from __future__ import annotations

import hashlib
import secrets
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.parking import Permit

router = APIRouter(prefix="/v1/permits", tags=["parking"])


class CodeIn(BaseModel):
    """The new code."""

    model_config = ConfigDict(extra="forbid")

    code: Annotated[str, Field(pattern=r"^[0-9]{6,10}$")]


class PermitOut(BaseModel):
    """A permit, without its code."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    plate: str
    zone: str


@router.put("/{permit_id}/gate-code", responses={404: {"description": "No such permit of yours."}})
async def set_gate_code(permit_id: UUID, wanted: CodeIn, session: Session) -> PermitOut:
    """Set the gate code."""
    permit = await session.get(Permit, permit_id, with_for_update=True)
    if permit is None:
        raise HTTPException(404, "No such permit.")
    permit.gate_code_salt = secrets.token_bytes(16)
    permit.gate_code_digest = hashlib.md5(permit.gate_code_salt + wanted.code.encode()).hexdigest()  # expect: weak-hash
    return PermitOut.model_validate(permit)
