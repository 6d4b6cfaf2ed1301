"""An API key as a default argument."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

from app.dependencies import Shipping

router = APIRouter(prefix="/v1/labels", tags=["shipping"])


class Label(BaseModel):
    url_path: str


async def _create(shipping: Shipping, order_id: UUID, api_key: str = "sk_live_51Hq8sZKx0aQnTtR7c2Vb9") -> str:  # expect: hard-coded-secret
    answer = await shipping.post("/labels", json={"order": str(order_id), "key": api_key})
    return str(answer.json()["path"])


@router.post("/{order_id}", status_code=201)
async def create_label(order_id: UUID, shipping: Shipping) -> Label:
    """Make a label."""
    return Label(url_path=await _create(shipping, order_id))
