"""Customers by city, with the WHERE clause built in a helper."""

from __future__ import annotations

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import text

from app.dependencies import Session

router = APIRouter(prefix="/v1/customers", tags=["customers"])


class CustomerOut(BaseModel):
    id: int
    name: str


def build_filter(city: str | None, plan: str | None) -> str:
    """Return the conditions of the query."""
    parts = []
    if city:
        parts.append("city = '%s'" % city)
    if plan:
        parts.append("plan = '%s'" % plan)
    return " AND ".join(parts) or "1 = 1"


@router.get("", response_model=list[CustomerOut])
async def list_customers(
    session: Session,
    city: str | None = Query(None, max_length=80),
    plan: str | None = Query(None, max_length=20),
) -> list[CustomerOut]:
    """List the first fifty customers that match."""
    conditions = build_filter(city, plan)
    query = "SELECT id, name FROM customers WHERE " + conditions + " ORDER BY id LIMIT 50"
    rows = (await session.execute(text(query))).mappings().all()  # expect: sql-from-input
    return [CustomerOut(**row) for row in rows]
