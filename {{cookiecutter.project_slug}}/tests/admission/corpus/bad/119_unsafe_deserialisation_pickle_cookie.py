"""Restores a basket from a pickled cookie."""

from __future__ import annotations

import base64
import pickle
from typing import Annotated

from fastapi import APIRouter, Cookie
from pydantic import BaseModel

router = APIRouter(prefix="/v1/basket", tags=["basket"])


class Basket(BaseModel):
    items: int


@router.get("")
async def basket(basket: Annotated[str, Cookie(max_length=2000)] = "") -> Basket:
    """Return the basket."""
    items = pickle.loads(base64.b64decode(basket)) if basket else []  # expect: unsafe-deserialisation
    return Basket(items=len(items))
