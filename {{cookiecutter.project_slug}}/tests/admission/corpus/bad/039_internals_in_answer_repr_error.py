"""Puts the error with its arguments into the answer."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Payments

router = APIRouter(prefix="/v1/transfers", tags=["payments"])


class TransferIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    cents: int = Field(ge=1, le=1_000_000)


class TransferOut(BaseModel):
    reference: str


def _problem(error: Exception) -> dict[str, str]:
    return {"error": type(error).__name__, "message": f"transfer failed: {error!r}"}


@router.post("", status_code=201, response_model=TransferOut)
async def transfer(wanted: TransferIn, payments: Payments) -> Any:
    """Transfer money."""
    try:
        answer = await payments.post("/transfers", json={"cents": wanted.cents})
    except OSError as error:
        return JSONResponse(_problem(error), status_code=502)  # expect: internals-in-answer
    return TransferOut(reference=answer.json()["reference"])
