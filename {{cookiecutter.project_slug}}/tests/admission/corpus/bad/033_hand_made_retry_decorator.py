"""A retry decorator of its own round a call that is not safe to repeat."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from app.dependencies import Payments

router = APIRouter(prefix="/v1/refunds", tags=["payments"])


class RefundOut(BaseModel):
    reference: str


def retried(function: Callable[..., Awaitable[str]]) -> Callable[..., Awaitable[str]]:
    @functools.wraps(function)
    async def wrapper(*args: Any) -> str:
        for _ in range(5):  # expect: hand-made-retry
            try:
                return await function(*args)
            except OSError:
                await asyncio.sleep(0.1)
        raise HTTPException(503, "No answer.")

    return wrapper


@retried
async def _refund(payments: Payments, order_id: UUID) -> str:
    answer = await payments.post("/refunds", json={"order": str(order_id)})
    return str(answer.json()["reference"])


@router.post("/{order_id}", status_code=201)
async def refund(order_id: UUID, payments: Payments) -> RefundOut:
    """Give the money back."""
    return RefundOut(reference=await _refund(payments, order_id))
