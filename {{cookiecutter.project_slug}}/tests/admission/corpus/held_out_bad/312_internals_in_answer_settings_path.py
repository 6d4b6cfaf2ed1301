"""Names a file of the server in the answer."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel
from sqlalchemy import text

from app.dependencies import Session

router = APIRouter(prefix="/v1/diagnoses", tags=["tools"])


class Diagnosis(BaseModel):
    message: str


@router.get("")
async def diagnose(session: Session) -> Diagnosis:
    """Say whether the database answers."""
    try:
        await session.execute(text("SELECT 1"))
    except Exception as problem:
        raise HTTPException(503, f"Database problem in {__file__}: {problem.args}") from problem  # expect: internals-in-answer
    return Diagnosis(message="fine")
