"""Bounds in a dependency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Stock

router = APIRouter(prefix="/v1/paged-skus", tags=["inventory"])


@dataclass(frozen=True)
class Paging:
    after: str
    limit: int


def paging(
    after: Annotated[str, Query(max_length=64)] = "", limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> Paging:
    return Paging(after, limit)


class Skus(BaseModel):
    skus: list[str]


@router.get("")
async def paged(session: Session, page: Annotated[Paging, Depends(paging)]) -> Skus:
    """List article numbers."""
    statement = select(Stock.sku).where(Stock.sku > page.after).order_by(Stock.sku).limit(page.limit)
    return Skus(skus=list(await session.scalars(statement)))
