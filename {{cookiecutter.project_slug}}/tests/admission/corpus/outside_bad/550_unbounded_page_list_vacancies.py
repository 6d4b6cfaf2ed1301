"""Add an endpoint which lists the vacancies of a city, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from app.dependencies import Session
from app.models.applications import Vacancy

router = APIRouter(prefix="/v1/vacancies", tags=["applications"])


@dataclass
class Paging:
    """Where to read on, and how much."""

    after: Annotated[int, Query(ge=0, le=2_147_483_647)] = 0
    limit: Annotated[int, Query(ge=1)] = 20  # expect: unbounded-page


class VacancyOut(BaseModel):
    """A job that is offered."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    title: str
    city: str
    closes_at: datetime


@router.get("")
async def list_vacancies(
    session: Session,
    paging: Annotated[Paging, Depends()],
    city: Annotated[str, Query(min_length=1, max_length=80, pattern=r"^[^\x00]*$")],
) -> list[VacancyOut]:
    """List vacancies."""
    page = select(Vacancy).where(Vacancy.city == city, Vacancy.id > paging.after).order_by(Vacancy.id)
    vacancies = await session.scalars(page.limit(paging.limit))
    return [VacancyOut.model_validate(vacancy) for vacancy in vacancies]
